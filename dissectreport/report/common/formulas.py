"""What pages say of formulas of concepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.html.numbers import plural


@dataclass(frozen=True)
class UnitFormula:
    """The formula that matches a unit significantly better than its label."""

    words: str
    iou: float
    low: float
    high: float
    chance_level: float
    corrected_iou: float
    gain: float
    gain_low: float
    gain_high: float

    @classmethod
    def of(cls, row: Any) -> UnitFormula | None:
        """That of a row of a layer's table; None where no formula is better than the label."""
        if not getattr(row, "formula_better", False):
            return None
        names = ("iou", "iou_low", "iou_high", "chance_level", "corrected_iou", "gain", "gain_low", "gain_high")
        return cls(str(row.formula), *(float(getattr(row, f"formula_{name}")) for name in names))


def was_searched(row: Any) -> bool:
    """Whether formulas were searched for a unit that has a label."""
    return bool(row.concept) and hasattr(row, "formula_better")


def formulas_summary(layer: Layer) -> str:
    """How many units a formula matches better than their label; '' where none was searched for."""
    counts = layer.formulas
    if counts is None:
        return ""
    matches = "matches" if counts.better == 1 else "match"
    return (
        f"{plural(counts.better, 'unit')} {matches} a formula of two or three concepts significantly better than "
        f"{'its label' if counts.better == 1 else 'their label'}; the same search with the masks of other images "
        f"finds {counts.better_by_chance} (a control)."
    )
