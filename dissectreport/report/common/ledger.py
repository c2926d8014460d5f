"""Ledgers: which files of a folder were written here, each with its SHA-256.

The folder of a site has a ledger, and so has the folder of each model and that of the live comparison. A file that a
ledger lists with another digest was damaged, or changed by hand; a file that no ledger lists is somebody's own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dissectreport import files, structured
from dissectreport.errors import OutputError

LEDGER = "manifest.json"
"""The name of a ledger in its folder."""
MOST = 64 * 2**20
"""Most bytes of a ledger, or of another file of a site that is read."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LINE = re.compile(r'"((?:[^"\\]|\\.)*)": "([0-9a-f]{64})",?')

Digests = Mapping[str, str]
"""SHA-256 in hexadecimal digits, by the name of the file."""


@dataclass(frozen=True)
class Ledger:
    """The files of one folder."""

    files: Digests = field(default_factory=dict)
    before: Digests = field(default_factory=dict)
    """What stood there before files were written, while they are written; empty when that is done."""
    folders: tuple[str, ...] = ()
    """Folders in this one that have a ledger of their own."""
    sources: Digests = field(default_factory=dict)
    """Of files that take long to compute, the digest of what each was computed from."""
    intact: bool = True
    """Whether the ledger itself is as it was written."""

    @property
    def names(self) -> set[str]:
        """Every file that was written here."""
        return {*self.files, *self.before}

    def has(self, name: str, digest: str) -> bool:
        """Whether a file with this digest was written here under this name."""
        return digest in (self.files.get(name), self.before.get(name))

    def content(self, folder: str) -> bytes:
        """The file: one name a line, sealed by a digest, for the folder of this address from the top of the site."""
        values: dict[str, Any] = {
            "dissectreport": folder,
            "folders": sorted(self.folders),
            "files": dict(sorted(self.files.items())),
            "before": dict(sorted(self.before.items())),
            "sources": dict(sorted(self.sources.items())),
        }
        return f"{json.dumps(values | {'seal': _seal(values)}, indent=0, ensure_ascii=True)}\n".encode()


def _seal(values: Mapping[str, Any]) -> str:
    return digest_of(json.dumps(values, sort_keys=True, ensure_ascii=True).encode())


def digest_of(content: bytes) -> str:
    """The SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_ledger(out: Path, folder: str = "") -> Ledger | None:
    """The ledger of a folder of the site at `out`; None where there is none.

    Of a ledger that is damaged, the lines that can be read are taken: a wrong one fits no file.
    """
    try:
        content = read_file(out, f"{folder}/{LEDGER}" if folder else LEDGER)
    except (OSError, OutputError):
        return None
    return parsed(content, folder)


def read_file(out: Path, name: str) -> bytes:
    """A file of the site at `out`; OSError or OutputError where it is none that can be read safely."""
    return files.read(files.place(out, name), MOST)


def parsed(content: bytes, folder: str) -> Ledger | None:
    """The ledger in a file's content; None where the file is something else."""
    try:
        values = structured.parse_json(content)
        sealed = {name: value for name, value in values.items() if name != "seal"}
        if values["dissectreport"] == folder and values["seal"] == _seal(sealed):
            return _ledger(values)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return _salvaged(content)


def _ledger(values: Mapping[str, Any]) -> Ledger:
    folders = tuple(name for name in values["folders"] if files.is_inside(name))
    sources = {str(name): str(source) for name, source in values["sources"].items()}
    return Ledger(_valid(values["files"]), _valid(values["before"]), folders, sources)


def _valid(digests: Mapping[str, Any]) -> dict[str, str]:
    """Only relative names, each with a digest: others were never written here."""
    return {
        name: digest
        for name, digest in digests.items()
        if files.is_inside(name) and isinstance(digest, str) and _DIGEST.fullmatch(digest)
    }


def _salvaged(content: bytes) -> Ledger | None:
    text = content.decode("utf-8", "replace")
    if '"dissectreport": "' not in text and '"seal": "' not in text:
        return None
    pairs = (match.groups() for line in text.splitlines() if (match := _LINE.fullmatch(line.strip())))
    read: dict[str, str] = {}
    for name, digest in pairs:
        read.setdefault(name, digest)
    return Ledger(_valid({name: digest for name, digest in read.items() if name != "seal"}), intact=False)


def ledgers(out: Path) -> Iterator[tuple[str, Ledger]]:
    """Every ledger of the site at `out`, by the address of its folder: that of the site comes first, as ''."""
    yield from walked(lambda folder: read_ledger(out, folder))


def walked(read: Callable[[str], Ledger | None]) -> Iterator[tuple[str, Ledger]]:
    """The ledgers that `read` gives, by the addresses of their folders."""
    first = read("")
    if first is None:
        return
    yield "", first
    for folder in first.folders:
        ledger = read(folder)
        if ledger is not None:
            yield folder, ledger


def listed(found: Iterator[tuple[str, Ledger]]) -> dict[str, str]:
    """The digest of every file that ledgers list, by its address; '' for the ledgers themselves."""
    digests: dict[str, str] = {}
    for folder, ledger in found:
        beginning = f"{folder}/" if folder else ""
        digests |= {f"{beginning}{name}": digest for name, digest in ledger.files.items()}
        digests[f"{beginning}{LEDGER}"] = ""
    return digests
