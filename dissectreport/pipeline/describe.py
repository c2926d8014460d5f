"""The description of a checkpoint, to be completed and used instead of it."""

from __future__ import annotations

from pathlib import Path

from dissectreport.errors import ModelError, answered


def describe(path: Path) -> str:
    """The TOML that describes a checkpoint, filled in as far as its content shows; see `families.describing`."""
    from dissectreport.models.families import describing

    return answered(ModelError, f"{path} cannot be described", lambda: describing.describe(path))
