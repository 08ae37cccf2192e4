"""A project whose layer is a Redis that none of its tests may reach."""
