"""The site: pages, charts and pictures made from a Dissection, without a network and without torch."""

SITE_LIMIT = 1000
"""Most megabytes of one model's files: GitHub Pages publishes no site above 1 GB."""
CAP = 25
"""Most megabytes of a report as one file, which mail still takes."""
