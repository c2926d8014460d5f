"""Writes what the live page of comparisons reads: only what changed, and nothing of models that are gone."""

from __future__ import annotations

from dataclasses import dataclass

from dissectreport.report.common.ledger import Ledger, read_ledger
from dissectreport.report.compare.live_files import FOLDER, live_files
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.site.existing_files import digests
from dissectreport.report.site.writing import Content, SiteFolder, write_folder


@dataclass(frozen=True)
class LiveFilesWritten:
    """What became of the files of a site."""

    files: int
    changed: int
    bytes: int


def write_live_files(target: SiteFolder, site: SiteModels) -> LiveFilesWritten:
    """Bring the files of a site up to date: those that are missing, damaged, or computed from something else."""
    wanted = live_files(site)
    old = read_ledger(target.out, FOLDER) or Ledger()
    existing = digests(target.out, FOLDER, wanted)
    now = {name: file.digest for name, file in wanted.items()}
    stale = [
        name for name in wanted if old.sources.get(name) != now[name] or existing.get(name) != old.files.get(name, "")
    ]
    changed = 0
    if old.names or now:
        fresh = {name: wanted[name].content() for name in stale}
        changed = write_folder(target, FOLDER, Content(fresh, wanted, sources=now))
    size = sum((target.out / FOLDER / name).stat().st_size for name in wanted)
    return LiveFilesWritten(len(wanted), changed, size)
