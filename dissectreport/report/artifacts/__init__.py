"""The pages of artifact units: the list, image quality, review by eye, and blind preference."""
