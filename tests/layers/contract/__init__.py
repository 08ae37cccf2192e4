"""The contract every layer passes, whatever its back end."""
