"""From results to a static site: pages, charts and images, without a network and without torch."""
