"""Networks whose features tell how near images are to others."""
