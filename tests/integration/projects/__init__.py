"""Whole projects written for Channels 1.x, served through the alias and used in a browser."""
