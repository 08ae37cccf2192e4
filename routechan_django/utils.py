"""Readable names of consumers: the names of ``channels.utils``."""

from routechan.inspection import name_that_thing

__all__ = ["name_that_thing"]
