"""Servers, workers and commands as processes of their own."""
