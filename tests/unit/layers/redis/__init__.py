"""The parts of the Redis layer, one by one, most of them without Redis."""
