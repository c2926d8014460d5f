"""Network dissection of image generators, published as a static site (Bau et al. 2019 and 2020).

report = dissectreport.load("scenes_pgan")   # or the folder of a site
report.layer("layer6").units                 # a pandas table, one row a unit
report.layer("layer6").unit(3).image         # the images where it fires most
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dissectreport.version import __version__ as __version__

if TYPE_CHECKING:
    from dissectreport.report.export.notebook import Report

__all__ = ["load"]


def load(
    what: str | Path,
    *,
    model: str = "",
    rule: str = "",
    cache: Path | None = None,
    samples: int = 0,
    layers: tuple[str, ...] = (),
) -> Report:
    """The tables and pictures of a report: of a model that was measured, by name, or of a site, by its folder.

    Of several models in a site, `model` chooses, by name or folder; of several rules `rule`, by default the corrected
    one; of several runs in the cache, the newest that fits is taken.
    """
    from dissectreport.pipeline import steps
    from dissectreport.report.export import notebook

    if notebook.is_site(Path(what)):
        return notebook.of_site(Path(what), model, rule)
    return notebook.of_dissection(steps.load(str(what), rule or "corrected", cache, samples=samples, layers=layers))
