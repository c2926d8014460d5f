"""The results of the search for formulas of concepts, and what their columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COLUMNS: Mapping[str, str] = {
    "formula": "the formula of two or three concepts that scores best on the selection images, with at least 0.01 more "
    "for each concept after the first; empty where no formula does",
    "formula_better": "whether the formula matches the unit significantly better than its label does: formula_gain has "
    "an interval above 0, and formula_q is below 0.05",
    "formula_threshold": "threshold at which the unit is compared with the formula",
    "formula_iou": "intersection over union of the unit's on-pixels and the formula's pixels, on the held-out images",
    "formula_iou_low": "lower end of the 95% interval of formula_iou",
    "formula_iou_high": "upper end of the 95% interval of formula_iou",
    "formula_chance_level": "the IoU with every image's masks paired with every other image's activations, by cells of "
    "the image",
    "formula_corrected_iou": "chance-corrected IoU with the formula",
    "formula_gain": "formula_corrected_iou - corrected_iou of the label, on the held-out images",
    "formula_gain_low": "lower end of the 95% interval of formula_gain",
    "formula_gain_high": "upper end of the 95% interval of formula_gain",
    "formula_q": "adjusted p-value of formula_gain being above 0, over the units of the layer (Benjamini-Hochberg)",
}
"""What the columns of `Layer.table` mean that are about formulas."""


@dataclass(frozen=True)
class FormulaCounts:
    """What the search found in a layer, and what the same search finds with the masks of the next image."""

    better: int
    """Units that a formula of several concepts matches significantly better than one concept."""
    better_by_chance: int
    interpretable: int
    """Units whose best formula, of one to three concepts, has a chance-corrected IoU significantly above 0.04."""
    interpretable_by_chance: int
