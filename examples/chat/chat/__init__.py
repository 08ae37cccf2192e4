"""Chat rooms with names, and who is online."""
