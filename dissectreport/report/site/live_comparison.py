"""Writes what the live page of comparisons reads: only what changed, and nothing of models that are gone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dissectreport.report.compare.live_files import FOLDER, LiveFile, live_files
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.site.writing import LEDGER, is_inside, remove_ours, write_if_changed


@dataclass(frozen=True)
class LiveFilesWritten:
    """What became of the files of a site."""

    files: int
    changed: int
    bytes: int


def write_live_files(out: Path, site: SiteModels) -> LiveFilesWritten:
    """Bring the files of the site at `out` up to date.

    The ledger has the digest of what every file was computed from. Before anything is written it names old and new
    files together, new ones without a digest, so that a run that dies in between leaves nothing unknown.
    """
    folder, files = out / FOLDER, live_files(site)
    before = read_digests(folder)
    now = {name: file.digest for name, file in files.items()}
    stale = [name for name in files if before.get(name) != now[name] or not (folder / name).is_file()]
    if before != now:
        _write_digests(folder, before | now | dict.fromkeys(stale, ""))
    changed = sum(write_if_changed(folder / name, files[name].content()) for name in stale)
    remove_ours(folder, set(before) - set(now))
    if before or now:
        _write_digests(folder, now)
    return LiveFilesWritten(len(files), changed, _size(folder, files))


def _size(folder: Path, files: Mapping[str, LiveFile]) -> int:
    return sum((folder / name).stat().st_size for name in files)


def read_digests(folder: Path) -> dict[str, str]:
    """The files that were written to `folder`, with the digests of what they were computed from."""
    try:
        digests = json.loads((folder / LEDGER).read_text("utf-8"))["files"]
        return {str(name): str(digest) for name, digest in digests.items() if is_inside(name)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_digests(folder: Path, digests: Mapping[str, str]) -> None:
    content = json.dumps({"files": dict(sorted(digests.items()))}, indent=0, ensure_ascii=True)
    write_if_changed(folder / LEDGER, content.encode() + b"\n")
