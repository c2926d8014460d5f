"""Weight files: read as data, checked, downloaded, and put into networks."""
