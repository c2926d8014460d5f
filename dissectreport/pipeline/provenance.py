"""The provenance of numbers: the identity of networks, and versions."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from dissectreport.version import __version__

if TYPE_CHECKING:
    from dissectreport.models.base import Generator
    from dissectreport.segmenters.base import Segmenter


def identity(network: Generator | Segmenter, name: str) -> str:
    """The identity of a network: its own, and that of the file that it comes from."""
    from dissectreport import plugins

    return " ".join(filter(None, (network.identity, plugins.source_digest(name))))


def versions() -> dict[str, str]:
    """The versions of packages that the numbers depend on."""
    numbers = {"dissectreport": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy"):
        try:
            numbers[name] = version(name)
        except PackageNotFoundError:
            numbers[name] = "not installed"
    return numbers
