"""Rewrites a code base of Channels 1.x to this library: ``python -m routechan upgrade``."""
