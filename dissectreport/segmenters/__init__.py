"""What a segmenter is, and one module for each family of segmenters."""
