"""Pages are rendered once in a run of the tests: the same dissection, at the same places, with the same options."""

from __future__ import annotations

import hashlib
import pickle

from dissectreport.report.common.model import Site
from dissectreport.report.html.places import Files
from dissectreport.report.site.gather import Progress, gather
from dissectreport.run.parallel import Spread, in_turn

MOST_BYTES = 200_000_000
"""Bytes of pages that are kept; the oldest make room for new ones."""


class RenderedPages:
    """The pages that were rendered before, by what they were rendered from."""

    def __init__(self) -> None:
        self._kept: dict[str, Files] = {}

    def gather(self, site: Site, progress: Progress | None = None, spread: Spread = in_turn) -> Files:
        """What the function of this name gives; rendered anew where somebody watches or spreads the work."""
        if progress is not None or spread is not in_turn:
            return gather(site, progress, spread)
        key = hashlib.sha256(pickle.dumps((site.dissection, site.places, site.settings))).hexdigest()
        if key not in self._kept:
            self._kept[key] = gather(site)
            self._make_room()
        return dict(self._kept[key])

    def _make_room(self) -> None:
        size = sum(len(content) for files in self._kept.values() for content in files.values())
        while size > MOST_BYTES and len(self._kept) > 1:
            oldest = self._kept.pop(next(iter(self._kept)))
            size -= sum(map(len, oldest.values()))
