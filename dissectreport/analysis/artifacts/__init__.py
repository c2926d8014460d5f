"""Which units cause artifacts, and what ablating them does to image quality."""
