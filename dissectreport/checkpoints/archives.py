"""Archives in place of weights: what lies in them, and which file is to be unpacked. Nothing is unpacked here."""

from __future__ import annotations

import gzip
import shlex
import tarfile
import zlib
from collections.abc import Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path

from dissectreport.checkpoints.names import first_of, shown
from dissectreport.run.addresses import is_weights

KINDS = ("tar", "gzip")
"""The types of files, by their first bytes, that are archives of one file or of several."""
LOOKED_AT = 1 << 20
"""The first bytes of a compressed file that are looked at."""
MANY = 5_000
"""The files in an archive that are looked at."""
TORCH_TAR = {"sys_info", "storages", "tensors", "pickle"}
"""The files in the archives of the first versions of torch."""


def advice(path: Path, kind: str) -> str:
    """What a tar archive or a gzip file is, and what to do with it."""
    return _of_tar(path) if kind == "tar" else _of_gzip(path)


def advice_of_zip(path: Path, names: Sequence[str]) -> str:
    """What a zip archive of other files is, and what to do with it."""
    return f"is a zip archive{_unpacking(names, f'unzip {_quoted(path)}')}"


def _of_tar(path: Path) -> str:
    try:
        with tarfile.open(path, "r:") as archive:
            names = [entry.name for entry in islice(archive, MANY) if entry.isfile()]
    except (tarfile.TarError, OSError, ValueError):
        return "is a tar archive that was truncated, or is damaged"
    if set(names) >= TORCH_TAR:
        return "was saved by a version of torch before 0.2: load it with torch, and save its state dict again"
    return f"is a tar archive{_unpacking(names, f'tar -xf {_quoted(path)}')}"


def _of_gzip(path: Path) -> str:
    try:
        with gzip.open(path) as file:
            beginning = file.read(LOOKED_AT)
    except (OSError, EOFError, zlib.error):
        return "is compressed with gzip, and was truncated, or is damaged"
    if beginning[257:262] != b"ustar":
        return f"is compressed with gzip: unpack it with `gunzip -k {_quoted(path)}`"
    names = _beginning_of_tar(beginning)
    return f"is a compressed tar archive{_unpacking(names, f'tar -xzf {_quoted(path)}')}"


def _beginning_of_tar(beginning: bytes) -> list[str]:
    """The names at the beginning of a tar archive."""
    names: list[str] = []
    try:
        with tarfile.open(fileobj=BytesIO(beginning), mode="r:") as archive:
            names.extend(entry.name for entry in islice(archive, MANY) if entry.isfile())
    except (tarfile.TarError, OSError, ValueError):
        pass
    return names


def _unpacking(names: Sequence[str], command: str) -> str:
    """Which files of an archive may be weights, and how to get them."""
    weights = [name for name in names if is_weights(Path(name).name)]
    if not weights:
        inside = f" of {first_of(names)}" if names else ""
        return f"{inside}: none of them is called like weights" if names else " of nothing that is called like weights"
    if len(weights) == 1:
        return f": unpack it with `{command} {shlex.quote(shown(weights[0]))}`, and give that file"
    return f" with {first_of(weights)}: unpack it with `{command}`, and give one of these files"


def _quoted(path: Path) -> str:
    return shlex.quote(shown(str(path)))
