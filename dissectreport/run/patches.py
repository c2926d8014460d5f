"""Patches: the cells of a layer in which units are inserted, numbered row by row."""

PATCHES_PER_SIDE = 8
"""Patches in a row of a map, and in a column."""


def patch_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of patches in a map: 8 x 8, so that a patch is 1/64 of it, or its cells where it has fewer."""
    return min(PATCHES_PER_SIDE, height), min(PATCHES_PER_SIDE, width)


def patch_box(patch: int, height: int, width: int) -> tuple[float, float, float, float]:
    """Top, left, height and width of a patch of a map of that many cells, as shares of the image."""
    rows, columns = patch_grid(height, width)
    return patch // columns / rows, patch % columns / columns, 1 / rows, 1 / columns
