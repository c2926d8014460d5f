"""How far the segmenter's own error may move an IoU; sampling error is a separate figure.

An IoU is measured with the segmenter's labels. Where it is known how often they are right (precision p) and how much
of the concept they cover (recall r), the IoU with the concept itself lies in a range. Of m labelled pixels, m p are
right, and the concept has m p / r pixels. At worst all wrong labels lie where the unit is on, and it is off at all
missed pixels; at best it is the other way round. The ends need no assumption about where in the images the segmenter
errs (Horowitz and Manski 1995), but precision and recall must be those of generated images; they are known for
drawings that were held out from its training.

The interval with both errors joins the ranges of all IoUs in the sampling interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dissectreport.stats.base import Floats
from dissectreport.stats.iou import intersection_over_union
from dissectreport.vocabulary import Concept

INSIDE = 33
"""IoUs of a sampling interval whose ranges are joined: the largest need not be that of its end."""
COLUMNS = ("iou_label_low", "iou_label_high", "iou_total_low", "iou_total_high")


@dataclass(frozen=True)
class LabelError:
    """How good the labels of one concept are on images where the truth is known."""

    precision: float
    recall: float


def label_errors(segmenter: Mapping[str, object]) -> dict[Concept, LabelError]:
    """By concept, from the card of a segmenter; nothing where it has none, or does not say."""
    card = segmenter.get("card", segmenter)
    error = card.get("error", {}) if isinstance(card, Mapping) else {}
    if not isinstance(error, Mapping) or not {"precision", "recall"} <= set(error):
        return {}
    return {
        Concept(name, category): LabelError(float(precision), float(error["recall"][category][name]))
        for category, names in error["precision"].items()
        for name, precision in names.items()
        if precision > 0 and error["recall"][category][name] > 0
    }


def iou_range(iou: Floats, labelled: Floats, error: LabelError) -> tuple[Floats, Floats]:
    """The smallest and the largest IoU with the concept itself.

    `labelled` is the number of labelled pixels over that of on-pixels.

    >>> low, high = iou_range(np.array([0.5]), np.array([1.0]), LabelError(1.0, 1.0))
    >>> round(float(low[0]), 12), round(float(high[0]), 12)
    (0.5, 0.5)
    """
    overlap = iou * (1 + labelled) / (1 + iou)
    right = error.precision * labelled
    concept = right / error.recall
    least = np.maximum(0, overlap - (labelled - right))
    most = np.minimum(overlap, right) + np.minimum(1 - overlap, concept - right)
    on = np.ones(np.shape(iou))
    return intersection_over_union(least, on, concept), intersection_over_union(most, on, concept)


def with_label_error(table: pd.DataFrame, concepts: pd.DataFrame, errors: Mapping[Concept, LabelError]) -> pd.DataFrame:
    """The table of units with `COLUMNS`, empty where the error of the unit's label is not known."""
    names = map(Concept, concepts["concept"], concepts["category"])
    area = dict(zip(names, concepts["area"].to_numpy(np.float64).tolist(), strict=True))
    rows = [_ends(row, area, errors) for row in table.itertuples()]
    return table.assign(**dict(zip(COLUMNS, np.array(rows).reshape(len(table), len(COLUMNS)).T, strict=True)))


def _ends(row: Any, area: Mapping[Concept, float], errors: Mapping[Concept, LabelError]) -> tuple[float, ...]:
    concept, on = Concept(str(row.concept), str(row.category)), float(row.on_fraction)
    if concept not in errors or not on > 0:
        return (float("nan"),) * len(COLUMNS)
    inside = np.array([float(row.iou), *np.linspace(float(row.iou_low), float(row.iou_high), INSIDE)])
    low, high = iou_range(inside, np.full(len(inside), area.get(concept, np.nan) / on), errors[concept])
    return float(low[0]), float(high[0]), float(low.min()), float(high.max())
