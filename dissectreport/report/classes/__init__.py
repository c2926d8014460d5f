"""The pages of a classifier: its classes, and the units that matter to each."""
