"""The Django project that serves the examples."""
