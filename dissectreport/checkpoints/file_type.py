"""The type of a file by its first bytes, because names are often wrong. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from dissectreport.errors import WeightsError

HEAD = 512
"""Number of first bytes that `file_type` needs."""
MARKUP = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")
LARGEST_HEADER = 100_000_000
"""The largest header that the safetensors format allows, in bytes."""

NOT_WEIGHTS = {
    "empty": "is empty",
    "page": "is a web page that was saved under this name",
    "pointer": "is a git-lfs pointer instead of the file: `git lfs pull` fetches the file",
    "tar": "is a tar archive: unpack it, and give the file of weights in it",
    "gzip": "is compressed with gzip: unpack it first",
}
"""Types that contain no weights, and what to tell the user."""


def file_type(head: bytes) -> str:
    """The type of a file by its first HEAD bytes: safetensors, zip, pickle, a key of NOT_WEIGHTS, or ''."""
    if not head:
        return "empty"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(MARKUP):
        return "page"
    if head.startswith(b"version https://git-lfs"):
        return "pointer"
    # Eight bytes of length, then JSON. Tested before pickles, because the length may begin like one.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < LARGEST_HEADER:
        return "safetensors"
    if head[257:262] == b"ustar":
        return "tar"
    for prefix, kind in ((b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"\x1f\x8b", "gzip"), (b"\x80", "pickle")):
        if head.startswith(prefix):
            return kind
    return ""


def checked_file_type(path: Path, remedy: str) -> str:
    """The type of a file; a WeightsError that ends with `remedy` if it cannot be read or contains no weights."""
    try:
        with path.open("rb") as file:
            kind = file_type(file.read(HEAD))
    except FileNotFoundError as problem:
        raise WeightsError(f"{path} cannot be read: there is no such file; {remedy}") from problem
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}; {remedy}") from problem
    if kind in NOT_WEIGHTS:
        raise WeightsError(f"{path} {NOT_WEIGHTS[kind]}; {remedy}")
    return kind
