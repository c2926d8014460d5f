"""What may be said of a unit under each rule: the sentences that would be false under another rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from dissectreport.analysis.common.cutoffs import FEWEST_IMAGES, LEAST_CORRECTED_IOU, Q
from dissectreport.analysis.results import formulas
from dissectreport.analysis.results.dissection import COLUMNS, BestUnits, Provenance
from dissectreport.report.html.numbers import count, interval, listing, p_value, plural, share, signed
from dissectreport.run.rules import RuleName


@dataclass(frozen=True)
class Wording:
    """A rule's own sentences, with its cut-offs and the run's numbers filled in."""

    claim: str
    """What interpretable units do: '12 units …'."""
    above_chance_note: str
    """How many of the units that the rule labels also match better than chance; '' where the rule requires that."""
    agrees: str
    """Of a unit with its label."""
    beats: str
    """Added where its label also beats chance."""
    fails: str
    """Added where it does not."""
    nothing: str
    """Of a unit without a label."""
    unsure: str
    """Why a unit is not interpretable."""
    images_head: str
    images_share: str
    """What the images behind an IoU are of all."""
    images: str
    """The images behind every figure."""
    order: str
    """What a unit's concepts are ordered by."""
    q: str
    """What the q-value is called."""
    untested: str
    """Which concepts cannot be a label; '' where all can."""
    method: str
    """How thresholds and labels were chosen, and on what they were scored."""
    judged: str
    """How a unit comes to be called interpretable."""
    interpretable: str
    """The word in the glossary."""
    columns: Mapping[str, str]
    """Columns of the tables that mean something else under this rule."""

    def also(self, labelled: int, above_chance: int) -> str:
        """How many of the labelled units also match better than chance, where the rule does not require it."""
        return self.above_chance_note.format(labelled=count(labelled), above_chance=count(above_chance))

    def with_label(self, concept: str, beats_chance: bool) -> str:
        """What an interpretable unit does."""
        return self.agrees.format(concept=concept) + (self.beats if beats_chance else self.fails)

    def dictionary(self) -> Mapping[str, str]:
        """What every column means under this rule; those without words are not there."""
        return {name: words for name, words in {**COLUMNS, **self.columns}.items() if words}

    def filled(self, **numbers: object) -> Wording:
        """The same with numbers in the place of their names; the names that depend on a unit are kept."""
        given = {**numbers, **{name: f"{{{name}}}" for name in ("concept", "labelled", "above_chance")}}
        sentences = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "columns"}
        return Wording(**{name: text.format(**given) for name, text in sentences.items()}, columns=self.columns)


CORRECTED = Wording(
    claim="match a concept better than chance",
    above_chance_note="",
    agrees="Matches {concept} better than chance",
    beats="",
    fails="",
    nothing="This unit has no label",
    unsure="chance-corrected IoU not significantly above {corrected_iou}",
    images_head="held-out images",
    images_share="of {samples}; the other {selection} were used for selection",
    images="{held_out} held-out images",
    order="chance-corrected IoU",
    q="q",
    untested=(
        f"A concept is tested only if it occurs in at least {FEWEST_IMAGES} selection images and {FEWEST_IMAGES}"
        " held-out images. Other concepts cannot be labels."
    ),
    method=(
        "The range of activations was measured on {pilot} pilot images. Each unit's threshold and label were chosen on"
        " {selection} selection images. All scores come from the other {held_out} held-out images, so no score is"
        " computed on images that were used to choose what is scored."
    ),
    judged="A unit is interpretable if its chance-corrected IoU is significantly above {corrected_iou}: the q-value of "
    "the test against {corrected_iou} is below {q}.",
    interpretable=(
        "A unit whose chance-corrected IoU is significantly above {corrected_iou}: with a q-value below {q} (corrected"
        " for the number of units)."
    ),
    columns={},
)

_ALL = {
    **dict.fromkeys(formulas.COLUMNS, ""),
    "iou": "intersection over union of the unit's on-pixels and the concept's pixels, on all samples",
    "interpretable": "whether the rule's own cut-offs call the unit interpretable, whatever the chance level",
    "position_only": "position-only baseline: IoU of the best mask that ignores the image, chosen and scored on all "
    "samples",
    "f1": "F1 score of the unit's on-pixels for the concept's pixels, on all samples",
    "average_precision": "area under the precision-recall curve over all thresholds, on all samples",
    "counts_as": "the concept itself",
    "concepts": "different concepts among the labels of interpretable units",
    "beats_chance": "whether corrected_iou is at least 0.04, with the q-value of a test against 0 below 0.05",
    "selection_score": "the score by which labels are chosen",
    "best_direction": "corrected_iou of the best of as many random directions, mean over the random bases",
    "p": "one-sided p-value of corrected_iou > 0 over all groups",
    "tested": "whether the concept occurs in enough images to be tested under the corrected rule; this rule tests all",
}

_REFERENCE = {
    "above_chance_note": "{above_chance} of the {labelled} labelled units also match their label better than chance.",
    "agrees": "The rule {rule} labels this unit {concept}",
    "beats": ", and it matches better than chance",
    "fails": ", but it does not match better than chance",
    "images_head": "images",
    "images_share": "all used for scoring",
    "images": "{held_out} images",
    "untested": "",
}
_JUDGED = (
    " The rule does not consider chance. Pages therefore also report how many of these units match better than chance:"
    f" chance-corrected IoU at least {share(LEAST_CORRECTED_IOU)} with q below {share(Q)}."
)

PNAS2020 = Wording(
    **_REFERENCE,
    claim="have an IoU above {iou} with a concept",
    nothing="This unit has no label",
    unsure="IoU not above {iou}",
    order="IoU",
    q="optimistic q",
    method=(
        "Each unit's threshold is the activation that it exceeds in 1% of all pixels. Its label is the concept with the"
        " largest IoU. Thresholds, labels and scores all come from the same {samples} images. No images were held out,"
        " so the IoU of a label, its interval, p and q are optimistic. The union is taken over all images."
    ),
    judged="A unit is interpretable if its IoU exceeds {iou}." + _JUDGED,
    interpretable="A unit whose IoU exceeds {iou}. The rule does not compare it with the chance level.",
    columns=_ALL
    | {
        "threshold": "activation above which the unit counts as on: exceeded in 1% of all pixels",
        "p": "one-sided p-value of corrected_iou > 0 over all groups; optimistic, because the label was chosen on "
        "them too",
        "q": "p after Benjamini-Hochberg over the units of the layer; optimistic for the same reason",
        "runner_up": "concept of the second largest IoU",
        "runner_up_corrected_iou": "its corrected_iou, on all samples",
        "stability": "share of bootstrap replicates of all groups that give the same label",
    },
)

ICLR2019 = Wording(
    **_REFERENCE,
    claim="have an IoU above {iou} and an information ratio above {iqr} with a concept",
    nothing="The search found no label for this unit",
    unsure="IoU not above {iou}, or information ratio not above {iqr}",
    order="the search's information ratio",
    q="q",
    method=(
        "Each unit's threshold and label were searched for on {selection} images of another seed: the threshold, among"
        " 100, and the concept with the largest information ratio (mutual information of unit and concept divided by"
        " their joint entropy). They were then scored on all {held_out} images of seed {seed}. The union is taken over"
        " the images that contain any concept of the label's category."
    ),
    judged="A unit is interpretable if its IoU exceeds {iou} and its information ratio exceeds {iqr}." + _JUDGED,
    interpretable=(
        "A unit whose IoU exceeds {iou} and whose information ratio exceeds {iqr}. The rule does not compare it with"
        " the chance level."
    ),
    columns=_ALL
    | {
        "threshold": "activation above which the unit counts as on; chosen on samples of another seed",
        "runner_up": "concept of the second largest information ratio in the search",
        "runner_up_corrected_iou": "its corrected_iou, on all samples",
        "stability": "empty: labels come from a search on other samples, which were not resampled",
    },
)


def against_directions(units: float, random_directions: float, of: float, low: float, high: float) -> tuple[str, str]:
    """Whether units are more interpretable than random directions: the difference with its interval, and a verdict."""
    more = units - random_directions
    counts = (
        f"{count(units)} of {count(of)} units are interpretable, and"
        f" {count(random_directions)} of {count(of)} random directions on average: a difference of"
        f" {signed(more)} {interval(low, high, signed)} (95% interval over images and random bases)."
    )
    return counts, f"By this count, single units are {_verdict(more, random_directions, low, high)} random directions."


def _verdict(more: float, random_directions: float, low: float, high: float) -> str:
    if low <= 0 <= high:
        return "not significantly more interpretable than"
    if high < 0:
        return "less interpretable than"
    if more < 0.1 * random_directions:
        return "only slightly more interpretable than"
    return "more interpretable than"


OWN_SHOWN = 4
"""Concepts that are named in the sentence about own units."""


def own_units_in_words(layer: str, own: Sequence[str], tested: int) -> str:
    """How many concepts have a unit of their own in a layer; `own` are these concepts, the clearest first."""
    if not own:
        return (
            f"None of the {plural(tested, 'tested concept')} has a unit of its own: one that matches it better than the"
            " best of as many random directions."
        )
    named = listing([*own[:OWN_SHOWN], *(["others"] if len(own) > OWN_SHOWN else [])])
    verb = "has a unit of its own" if len(own) == 1 else "have a unit of their own"
    return (
        f"In {layer}, {count(len(own))} of {plural(tested, 'tested concept')} {verb}: one that matches the concept"
        f" better than the best of as many random directions ({named})."
    )


def best_units_in_words(best: BestUnits) -> str:
    """How the best units of all concepts together compare with the best directions of random bases."""
    compared = (
        f"Over {plural(best.concepts, 'concept')} together, the best units have a chance-corrected IoU of "
        f"{share(best.units, 3)} on average, and the best directions of {count(len(best.directions))} random bases "
        f"{share(min(best.directions), 3)} to {share(max(best.directions), 3)}"
    )
    p = p_value(best.p)
    said = f"p {p}" if p.startswith("<") else f"p = {p}"
    if best.p < Q:
        return f"{compared}: units are privileged ({said})."
    return f"{compared}: units are not significantly better than random directions ({said})."


def privileged_in_words(layers: Sequence[str], tested: int) -> str:
    """In which of so many tested layers units are privileged; '' where none was tested."""
    if not tested:
        return ""
    if not layers:
        return "Over all concepts together, units are not significantly better than random directions in any layer."
    return (
        f"Over all concepts together, units are privileged in {count(len(layers))} of {plural(tested, 'layer')}"
        f" ({listing(list(layers))}): their best matches are significantly better than those of random directions."
    )


def what_units_know(units: int, localise: int, objects: int, scenes: int) -> str:
    """How many of the units are of each kind: the first sentence of the overview."""
    first = (
        f"{count(localise)} of {plural(units, 'unit')} show where their concept is within an image; {count(objects)} of"
        " them match an object or a part."
    )
    verb = "tells" if scenes == 1 else "tell"
    more = f" {plural(scenes, 'more unit')} {verb} which images show the concept, but not where it is in them."
    return first + (more if scenes else "")


MEASURE_NAMES = {
    "kernel_distance": "KID",
    "frechet_distance": "FID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
}
"""Measures of image quality as pages call them, in their order."""

TOO_FEW = "Too few images to tell"
"""Instead of a count where no concept could be tested."""

WORDINGS: Mapping[str, Wording] = {
    RuleName.CORRECTED: CORRECTED,
    RuleName.ICLR2019: ICLR2019,
    RuleName.PNAS2020: PNAS2020,
}
"""By the rule's name."""


def wording(provenance: Provenance) -> Wording:
    """What may be said under the rule of a run, with its numbers."""
    numbers = {name: count(getattr(provenance, name)) for name in ("samples", "selection", "held_out", "pilot")}
    cuts: dict[str, Any] = {name: share(value) for name, value in provenance.thresholds.items()}
    return WORDINGS[provenance.rule].filled(rule=provenance.rule, seed=provenance.seed, **numbers, **cuts)
