"""The pages of a dissection: overview, layers, units, concepts, look-up, segmenter, real images, methods."""
