"""Session engines of projects."""
