"""The type of a file by its first bytes, because names are often wrong. Needs no torch."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dissectreport import files
from dissectreport.checkpoints import archives
from dissectreport.errors import WeightsError

REMEDY = "give the file of weights itself"
"""What a user can do about a file that cannot be read, unless the caller knows better."""
HEAD = 512
"""Number of first bytes that `file_type` needs."""
MARKUP = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")
LARGEST_HEADER = 100_000_000
"""The largest header that the safetensors format allows, in bytes."""

TENSORFLOW_EXPORT = "export its variables as arrays: numpy.savez('weights.npz', **{name: array, …})"
NOT_WEIGHTS = {
    "empty": "is empty",
    "page": "is a web page that was saved under this name",
    "pointer": "is a git-lfs pointer instead of the file: `git lfs pull` fetches the file",
    "compressed": "is compressed: unpack it",
    "keras": f"is a file of Keras (HDF5): {TENSORFLOW_EXPORT}",
    "onnx": "is an ONNX program, not only weights: give the file that the training program saved before its export",
    "tensorflow": f"is a part of a TensorFlow checkpoint: {TENSORFLOW_EXPORT}",
    "gguf": "is a GGUF file of a language model",
    "image": "is an image",
    "json": "is JSON, not weights: if it lists the files of weights, give those, weights = [ … ]",
    "document": "is a document (PDF)",
}
"""Types that contain no weights, and what to tell the user."""
PREFIXES = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "compressed"),
    (b"BZh", "compressed"),
    (b"\x28\xb5\x2f\xfd", "compressed"),
    (b"7z\xbc\xaf\x27\x1c", "compressed"),
    (b"Rar!", "compressed"),
    (b"\x89HDF\r\n\x1a\n", "keras"),
    (b"model_checkpoint_path:", "tensorflow"),
    (b"GGUF", "gguf"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"%PDF", "document"),
    (b"\x80", "pickle"),
)
ONNX = re.compile(rb"\x08[\x01-\x20][\x12\x3a\x42].", re.DOTALL)
"""The beginning of an ONNX file: its version, then the program that made it, or its network."""
TENSORFLOW_NAME = re.compile(r".*\.(index|meta|data-\d{5}-of-\d{5}|pb)")
"""The names of a TensorFlow checkpoint's files, whose first bytes say nothing."""
LARGE = 1_000_000_000
"""Smaller files are not examined for holes."""


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
    if head.lstrip()[:1] == b"{" and head.lstrip(b"{ \t\r\n")[:1] == b'"':
        return "json"
    known = next((kind for prefix, kind in PREFIXES if head.startswith(prefix)), "")
    return known or ("onnx" if ONNX.match(head) else "")


def checked_file_type(path: Path, remedy: str) -> str:
    """The type of a file; a WeightsError that ends with `remedy` if it cannot be read or contains no weights.

    Pipes and devices, which may never end, are not opened, and neither are files that consist of holes.
    """
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; give the file of weights in it")
    try:
        with files.opened(path) as file:
            kind = file_type(file.read(HEAD))
            holes = _holes(os.fstat(file.fileno()))
    except FileNotFoundError as problem:
        raise WeightsError(f"{path} cannot be read: there is no such file; {remedy}") from problem
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}; {remedy}") from problem
    if not kind and TENSORFLOW_NAME.fullmatch(path.name):
        kind = "tensorflow"
    if kind in archives.KINDS:
        raise WeightsError(f"{path} {archives.advice(path, kind)}; {remedy}")
    if kind in NOT_WEIGHTS:
        raise WeightsError(f"{path} {NOT_WEIGHTS[kind]}; {remedy}")
    if holes:
        raise WeightsError(f"{path} {holes}: its download was not finished; {remedy}")
    return kind


def _holes(status: os.stat_result) -> str:
    """How much of a large file was never written, if that is most of it; '' otherwise."""
    written = 512 * getattr(status, "st_blocks", status.st_size)
    if status.st_size < LARGE or written > status.st_size / 10:
        return ""
    return f"has {status.st_size / 1e9:.1f} GB, of which only {written / 1e9:.1f} GB were ever written"
