"""What a worker does: one small `make_*` function for each pass, and the arithmetic of one shard."""
