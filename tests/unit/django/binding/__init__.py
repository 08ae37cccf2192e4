"""Tests of bindings; an app of its own, for their models."""
