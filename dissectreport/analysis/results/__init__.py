"""The results of an analysis as frozen dataclasses: all that the report may see, and what a notebook gets."""
