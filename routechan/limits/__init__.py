"""Rules that bound what one client, one user and one process may use."""
