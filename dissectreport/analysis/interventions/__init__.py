"""What ablating and inserting units does to each concept: rankings, causal effects, insertion by context."""
