"""Training of the embedded generator and segmenter on drawn scenes, so that anybody can make them again."""
