"""What each process counts, traces and logs about messages."""
