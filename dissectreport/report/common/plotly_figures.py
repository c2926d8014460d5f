"""Figures for plotly as plain JSON; colours name CSS variables, which the page's script fills in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.common.model import rows_of
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.effect_charts import Dot

Figure = dict[str, Any]
SYMBOLS = {"object": "circle", "part": "diamond", "material": "square", "colour": "triangle-up"}


def _number(value: float, digits: int = 4) -> float | None:
    return None if math.isnan(value) else round(float(value), digits)


def layout(x: str, y: str, **more: Any) -> Figure:
    """Axes with titles, quiet grids and our fonts."""
    axis = {
        "gridcolor": "var(--line)",
        "zeroline": False,
        "linecolor": "var(--line)",
        "tickcolor": "var(--line)",
    }
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--sans)", "size": 13, "color": "var(--soft)"},
        "hoverlabel": {"font": {"family": "var(--sans)", "size": 13}},
        "margin": {"l": 60, "r": 16, "t": 16, "b": 56},
        "legend": {"orientation": "h", "y": 1.08, "x": 0},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "var(--quiet)", "activecolor": "var(--ink)"},
        "xaxis": {"title": {"text": x, "font": {"size": 13}}, **axis},
        "yaxis": {"title": {"text": y, "font": {"size": 13}}, **axis},
        **more,
    }


def agreement_scatter(layer: Layer, categories: Sequence[str]) -> Figure:
    """Every unit of a layer: chance level (horizontal) and IoU (vertical); above the diagonal is better than chance."""
    table = layer.table[layer.table["concept"] != ""]
    top = float(max(table[["iou_high", "chance_level"]].max(skipna=True).max(), 0.05)) if len(table) else 1.0
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [0, round(top, 3)],
            "y": [0, round(top, 3)],
            "line": {"color": "var(--null)", "dash": "dot", "width": 1.5},
            "name": "IoU = chance level",
            "hoverinfo": "skip",
        }
    ]
    traces += [_units(table[table["category"] == c], c) for c in categories if (table["category"] == c).any()]
    axes = layout("chance level", "IoU")
    for axis in ("xaxis", "yaxis"):
        axes[axis]["range"] = [0, top]
    return {"data": traces, "layout": axes}


def _units(rows: pd.DataFrame, category: str) -> Figure:
    colour = f"var(--{mark_of(category)})"
    hover = "%{text}<br>IoU %{y:.2f} [%{customdata[1]}, %{customdata[2]}]<br>chance level %{x:.2f}<extra></extra>"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": category,
        "x": [_number(v) for v in rows["chance_level"]],
        "y": [_number(v) for v in rows["iou"]],
        "text": [f"unit {r.unit}: {r.concept}" for r in rows_of(rows)],
        "customdata": [[int(r.unit), _number(r.iou_low, 2), _number(r.iou_high, 2)] for r in rows_of(rows)],
        "hovertemplate": hover,
        "marker": {
            "color": colour,
            "size": [9 if ok else 6 for ok in rows["interpretable"]],
            "opacity": [0.9 if ok else 0.35 for ok in rows["interpretable"]],
            "symbol": SYMBOLS.get(category, "star"),
        },
    }


@dataclass(frozen=True)
class Grid:
    """Numbers by concept (down) and layer (across)."""

    concepts: tuple[str, ...]
    layers: tuple[str, ...]
    corrected_iou: tuple[tuple[float, ...], ...]
    units: tuple[tuple[int, ...], ...]


def concept_heatmap(grid: Grid) -> Figure:
    """The strongest unit's chance-corrected IoU for every concept and layer."""
    return {
        "data": [
            {
                "type": "heatmap",
                "x": list(grid.layers),
                "y": list(grid.concepts),
                "z": [[_number(v) for v in row] for row in grid.corrected_iou],
                "text": [[f"{n} units" for n in row] for row in grid.units],
                "hovertemplate": "%{y} in %{x}<br>chance-corrected IoU %{z:.2f}<br>%{text}<extra></extra>",
                "colorscale": [[0, "var(--card)"], [1, "var(--object)"]],
                "colorbar": {
                    "thickness": 10,
                    "outlinewidth": 0,
                    "title": {"text": "chance-corrected IoU", "side": "right"},
                },
                "xgap": 2,
                "ygap": 2,
            }
        ],
        "layout": layout("", "", height=120 + 22 * len(grid.concepts), margin={"l": 110, "r": 16, "t": 40, "b": 16})
        | {
            "xaxis": {"showgrid": False, "ticks": "", "side": "top"},
            "yaxis": {"showgrid": False, "ticks": "", "autorange": "reversed", "automargin": True},
        },
    }


def effect_scatter(dots: Sequence[Dot]) -> Figure:
    """Measured effect of single units over the estimate; on the diagonal both are equal."""
    both = [d for d in dots if not math.isnan(d.measured_effect.value) and not math.isnan(d.estimate)]
    ends = [v for d in both for v in (d.estimate, d.measured_effect.value)]
    low, high = round(min([*ends, 0.0]), 4), round(max([*ends, 0.01]), 4)
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": [low, high],
        "y": [low, high],
        "line": {"color": "var(--null)", "dash": "dot", "width": 1.5},
        "name": "estimate = measurement",
        "hoverinfo": "skip",
    }
    units = {
        "type": "scatter",
        "mode": "markers",
        "name": "units",
        "x": [_number(d.estimate) for d in both],
        "y": [_number(d.measured_effect.value) for d in both],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [_number(d.measured_effect.high - d.measured_effect.value) for d in both],
            "arrayminus": [_number(d.measured_effect.value - d.measured_effect.low) for d in both],
            "color": "var(--quiet)",
            "thickness": 1,
            "width": 0,
        },
        "text": [f"unit {d.unit}" for d in both],
        "marker": {"color": "var(--accent)", "size": 8},
        "hovertemplate": "%{text}<br>measured %{y:.1%}<br>estimated %{x:.1%}<extra></extra>",
    }
    axes = layout("estimated (gradient × activation)", "measured")
    for axis in ("xaxis", "yaxis"):
        axes[axis]["tickformat"] = ".0%"
    return {"data": [diagonal, units], "layout": axes}
