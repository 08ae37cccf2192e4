"""Readable names, where 1.x had them."""

from routechan.describe import name_that_thing

__all__ = ["name_that_thing"]
