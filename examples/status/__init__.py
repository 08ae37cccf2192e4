"""A status page: whoever opens it with the same id sees the same lines."""
