"""The pages that compare models."""
