"""Tests of the server face."""
