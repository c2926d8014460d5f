"""The site: pages, charts and pictures made from a Dissection, without a network and without torch."""
