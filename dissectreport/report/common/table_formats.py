"""The downloads: every table as CSV and, with the same names and numbers, as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dissectreport.analysis.results.dissection import Dissection, Layer

_FORMULA = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")
"""With what a formula may begin, also in the wide characters of East Asia."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_DIGITS = 6
"""Significant digits of a float in a download; intervals are far wider than the rounding."""


def layer_tables(layer: Layer) -> dict[str, pd.DataFrame]:
    """The tables of one layer by name."""
    return {
        "units": layer.table,
        "labels": layer.labels,
        "pairs": layer.pairs,
        "controls": layer.controls,
        "counts": layer.by_concept,
        "own_units": layer.own_units,
        "match_curves": layer.match_curves,
        "correlated": layer.correlated,
        "examples": _examples(layer),
    }


def model_tables(dissection: Dissection) -> dict[str, pd.DataFrame]:
    """The tables of a whole model by name."""
    controls = [layer.controls.assign(layer=layer.name) for layer in dissection.layers]
    joined = pd.concat(controls, ignore_index=True)
    real = {} if dissection.reality is None else {"real": dissection.reality.table}
    return {
        "concepts": dissection.concepts.reset_index(drop=True),
        "layers": joined[["layer", *joined.columns[:-1]]],
        **real,
        **({} if dissection.spike_in is None else {"planted": dissection.spike_in.planted}),
        **({} if dissection.spike_in is None else {"smallest_found": dissection.spike_in.concepts}),
        **({} if dissection.replication is None else {"replication": dissection.replication.claims}),
    }


def unit_tables(layer: Layer, names: pd.Series) -> dict[str, pd.DataFrame]:
    """The long tables of one layer: IoU with the label at every threshold, and activations by bin."""
    return {"curves": _curves(layer, names), "histogram": _histogram(layer)}


def _examples(layer: Layer) -> pd.DataFrame:
    shown = layer.examples
    units, k = shown.samples.shape
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(units), k),
            "kind": np.tile(shown.kind, units),
            "sample": shown.samples.reshape(-1),
            "peak": shown.peaks.reshape(-1).astype(float),
        }
    )


def _curves(layer: Layer, names: pd.Series) -> pd.DataFrame:
    curves = layer.curves
    units, t = curves.thresholds.shape
    blank = np.full((units, t), np.nan)
    table = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(units), t),
            "concept": np.repeat(names.to_numpy()[curves.concepts[:, 0]], t),
            "threshold": curves.thresholds.reshape(-1).astype(float),
            "on_fraction": curves.on_fractions.reshape(-1),
            "iou": curves.iou[:, 0].reshape(-1),
            "iou_low": (blank if curves.low is None else curves.low).reshape(-1),
            "iou_high": (blank if curves.high is None else curves.high).reshape(-1),
            "chance_level": curves.chance_level[:, 0].reshape(-1),
        }
    )
    return table[np.repeat(curves.concepts[:, 0] > 0, t)]


def _histogram(layer: Layer) -> pd.DataFrame:
    units, bins = layer.histogram.shape
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(units), bins),
            "bin_low": layer.edges[:, :-1].reshape(-1).astype(float),
            "bin_high": layer.edges[:, 1:].reshape(-1).astype(float),
            "count": layer.histogram.reshape(-1),
        }
    )


def as_csv(table: pd.DataFrame) -> bytes:
    """CSV with the columns' own names; nothing where there is no number.

    It begins with a byte order mark, by which spreadsheets know UTF-8. Text that a spreadsheet would take for a formula
    has an apostrophe before it; numbers are as they are.
    """
    words = [str(name) for name in table.columns if table[name].dtype.kind not in "biuf"]
    safe = table.assign(**{name: table[name].map(as_text, na_action="ignore") for name in words})
    return safe.to_csv(index=False, float_format=f"%.{_DIGITS}g", lineterminator="\n").encode("utf-8-sig")


def as_text(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula.

    >>> as_text("=1+1"), as_text("-tree"), as_text("-0.5"), as_text(-0.5), as_text("tree")
    ("'=1+1", "'-tree", '-0.5', -0.5, 'tree')
    """
    if not isinstance(cell, str):
        return cell
    # A carriage return alone would end the line without being quoted.
    text = cell.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def as_json(table: pd.DataFrame) -> bytes:
    """A list of records, one a line; null where there is no number."""
    columns = [_plain(table[name]) for name in table.columns]
    names = list(table.columns)
    # One encoder for all rows: `json.dumps` would make one for each.
    encode = json.JSONEncoder(allow_nan=False).encode
    lines = (encode(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True))
    return ("[" + ",\n ".join(lines) + "]\n").encode()


def _plain(column: pd.Series) -> list[Any]:
    if column.dtype.kind == "f":
        return [None if not math.isfinite(v) else float(f"{v:.{_DIGITS}g}") for v in column.tolist()]
    return [None if isinstance(v, float) and math.isnan(v) else v for v in column.tolist()]


def without_nan(value: Any) -> Any:
    """The same with null where there is no number."""
    if isinstance(value, Mapping):
        return {str(name): without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def as_json_file(value: Any) -> bytes:
    """JSON for people and programs, null where there is no number."""
    return (json.dumps(without_nan(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
