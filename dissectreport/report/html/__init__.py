"""The building blocks of pages: frame, assets, charts, images, numbers, links."""
