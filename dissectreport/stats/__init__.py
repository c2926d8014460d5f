"""Statistics as integer counts that merge exactly; ratios are methods."""
