"""Tests of the channel layers."""
