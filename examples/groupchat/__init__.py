"""Code for Channels 1.x, unchanged but for its imports."""
