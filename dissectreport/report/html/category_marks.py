"""The sign of each category: a colour and a shape, so that colour never stands alone."""

from __future__ import annotations

import hashlib

_KNOWN = {"object": "object", "part": "part", "material": "material", "colour": "colour", "color": "colour"}
_MORE = ("extra1", "extra2", "extra3")


COLOURS = {
    "object": (0x3F, 0x58, 0xB5),
    "part": (0x23, 0x80, 0x6F),
    "material": (0xB5, 0x65, 0x1D),
    "colour": (0x8D, 0x44, 0xA6),
    "extra1": (0xB0, 0x3A, 0x5B),
    "extra2": (0x5B, 0x7A, 0x1F),
    "extra3": (0x2F, 0x7F, 0xA3),
    "quiet": (0x80, 0x7E, 0x7A),
}
"""The colours of the signs within pictures; pages have them, by theme, from the style sheet."""


def mark_of(category: str) -> str:
    """The name of a category's sign, also a CSS class and variable: object, part … or extra1 to extra3."""
    if not category:
        return "quiet"
    if category in _KNOWN:
        return _KNOWN[category]
    return _MORE[hashlib.sha256(category.encode()).digest()[0] % len(_MORE)]
