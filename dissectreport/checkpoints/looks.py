"""What a file is, by its first bytes; its name is often wrong. Needs no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dissectreport.errors import WeightsError

HEAD = 512
"""Bytes from the beginning of a file that tell what it is."""
MARKUP = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")
LARGEST_HEADER = 100_000_000
"""Bytes of the table at the beginning of a safetensors file, by its format at most."""

NO_WEIGHTS = {
    "empty": "is empty",
    "page": "is a web page that was saved under this name",
    "pointer": "is a git-lfs pointer, not the file that it stands for: `git lfs pull` fetches that",
    "tar": "is a tar archive: unpack it, and give the file of weights in it",
    "gzip": "is compressed with gzip: unpack it first",
}
"""What is wrong with a file that can hold no weights, by what it looks like."""


def look(head: bytes) -> str:
    """safetensors, zip or pickle, which may hold weights, a word of NO_WEIGHTS, or ''; from the first HEAD bytes."""
    if not head:
        return "empty"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(MARKUP):
        return "page"
    if head.startswith(b"version https://git-lfs"):
        return "pointer"
    # Eight bytes of length, then a table in JSON; asked first, because the length may begin as a pickle does.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < LARGEST_HEADER:
        return "safetensors"
    if head[257:262] == b"ustar":
        return "tar"
    for beginning, kind in ((b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"\x1f\x8b", "gzip"), (b"\x80", "pickle")):
        if head.startswith(beginning):
            return kind
    return ""


def look_at(path: Path, cure: str) -> str:
    """What a file looks like; one that hides something else is refused, and `cure` is what would do."""
    try:
        with path.open("rb") as file:
            found = look(file.read(HEAD))
    except FileNotFoundError as problem:
        raise WeightsError(f"{path} cannot be read: there is no such file; {cure}") from problem
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}; {cure}") from problem
    if found in NO_WEIGHTS:
        raise WeightsError(f"{path} {NO_WEIGHTS[found]}; {cure}")
    return found


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
