"""Network dissection of image generators, published as a static site (Bau et al. 2019 and 2020)."""

__version__ = "0.1.0"
