"""The axes of a site's comparison charts, drawn."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.report.compare import charts
from dissectreport.report.compare.charts import Axis
from dissectreport.report.compare.scales import Scales
from dissectreport.report.compare.texts import Texts
from dissectreport.report.html.numbers import percent, removed


@dataclass(frozen=True)
class SiteAxes:
    """What stands behind the parts that are drawn for each model."""

    units: dict[str, Axis]
    """By category."""
    removed: Axis
    iou: Axis
    interpretable: str
    labels: str
    depth: str
    """Under lines of models whose layers have different names."""


def axes_of(scales: Scales) -> SiteAxes:
    """The axes of a site."""
    texts = Texts()
    return SiteAxes(
        units={category: charts.row_axis(0.0, top, percent) for category, top in scales.units.items()},
        removed=charts.row_axis(*scales.removed, removed),
        iou=charts.histogram_axis(scales, lambda value: f"{value:g}"),
        interpretable=charts.line_grid(scales.interpretable, percent),
        labels=charts.line_grid(scales.labels, lambda value: f"{value:g}"),
        depth=Markup("").join((charts.line_mark(0.0, texts.first), charts.line_mark(1.0, texts.last))),
    )
