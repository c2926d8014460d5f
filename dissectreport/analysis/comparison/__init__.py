"""Differences between models that were measured independently, with intervals."""
