"""A server whose consumers run in worker processes."""
