"""Checks before a connection is accepted."""
