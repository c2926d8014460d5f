"""The results of a dissection: the tables behind reports and notebooks.

Everything here is numpy and pandas; nothing refers to a network. Tables are documented column by column in
`COLUMNS`, which is also the data dictionary of the site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.results import formulas
from dissectreport.analysis.results.artifacts import Artifacts, Figures
from dissectreport.analysis.results.classes import Classes
from dissectreport.analysis.results.formulas import FormulaCounts
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.analysis.results.painting import Painting
from dissectreport.analysis.results.real_images import Reality
from dissectreport.analysis.results.replication import Replication
from dissectreport.analysis.results.spike_in import SpikeIn
from dissectreport.analysis.results.words import WordFacts


class Control(StrEnum):
    """What was counted in a row of `Layer.controls`, in the order in which readers meet it."""

    MEASURED = "measured"
    """The units themselves."""
    RANDOM_DIRECTIONS = "random_directions"
    UNTRAINED = "untrained"
    CHANCE = "chance"
    """The units with the masks of the next image."""


class Kind(StrEnum):
    """Which part of a unit's match with its concept is largest."""

    PLACE = "place"
    """Only the position of the concept in images."""
    SCENE = "scene"
    """Which images show the concept, or how much of it."""
    OBJECT = "object"
    """Where the concept is within an image."""


class ExampleKind(StrEnum):
    """Why an image is an example of a unit."""

    TOP = "top"
    MIDDLE = "middle"
    RANDOM = "random"


class TrustSource(StrEnum):
    """Which images were segmented for the page about the segmenter."""

    GENERATED = "generated"
    READ = "read"
    """Images that the network reads; it makes none."""
    TRAINING_LIKE = "drawn"
    """Images like those that the generator was trained on."""
    REAL = "real"
    """Images of a folder that was given."""
    ABLATED = "ablated"
    """Generated images with the units of a concept ablated."""


COLUMNS: Mapping[str, str] = {
    "unit": "number of the unit (channel) in its layer, from 0",
    "concept": "name of the concept; empty where the unit has no label",
    "category": "category of the concept: object, part, material, colour …",
    "threshold": "threshold: activation above which the unit counts as on; chosen on the selection images",
    "on_fraction": "on-fraction: share of all pixels where the unit is on",
    "iou": "intersection over union of the unit's on-pixels and the concept's pixels, on the held-out images",
    "iou_low": "lower end of the 95% interval of iou",
    "iou_high": "upper end of the 95% interval of iou",
    "iou_label_low": "smallest IoU with the concept itself that the segmenter's error allows, without sampling error; "
    "empty where its precision and recall for the concept are not known, nor bounded by a second segmenter",
    "iou_label_high": "largest IoU with the concept itself that the segmenter's error allows, without sampling error",
    "iou_total_low": "lower end of the 95% interval of the IoU with the concept itself, with both errors",
    "iou_total_high": "upper end of that interval",
    "chance_level": "chance level: the IoU with every image's masks paired with every other image's activations",
    "corrected_iou": "chance-corrected IoU, (iou - chance_level) / (1 - chance_level): 0 is chance, 1 is perfect",
    "corrected_iou_low": "lower end of the 95% interval of corrected_iou",
    "corrected_iou_high": "upper end of the 95% interval of corrected_iou",
    "iou_areas": "the IoU expected from the areas of unit and concept alone",
    "iou_image_level": "the IoU expected from position and from how active the unit is in each image: every image's "
    "mask with the activations of the image in which the unit is about as active",
    "between_images": "iou_image_level - chance_level: the part of the IoU from which images the unit is on in",
    "between_images_low": "lower end of its 95% interval",
    "between_images_high": "upper end of its 95% interval",
    "within_images": "iou - iou_image_level: the part of the IoU from where the unit is on within images",
    "within_images_low": "lower end of its 95% interval",
    "within_images_high": "upper end of its 95% interval",
    "kind": "of a unit: which part of its IoU is larger, 'object' (within images) or 'scene' (between images); "
    "'place' if only position is significant, '' if nothing is. Of an example: why it is shown, 'top', "
    "'middle' or 'random'",
    "lift": "iou / chance_level; empty where fewer than 100 pixels of overlap are expected by chance",
    "lift_low": "lower end of the 95% interval of lift",
    "lift_high": "upper end of the 95% interval of lift",
    "p": "one-sided p-value of corrected_iou > 0.04 over the groups of held-out images",
    "q": "p after Benjamini-Hochberg over the units of the layer",
    "interpretable": "whether the rule calls the unit interpretable",
    "beats_chance": "whether the match is better than chance, whatever the rule: as interpretable under the corrected "
    "rule",
    "attainable": "largest IoU that a unit on in this share of pixels could reach with this concept",
    "position_only": "position-only baseline: IoU of the best mask that ignores the image, chosen and scored "
    "like the unit",
    "runner_up": "concept of the second largest corrected_iou on the selection images",
    "runner_up_corrected_iou": "its corrected_iou on the held-out images",
    "stability": "share of bootstrap replicates of the selection images that give the same label",
    "iou_full_grid": "iou on the grid of the counts (--grid); it differs from iou only if this grid is finer than 64 "
    "x 64, the grid of the chance level",
    "f1": "F1 score of the unit's on-pixels for the concept's pixels, on the held-out images",
    "average_precision": "area under the precision-recall curve over all thresholds, on the held-out images",
    "correlation": "point-biserial correlation of the activation (mid-rank of its bin) with the concept",
    "unit_state": "'' or 'dead', 'always on', 'duplicate of N'",
    "is_unit_label": "whether this category's label is the unit's overall label",
    "tested": "whether the concept occurs in enough selection and held-out images to be tested",
    "pixels": "pixels of the concept over all samples, on the grid of the counts",
    "images": "images in which the concept occurs",
    "area": "share of all pixels that show the concept",
    "area_low": "lower end of the 95% interval of area",
    "area_high": "upper end of the 95% interval of area",
    "other_unit": "number of the other unit",
    "layer": "name of the layer",
    "sample": "number of the image; with the seed it determines the latent, or which image is read",
    "peak": "largest activation of the unit in that image",
    "bin_low": "lower edge of a bin of activations",
    "bin_high": "upper edge of that bin",
    "count": "pixels whose activation falls in the bin, over all samples",
    "control": "what was counted: 'measured' (units), 'random_directions', 'untrained' (untrained "
    "network) or 'chance' "
    "(chance level)",
    "units": "number of interpretable units; empty where no concept could be tested",
    "units_low": "lower end of the 95% bootstrap interval of units",
    "units_high": "upper end of the 95% bootstrap interval of units",
    "layer_units": "units in the layer",
    "concepts": "different concepts among the labels of interpretable units; twins count once",
    "concepts_low": "lower end of the 95% bootstrap interval of concepts",
    "concepts_high": "upper end of the 95% bootstrap interval of concepts",
    "mean_corrected_iou": "mean corrected_iou of all units with their overall labels",
    "mean_corrected_iou_low": "lower end of its 95% bootstrap interval; labels are chosen anew in every replicate",
    "mean_corrected_iou_high": "upper end of its 95% bootstrap interval",
    "counts_as": "the concept that it counts as when different concepts are counted: itself, or the most common of "
    "its twins (concepts whose masks have a Jaccard index above 0.8 with its own)",
    "selection_score": "the score by which labels and the strongest units are chosen: corrected_iou on the selection "
    "images, at the same threshold",
    "best_direction": "corrected_iou of the best of as many random directions, mean over the random bases; the best "
    "direction is chosen on the selection images",
    "best_direction_least": "the smallest over the random bases",
    "best_direction_most": "the largest over the random bases",
    "difference": "corrected_iou of the concept's best unit minus best_direction",
    "difference_low": "lower end of its 95% prediction interval, over random bases and images",
    "difference_high": "upper end of its 95% prediction interval",
    "cut_off": "cut-off: units with at least this corrected_iou are counted, whether they are interpretable or not",
    "own_unit": "whether the concept has a unit of its own: one that matches it better than the best of as many random "
    "directions (q below 0.05), with a corrected_iou above 0.04",
    "segmenter_iou": "the segmenter's IoU with the ground truth on images that it was not trained on, from its card",
    "label_wrong": "share of the segmenter's labels of the concept that are wrong, or at most, by a second segmenter",
    "label_missed": "pixels of the concept that the segmenter misses, for each that it labels, or at most",
    "label_error_from": "what label_wrong and label_missed are known from: held-out images, or a second segmenter",
    **formulas.COLUMNS,
}
"""What every column of every table means."""


OWN_UNIT_COLUMNS = (
    "concept",
    "category",
    "unit",
    "corrected_iou",
    "best_direction",
    "best_direction_least",
    "best_direction_most",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "q",
    "own_unit",
)
"""Columns of `Layer.own_units`."""


def no_own_units() -> pd.DataFrame:
    """The own units of a layer without random directions."""
    return pd.DataFrame(columns=list(OWN_UNIT_COLUMNS))


@dataclass(frozen=True)
class BestUnits:
    """The best units of all concepts together, against the best directions of random bases."""

    units: float
    """Mean chance-corrected IoU of the best unit of each concept."""
    directions: tuple[float, ...]
    """That of the best directions of each random basis."""
    concepts: int
    p: float
    """One-sided p-value: that of units which are one more random basis."""

    @property
    def mean(self) -> float:
        """The mean over random bases."""
        return sum(self.directions) / len(self.directions)


MATCH_COLUMNS = ("control", "category", "cut_off", "units", "units_low", "units_high", "layer_units")
"""Columns of `Layer.match_curves`."""


def no_match_curves() -> pd.DataFrame:
    """The curves of a layer in which nothing could be tested."""
    return pd.DataFrame(columns=list(MATCH_COLUMNS))


def no_counts() -> pd.DataFrame:
    """The counts by concept of a layer without any."""
    return pd.DataFrame(columns=["control", "category", "concept", "units", "units_low", "units_high"])


@dataclass(frozen=True)
class Provenance:
    """Everything a reader needs to trust or repeat the run."""

    model: str
    rule: str
    seed: int
    samples: int
    """Samples that were measured; `held_out` of them score every printed IoU."""
    selection: int
    """Samples in the half that selects thresholds and labels."""
    held_out: int
    """Samples in the half that scores them."""
    pilot: int
    """Samples of the pilot, from which thresholds are computed."""
    grid: int
    """Side of the grid of pixels on which activations and masks are compared."""
    groups: int
    """Groups in the held-out half; intervals are a delete-one-group jackknife over them."""
    generator: Mapping[str, Any]
    """name, identity, sha256, family, image_size, latent_shape, card …; plain JSON values."""
    segmenter: Mapping[str, Any]
    """name, identity, card …; plain JSON values."""
    versions: Mapping[str, str]
    devices: tuple[str, ...]
    command: str
    """The command that reproduces the run."""
    thresholds: Mapping[str, float]
    """The rule's cut-offs by name, e.g. {'corrected_iou': 0.04, 'q': 0.05}."""
    reference: Mapping[str, Any] = field(default_factory=dict)
    """The folder of real images that was given: folder (its name), images, unreadable; empty where none was."""
    reads: Mapping[str, Any] = field(default_factory=dict)
    """Likewise the folder whose images the network reads; empty for one that makes images."""
    source: str = ""
    """A digest of the whole path of the file that describes or makes the model; '' for a name of the catalogue."""


@dataclass(frozen=True)
class Examples:
    """Images that show what a unit does: by largest activation, from the middle, and at random."""

    kind: NDArray[np.str_]
    """(k,) 'top', 'middle' or 'random' for each column below."""
    samples: NDArray[np.int64]
    """(units, k) sample numbers, in the order to show them."""
    peaks: NDArray[np.float32]
    """(units, k) largest activation of the unit in that image."""
    maps: NDArray[np.float32]
    """(units, k, h, w) the unit's activation there, on the layer's own grid."""


@dataclass(frozen=True)
class Curves:
    """Agreement as a function of the threshold, for each unit's leading concepts (held-out half)."""

    concepts: NDArray[np.int64]
    """(units, m) concept numbers, the unit's label first; 0 where there are fewer."""
    thresholds: NDArray[np.float32]
    """(units, t) rising thresholds."""
    on_fractions: NDArray[np.float64]
    """(units, t) share of pixels above each threshold."""
    iou: NDArray[np.float64]
    """(units, m, t)"""
    chance_level: NDArray[np.float64]
    """(units, m, t) chance level at the same thresholds."""
    low: NDArray[np.float64] | None = None
    """(units, t) lower end of the 95% interval of the first concept's iou, where it was computed."""
    high: NDArray[np.float64] | None = None
    """(units, t) its upper end."""


@dataclass(frozen=True)
class Lookup:
    """Every unit's map over a few images, as the share of pixels with a lower activation."""

    samples: NDArray[np.int64]
    """(k,) sample numbers."""
    maps: NDArray[np.uint8]
    """(k, units, h, w) rank of the activation among all of the unit's activations, 0 lowest to 255 highest; at
    most 16 x 16."""


@dataclass(frozen=True)
class Layer:
    """One layer's units under one rule."""

    name: str
    units: int
    height: int
    width: int
    table: pd.DataFrame
    """One row per unit, ordered by unit: unit, concept, category, threshold, on_fraction, iou*, chance_level,
    corrected_iou*, lift*, p, q,
    interpretable, beats_chance, attainable, position_only, runner_up, runner_up_excess, stability, iou_exact, f1,
    average_precision, correlation, state."""
    labels: pd.DataFrame
    """One row per (unit, category): the unit's label within each category: unit, category, concept, threshold, iou*,
    chance_level, corrected_iou*, lift*, interpretable, is_unit_label."""
    pairs: pd.DataFrame
    """One row per (unit, concept) for each unit's concepts of largest corrected_iou (up to 12), ordered by unit and
    falling corrected_iou: unit, concept, category, threshold, on_fraction, iou*, chance_level, corrected_iou*,
    lift*, tested."""
    controls: pd.DataFrame
    """One row per control and category ('' = all): control, category, units, units_low, units_high, of, concepts,
    concepts_low, concepts_high, mean_corrected_iou* (of 'measured' with all categories alone). Control 'measured' is
    the layer itself."""
    curves: Curves
    histogram: NDArray[np.int64]
    """(units, bins) pixels by activation bin, over all samples."""
    edges: NDArray[np.float32]
    """(units, bins + 1) bin edges; the outer ones are the pilot's smallest and largest activation."""
    correlated: pd.DataFrame
    """The most correlated other units of each unit (up to 8): unit, other, correlation (on the layer's own grid)."""
    examples: Examples
    lookup: Lookup
    resampled: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """By control, (replicates,) interpretable units in each bootstrap replicate: the same groups of images for every
    layer and control, so that the interval of a difference can be computed. Random directions have fewer replicates,
    each the mean over the random bases."""
    by_rotation: tuple[int, ...] = ()
    """Interpretable random directions in each random basis."""
    own_units: pd.DataFrame = field(default_factory=no_own_units)
    """One row per tested concept: its best unit against the best of as many random directions (`OWN_UNIT_COLUMNS`)."""
    best_units: BestUnits | None = None
    """All these concepts together; None with fewer than two random bases, or where no concept is tested."""
    match_curves: pd.DataFrame = field(default_factory=no_match_curves)
    """One row per control, category ('' = all) and cut-off: the units whose corrected_iou with their label is at least
    that (`MATCH_COLUMNS`)."""
    by_concept: pd.DataFrame = field(default_factory=no_counts)
    """One row per control and concept: control, category, concept, and the units that are interpretable for it
    by their label within its category: units, units_low, units_high. Concepts that are not listed have none."""
    formulas: FormulaCounts | None = None
    """What the search for combinations of concepts found; None where it was not made."""

    @property
    def interpretable(self) -> pd.DataFrame:
        """The rows of `table` that the rule calls interpretable."""
        return self.table[self.table["interpretable"]]


@dataclass(frozen=True)
class Pictures:
    """The images that a report shows, generated or read, by sample number."""

    numbers: NDArray[np.int64]
    """(m,) rising."""
    pixels: NDArray[np.uint8]
    """(m, height, width, 3)"""

    def of(self, sample: int) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 image of one sample."""
        at = int(np.searchsorted(self.numbers, sample))
        assert self.numbers[at] == sample, f"sample {sample} was not kept"
        return np.asarray(self.pixels[at])


@dataclass(frozen=True)
class Trust:
    """Segmentations of one kind of images, which show how reliable the segmenter is."""

    source: TrustSource
    images: NDArray[np.uint8]
    """(k, height, width, 3)"""
    labels: NDArray[np.int16]
    """(k, slots, h, w) concept numbers."""
    confidence: NDArray[np.float16]
    """(k, h, w) probability of the leading label."""

    @property
    def doubts(self) -> bool:
        """Whether any confidence is below 1; that of a fixed rule is always 1."""
        return bool((self.confidence != 1).any())


@dataclass(frozen=True)
class Dissection:
    """The results for one model under one rule."""

    model: str
    """The model as requested: a name or an address, from which the address of its pages is derived."""
    provenance: Provenance
    vocabulary: pd.DataFrame
    """One row per concept number from 0 ('-', nothing): concept, category."""
    concepts: pd.DataFrame
    """One row per concept that occurs, indexed by concept number: concept, category, pixels, images, area*,
    position_only, tested, counts_as, segmenter_iou; label_wrong, label_missed and label_error_from if the error of
    labels is known."""
    layers: tuple[Layer, ...]
    pictures: Pictures
    trust: tuple[Trust, ...]
    notes: tuple[str, ...]
    """Sentences that every page of this report must show, e.g. that samples of two devices were merged."""
    interventions: Interventions | None = None
    """What the units of one layer cause; None where that was not measured."""
    classes: Classes | None = None
    """What the units of one layer do for the classes of a classifier; None for other models."""
    no_classes: str = ""
    """Why the classes of a classifier were not measured; '' if they were (see `classes`), and for other models."""
    artifacts: Artifacts | None = None
    """The artifact units of one layer; None where they were not measured."""
    quality: Figures | None = None
    """The quality of the images; None where it was not measured."""
    reality: Reality | None = None
    """Areas of concepts in real and generated images; None without real images."""
    painting: Painting | None = None
    """What the Paint page needs; None where the network was not exported."""
    no_painting: str = ""
    """Why the network could not be exported; '' if it was exported, or this was not wanted."""
    spike_in: SpikeIn | None = None
    """Which planted units the run found; None if that was not measured."""
    words: WordFacts | None = None
    """The words for units; None without a list of words."""
    replication: Replication | None = None
    """The result of a second measurement of the claims; None if there was none."""

    @property
    def title(self) -> str:
        """What pages call the model: the name that it gives itself."""
        return str(self.provenance.generator.get("name") or self.model)

    def layer(self, name: str) -> Layer:
        """The layer of this name."""
        return self.layers[self.layer_number(name)]

    def layer_number(self, name: str) -> int:
        """The number of the layer of this name among `layers`."""
        return next(number for number, layer in enumerate(self.layers) if layer.name == name)

    @property
    def has_enough_images(self) -> bool:
        """Whether there were enough images to test which units match a concept; otherwise no count is meaningful."""
        measured = (layer.controls[layer.controls["control"] == Control.MEASURED] for layer in self.layers)
        return any(bool(rows.loc[rows["category"] == "", "units"].notna().any()) for rows in measured)
