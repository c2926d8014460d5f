"""What the units of a classifier do for its classes: accuracy under ablation, and what attacks change."""
