"""What the driver does, in order: check the options, run the passes, call analysis and report."""
