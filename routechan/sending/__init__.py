"""Sends that wait: for their consumer to end, or for a transaction to be committed."""
