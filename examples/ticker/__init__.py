"""A consumer that sends while it runs."""
