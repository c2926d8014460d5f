"""Files that keep measured counts: folders named by the SHA-256 of their inputs, atomic writes, no pickle."""
