"""Assembling and writing the site: only files that changed, and only files that are ours."""
