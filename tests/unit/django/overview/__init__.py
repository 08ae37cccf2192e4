"""The page in the admin."""
