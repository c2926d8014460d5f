"""File names and links: any name becomes a safe one, and every link is relative."""

from __future__ import annotations

import hashlib
import posixpath
import re
import unicodedata
from collections.abc import Collection

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def safe_name(name: str, taken: Collection[str] = ()) -> str:
    """A file name for `name`: itself where that is safe and not `taken`, else an approximation with its hash.

    Two names never share a file, not even where a file system ignores case (`taken` is compared so).
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = _UNSAFE.sub("-", plain).strip("-.")[:60]
    reserved = _WINDOWS.fullmatch(plain) is not None
    if plain and plain == name and not reserved and plain.casefold() not in {t.casefold() for t in taken}:
        return plain
    return f"{plain or 'x'}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def safe_names(names: Collection[str], taken: Collection[str] = ()) -> dict[str, str]:
    """A different safe file name for each of `names`, none of them `taken`."""
    address_by_name: dict[str, str] = {}
    for name in names:
        address_by_name[name] = safe_name(name, [*taken, *address_by_name.values()])
    return address_by_name


def link(here: str, there: str) -> str:
    """The relative address of the page or file `there`, seen from the page `here`."""
    return posixpath.relpath(there, posixpath.dirname(here) or ".")
