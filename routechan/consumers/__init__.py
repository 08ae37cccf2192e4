"""Running consumers in this process."""
