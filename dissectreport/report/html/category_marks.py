"""The sign of each category: a colour and a shape, so that colour never stands alone."""

from __future__ import annotations

import hashlib

_KNOWN = {"object": "object", "part": "part", "material": "material", "colour": "colour", "color": "colour"}
_MORE = ("extra1", "extra2", "extra3")


def mark_of(category: str) -> str:
    """The name of a category's sign, also a CSS class and variable: object, part … or extra1 to extra3."""
    if not category:
        return "quiet"
    if category in _KNOWN:
        return _KNOWN[category]
    return _MORE[hashlib.sha256(category.encode()).digest()[0] % len(_MORE)]
