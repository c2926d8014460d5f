"""Networks whose features measure how close images are to others."""
