"""Putting a site on GitHub Pages, and serving it on this machine."""
