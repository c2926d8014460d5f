"""The provenance of numbers: the identity of networks, and versions."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from dissectreport.files import sha256
from dissectreport.run.addresses import CODE, ModelAddress, split_names
from dissectreport.version import __version__

if TYPE_CHECKING:
    from dissectreport.models.base import Generator
    from dissectreport.segmenters.base import Segmenter


def identity(network: Generator | Segmenter, name: str) -> str:
    """The identity of a network: its own, and that of the file that it comes from."""
    return " ".join(filter(None, (network.identity, source_digest(name))))


def source_digest(name: str) -> str:
    """The SHA-256 of every file in the addresses ./file.py:function of `name`; '' for other names.

    It is a part of cache keys, because an edited file may be another model with the same weights.
    """
    modules = [part.rpartition(":")[0] for part in split_names(ModelAddress.read(name).model)]
    return " ".join(sha256(Path(module), links=True) for module in modules if module.endswith(CODE))


def versions() -> dict[str, str]:
    """The versions of packages that the numbers depend on."""
    numbers = {"dissectreport": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy"):
        try:
            numbers[name] = version(name)
        except PackageNotFoundError:
            numbers[name] = "not installed"
    return numbers
