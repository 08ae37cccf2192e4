"""One project with class-based consumers of Channels 4 and function consumers, on one layer (apps.md, column C)."""
