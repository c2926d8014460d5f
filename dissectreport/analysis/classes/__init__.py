"""Which units of a classifier matter to its classes: accuracy under ablation, and changes by attacks."""
