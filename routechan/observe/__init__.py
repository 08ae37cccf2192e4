"""What a process does, for those who run it: counters, metrics, traces, reports, and the fields of failures."""
