"""A Django project whose sockets go to class-based consumers and to functions."""
