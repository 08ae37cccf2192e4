"""Tests of how the Redis layer is configured."""
