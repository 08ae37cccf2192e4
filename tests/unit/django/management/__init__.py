"""The commands and the development server."""
