"""Training of the embedded generators and segmenters."""
