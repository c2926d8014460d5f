"""Network dissection of image generators, published as a static site (Bau et al. 2019 and 2020).

dissectreport.build(dissectreport.Options("scenes_pgan", quick=True), Path("site"))   # or measure, then render
report = dissectreport.load("scenes_pgan")   # or the folder of a site
report.layer("layer6").units                 # a pandas table, one row for each unit
report.layer("layer6").unit(3).image         # the images with the unit's highest activations
"""

from __future__ import annotations

from dissectreport.version import __version__ as __version__

TYPE_CHECKING = False
"""Set by programs that check types. Nothing is imported here, so that a signal is handled as soon as possible."""
if TYPE_CHECKING:
    from pathlib import Path

    from dissectreport.pipeline.build import build as build
    from dissectreport.pipeline.measure import measure as measure
    from dissectreport.pipeline.options import Options as Options
    from dissectreport.pipeline.render import render as render
    from dissectreport.report.export.notebook import Report

__all__ = ["Options", "build", "load", "measure", "render"]

HOMES = {
    "Options": "dissectreport.pipeline.options",
    "build": "dissectreport.pipeline.build",
    "measure": "dissectreport.pipeline.measure",
    "render": "dissectreport.pipeline.render",
}
"""Where public names are defined; they are imported when first used, so that `import dissectreport` is fast."""


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module 'dissectreport' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])


def load(
    what: str | Path,
    *,
    model: str = "",
    rule: str = "",
    cache: Path | None = None,
    samples: int = 0,
    layers: tuple[str, ...] = (),
) -> Report:
    """The tables and images of a report: of a measured model, by its name, or of a site, by its folder.

    Of several models in a site, `model` chooses, by name or folder; of several rules `rule`, by default `corrected`;
    of several runs in the cache, the newest that fits is taken.
    """
    from pathlib import Path

    from dissectreport.pipeline.render import load_dissection
    from dissectreport.report.export import notebook
    from dissectreport.run.rules import RuleName

    if notebook.is_site(Path(what)):
        return notebook.of_site(Path(what), model, rule)
    return notebook.of_dissection(
        load_dissection(str(what), rule or RuleName.CORRECTED, cache, samples=samples, layers=layers)
    )
