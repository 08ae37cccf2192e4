"""Operations of the Redis layer: scripts of commands, with no I/O."""
