"""Files of weights: read as data, checked, fetched, and put into networks."""
