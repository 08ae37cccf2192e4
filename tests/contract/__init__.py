"""The contract every layer passes, whatever its back end (item 42: the in-memory layer)."""
