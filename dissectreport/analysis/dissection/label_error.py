"""How far the segmenter's own error may move an IoU; sampling error is a separate figure.

An IoU is measured with the segmenter's labels. Where it is known how often they are right (precision p) and how much
of the concept they cover (recall r), the IoU with the concept itself lies in a range. Of m labelled pixels, m p are
right, and the concept has m p / r pixels. At worst all wrong labels lie where the unit is on, and it is off at all
missed pixels; at best it is the other way round. The ends need no assumption about where in the images the segmenter
errs (Horowitz and Manski 1995), but precision and recall must be those of generated images; they are known for
drawings that were held out from its training.

Where they are not known but a second segmenter labelled the same generated images, its disagreement bounds them. If a
pixel shows the concept where both say so, and does not where neither does, then at most the labels that the second
does not share are wrong, and at most the pixels that it alone labels are missed. Both shares are taken at the upper
ends of their 95% intervals over images. Which of the disputed pixels show the concept is open, and each end of the
range takes those that move it most. Errors that both segmenters share are not seen.

The interval with both errors joins the ranges of all IoUs in the sampling interval.

Average causal effects are differences of areas of the concept, divided by its area without edit. In each of the three
sets of images the area is off by no more than the wrong labels one way and the missed pixels the other way. In edited
images both are taken to be no more, for each labelled pixel, than without edit, nor more in all where the concept is
smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan
from typing import Any, Self

import numpy as np
import pandas as pd

from dissectreport.analysis.common.cutoffs import FEWEST_IMAGES
from dissectreport.analysis.common.ratios import ratio_interval
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.records.replication import SegmenterAgreement
from dissectreport.stats.base import Floats
from dissectreport.stats.iou import intersection_over_union
from dissectreport.vocabulary import Concept

INSIDE = 33
"""IoUs of a sampling interval whose ranges are joined: the largest need not be that of its end."""
COLUMNS = ("iou_label_low", "iou_label_high", "iou_total_low", "iou_total_high")
ACE_COLUMNS = ("ace_label_low", "ace_label_high", "ace_total_low", "ace_total_high")
HELD_OUT = "held-out images with a ground truth"


@dataclass(frozen=True)
class LabelError:
    """How good the labels of one concept are."""

    precision: float
    recall: float
    at_least: bool = False
    """Whether the two are the least that they can be, or known."""
    source: str = HELD_OUT
    """What says so, in words."""

    @classmethod
    def bounded(cls, wrong: float, missed: float, source: str) -> Self:
        """The error of labels of which at most the share `wrong`, below 1, is wrong.

        `missed` is the number of pixels that they miss at most, for each labelled one.
        """
        return cls(1 - wrong, (1 - wrong) / (1 - wrong + missed), at_least=True, source=source)

    @property
    def wrong(self) -> float:
        """The share of labels that are wrong."""
        return 1 - self.precision

    @property
    def missed(self) -> float:
        """The pixels of the concept that are missed, for each labelled one."""
        return self.precision / self.recall - self.precision

    @property
    def whole(self) -> tuple[float, float]:
        """The least and the largest area of the concept over the labelled area."""
        if self.at_least:
            return self.precision, 1 + self.missed
        area = self.precision / self.recall
        return area, area


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


def disagreements(agreement: SegmenterAgreement) -> dict[Concept, LabelError]:
    """By concept, from what two segmenters say of the same images; of concepts in enough of them.

    Concepts of which the second may share no label are left out: nothing bounds their error.
    """
    first, second, both = agreement.first, agreement.second, agreement.both
    _, _, wrong = ratio_interval(first - both, first)
    _, _, missed = ratio_interval(second - both, first)
    enough = (first > 0).sum(0) >= FEWEST_IMAGES
    source = f"the segmenter {agreement.segmenter}"
    return {
        Concept(name, category): LabelError.bounded(float(wrong[column]), float(missed[column]), source)
        for column, (name, category) in enumerate(agreement.concepts.tolist())
        if enough[column] and wrong[column] < 1 and np.isfinite(missed[column])
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
    on = np.ones(np.shape(iou))
    low = intersection_over_union(least, on, concept)
    if error.at_least:
        return low, _largest(overlap, labelled, labelled - right, concept - right)
    most = np.minimum(overlap, right) + np.minimum(1 - overlap, concept - right)
    return low, intersection_over_union(most, on, concept)


def _largest(overlap: Floats, labelled: Floats, wrong: Floats, missed: Floats) -> Floats:
    """The largest IoU where at most so many labels are wrong, and so many pixels missed; all over the on-pixels.

    As many labels as possible are wrong where the unit is off, and pixels are missed only where it is on.
    """
    removed = np.minimum(wrong, np.maximum(0, labelled - overlap))
    added = np.minimum(1 - overlap, missed)
    return intersection_over_union(overlap + added, np.ones(np.shape(overlap)), labelled - removed + added)


def with_label_error(table: pd.DataFrame, concepts: pd.DataFrame, errors: Mapping[Concept, LabelError]) -> pd.DataFrame:
    """The table of units with `COLUMNS`, empty where the error of the unit's label is not known."""
    names = map(Concept, concepts["concept"], concepts["category"])
    area = dict(zip(names, concepts["area"].to_numpy(np.float64).tolist(), strict=True))
    return _with_columns(table, COLUMNS, [_ends(row, area, errors) for row in table.itertuples()])


def _with_columns(table: pd.DataFrame, names: tuple[str, ...], rows: list[tuple[float, ...]]) -> pd.DataFrame:
    return table.assign(**dict(zip(names, np.array(rows).reshape(len(table), len(names)).T, strict=True)))


def _ends(row: Any, area: Mapping[Concept, float], errors: Mapping[Concept, LabelError]) -> tuple[float, ...]:
    concept, on = Concept(str(row.concept), str(row.category)), float(row.on_fraction)
    if concept not in errors or not on > 0:
        return (float("nan"),) * len(COLUMNS)
    inside = np.array([float(row.iou), *np.linspace(float(row.iou_low), float(row.iou_high), INSIDE)])
    low, high = iou_range(inside, np.full(len(inside), area.get(concept, np.nan) / on), errors[concept])
    return float(low[0]), float(high[0]), float(low.min()), float(high.max())


def ace_range(ace: float, left: float, error: LabelError) -> tuple[float, float]:
    """The smallest and the largest average causal effect on the concept itself.

    `left` is the labelled area with the units ablated, over that without edit.

    >>> ace_range(0.8, 0.2, LabelError(1.0, 1.0))
    (0.8, 0.8)
    """
    inserted, ablated = max(1.0, ace + left), max(1.0, left)
    low = ace - error.wrong * inserted - error.missed * ablated
    high = ace + error.missed * inserted + error.wrong * ablated
    least, most = error.whole
    return low / (most if low > 0 else least), high / (least if high > 0 else most)


def effects_with_label_error(causes: Interventions, errors: Mapping[Concept, LabelError]) -> Interventions:
    """The interventions with `ACE_COLUMNS` in the table of variants; empty where a concept's error is not known."""
    names = causes.concepts[["concept", "category"]].itertuples(index=False, name=None)
    by_name = {str(name): errors.get(Concept(str(name), str(category))) for name, category in names}
    rows = [_ace_ends(row, by_name[str(row.concept)]) for row in causes.variants.itertuples()]
    return replace(causes, variants=_with_columns(causes.variants, ACE_COLUMNS, rows))


def _ace_ends(row: Any, error: LabelError | None) -> tuple[float, ...]:
    if error is None or isnan(row.ace):
        return (float("nan"),) * len(ACE_COLUMNS)
    left = 1 - float(row.removed_zero)
    ends = [ace_range(float(value), left, error) for value in (row.ace, row.ace_low, row.ace_high)]
    return (*ends[0], min(low for low, _ in ends), max(high for _, high in ends))


def concepts_with_label_error(concepts: pd.DataFrame, errors: Mapping[Concept, LabelError]) -> pd.DataFrame:
    """The table of concepts with label_wrong, label_missed and label_error_from; empty where that is not known."""
    names = map(Concept, concepts["concept"], concepts["category"])
    known = [errors.get(name) for name in names]
    return concepts.assign(
        label_wrong=[np.nan if error is None else error.wrong for error in known],
        label_missed=[np.nan if error is None else error.missed for error in known],
        label_error_from=["" if error is None else error.source for error in known],
    )
