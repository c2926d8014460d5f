"""What is known of named models and segmenters without loading them: a TOML file each. Needs no torch.

    [groups.dissect]                        # who publishes files, and at which addresses; the first is tried first
    who = "davidbau/dissect"
    urls = ["https://dissect.csail.mit.edu/models/", "http://gandissect.csail.mit.edu/models/"]

    [families.progressive]                  # what several entries have in common
    licence = "not stated"

    [entries.church_pgan]
    family = "progressive"
    title = "churches, LSUN, 256 px"
    origins = [{ group = "dissect", files = [{ name = "proggan_churchoutdoor-7e701dd5.pth", sha256 = "7e701dd5" }] }]

An entry has `origins` (files to download; each origin would do), or `packaged` (files that come with the package,
perhaps none), or a `hub` repository that another library downloads, or none of these: it takes a file of the user's.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dissectreport.checkpoints.downloads import Remote, fetch_any, folder

OWN_FILE = "--weights"


@dataclass(frozen=True)
class Origin:
    """Files that are needed together, from one publisher."""

    who: str
    files: tuple[Remote, ...]

    def paths(self) -> tuple[Path, ...]:
        """Where they lie, or will."""
        return tuple(folder() / file.name for file in self.files)

    def there(self) -> bool:
        """Whether all of them lie in the folder of downloads."""
        return all(path.is_file() for path in self.paths())


@dataclass(frozen=True)
class Entry:
    """What is known of a name."""

    name: str
    title: str
    """What it is, in a few words."""
    licence: str
    """Of its weights: a short name, or "not stated"."""
    licence_note: str
    """What else there is to say of the licence, or ''."""
    megabytes: int
    """About what its files take; 0 where nobody knows."""
    origins: tuple[Origin, ...]
    packaged: tuple[Path, ...] | None
    """Files that come with the package; None for what does not."""
    more: Mapping[str, Any]
    """Everything else that its file says."""

    def state(self) -> str:
        """embedded, installed (what it needs was downloaded), downloadable, from a hub, or --weights."""
        if self.packaged is not None:
            return "embedded"
        if any(origin.there() for origin in self.origins):
            return "installed"
        if "hub" in self.more:
            return "from a hub"
        return "downloadable" if self.origins else OWN_FILE

    def size(self) -> str:
        """What its files take: told exactly where they are there, with ~ where not, '' where nobody knows."""
        there = next((origin.paths() for origin in self.origins if origin.there()), ())
        files = [path for path in (*(self.packaged or ()), *there) if path.exists()]
        if files:
            return f"{sum(path.stat().st_size for path in files) / 1e6:,.0f} MB"
        if self.megabytes >= 1000:
            return f"~{self.megabytes / 1000:.1f} GB"
        return f"~{self.megabytes} MB" if self.megabytes else ""

    def bring(self, meanwhile: str = "") -> Origin:
        """The origin whose files are here, downloaded if none's are; `meanwhile` is what would do without them."""
        return self.origins[fetch_any([origin.files for origin in self.origins], folder(), meanwhile)]


@cache
def entries(path: Path) -> Mapping[str, Entry]:
    """The entries of a catalogue, by name."""
    told = tomllib.loads(path.read_text("utf-8"))
    groups, families = told.get("groups", {}), told.get("families", {})
    return {
        name: _entry(name, {**families.get(own.get("family", ""), {}), **own}, groups, path.parent)
        for name, own in told["entries"].items()
    }


def _entry(name: str, told: Mapping[str, Any], groups: Mapping[str, Any], beside: Path) -> Entry:
    fields = {"title", "licence", "licence_note", "megabytes", "origins", "packaged", "family"}
    return Entry(
        name,
        told["title"],
        told["licence"],
        told.get("licence_note", ""),
        told.get("megabytes", 0),
        tuple(_origin(origin, groups[origin["group"]]) for origin in told.get("origins", ())),
        tuple(beside / file for file in told["packaged"]) if "packaged" in told else None,
        {key: value for key, value in told.items() if key not in fields},
    )


def _origin(told: Mapping[str, Any], group: Mapping[str, Any]) -> Origin:
    files = (
        Remote(
            file["name"],
            tuple(f"{url}{file['name']}" for url in group["urls"]),
            file.get("sha256", ""),
            file.get("size", 0),
        )
        for file in told["files"]
    )
    return Origin(group["who"], tuple(files))
