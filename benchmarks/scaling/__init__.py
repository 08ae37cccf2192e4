"""What a site needs: costs measured in the small, a model of them, and a check of the model on four hosts."""
