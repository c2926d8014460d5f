"""What may be said of a unit under each rule: the sentences that would be false under another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dissectreport.analysis.dissection.corrected_rule import FEWEST_IMAGES, LEAST_CORRECTED_IOU, Q
from dissectreport.analysis.results.dissection import COLUMNS, Provenance
from dissectreport.report.html.numbers import count, share, signed


@dataclass(frozen=True)
class Wording:
    """A rule's own sentences, with its cut-offs and the run's numbers filled in."""

    claim: str
    """What interpretable units do: '12 units …'."""
    beside: str
    """How many of the units that the rule labels also beat chance; '' where that is what the rule asks."""
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
    """Which concepts can be nobody's label; '' where all can."""
    method: str
    """How levels and labels were chosen, and on what they were scored."""
    judged: str
    """How a unit comes to be called interpretable."""
    interpretable: str
    """The word in the glossary."""
    columns: Mapping[str, str]
    """Columns of the tables that mean something else under this rule."""

    def also(self, labelled: int, beyond: int) -> str:
        """How many of the labelled units also beat chance, where the rule does not ask for it."""
        return self.beside.format(labelled=count(labelled), beyond=count(beyond))

    def with_label(self, concept: str, beats_chance: bool) -> str:
        """What an interpretable unit does."""
        return self.agrees.format(concept=concept) + (self.beats if beats_chance else self.fails)

    def dictionary(self) -> Mapping[str, str]:
        """What every column means under this rule."""
        return {**COLUMNS, **self.columns}

    def filled(self, **numbers: object) -> Wording:
        """The same with numbers in the place of their names; what only a unit knows stays open."""
        given = {**numbers, **{name: f"{{{name}}}" for name in ("concept", "labelled", "beyond")}}
        words = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "columns"}
        return Wording(**{name: text.format(**given) for name, text in words.items()}, columns=self.columns)


CORRECTED = Wording(
    claim="agree with a concept beyond chance",
    beside="",
    agrees="Agrees with {concept} beyond chance",
    beats="",
    fails="",
    nothing="There is nothing to agree with",
    unsure="excess below {excess}, or not beyond doubt",
    images_head="images scored",
    images_share="of {samples}; the rest chose",
    images="{scoring} images scored",
    order="excess",
    q="q",
    untested=f"A concept in fewer than {FEWEST_IMAGES} images of either half is not tested: it can be no unit's label.",
    method=(
        "A pilot of {pilot} images set the activation levels; {choosing} images then chose each unit's level and"
        " concept, and the other {scoring} scored them, so that nothing printed was both chosen and scored on the"
        " same images."
    ),
    judged="A unit is interpretable if its excess is at least {excess} and its q-value below {q}.",
    interpretable="A unit whose excess is large enough, and beyond doubt after correcting for many units.",
    columns={},
)

_ALL = {
    "iou": "intersection over union of the unit's on-pixels and the concept's pixels, on all samples",
    "interpretable": "whether the rule's own cut-offs call the unit interpretable, whatever chance gives",
    "position_only": "IoU of the best mask that ignores the image, chosen and scored on all samples",
    "f1": "F1 of unit on against concept present, on all samples",
    "average_precision": "area under precision against recall over all levels, on all samples",
    "tested": "whether the concept occurs in enough images to be tested under the corrected rule; this rule tests all",
}

_REFERENCE = {
    "beside": "Of the {labelled} units, {beyond} also beat chance.",
    "agrees": "The rule labels it {concept}",
    "beats": ", which also beats chance",
    "fails": ", which does not beat chance",
    "images_head": "images",
    "images_share": "all of them scored",
    "images": "{scoring} images",
    "untested": "",
}
_JUDGED = (
    f" Chance plays no part in that. Beside it stands how many of those units also beat chance: excess at least"
    f" {share(LEAST_CORRECTED_IOU)} with q below {share(Q)}."
)

PNAS2020 = Wording(
    **_REFERENCE,
    claim="have an IoU above {iou} with a concept",
    nothing="There is nothing to agree with",
    unsure="IoU not above {iou}",
    order="IoU",
    q="optimistic q",
    method=(
        "Each unit's level is the one that its activation exceeds in 1 % of all pixels, and its label the concept of"
        " largest IoU. Levels, labels and scores all come from the same {samples} images: nothing was held out, so"
        " the IoU of a label, its interval and its p and q are optimistic. The union is taken over all images."
    ),
    judged="A unit is interpretable if its IoU exceeds {iou}." + _JUDGED,
    interpretable="A unit whose IoU exceeds {iou}. How much of that is chance is not asked.",
    columns=_ALL
    | {
        "level": "activation above which the unit counts as on: exceeded in 1 % of all pixels",
        "p": "one-sided p-value of excess > 0 over all groups; optimistic, for the label was chosen on them too",
        "q": "p after Benjamini-Hochberg over the units of the layer; as optimistic",
        "runner_up": "concept of the second largest IoU",
        "runner_up_excess": "its excess, on all samples",
        "stability": "share of bootstrap replicates of all groups that give the same label",
    },
)

ICLR2019 = Wording(
    **_REFERENCE,
    claim="have an IoU above {iou} and an information ratio above {iqr} with a concept",
    nothing="The search found no label for it",
    unsure="IoU not above {iou}, or information ratio not above {iqr}",
    order="the search's information ratio",
    q="q",
    method=(
        "On {choosing} images of another seed, each unit's level and label were searched for: those with the largest"
        " information ratio, mutual information of unit and concept over their joint entropy, among 100 levels. All"
        " {scoring} images of seed {seed} then scored them. The union is taken over the images that hold any concept"
        " of the label's category."
    ),
    judged="A unit is interpretable if its IoU exceeds {iou} and its information ratio {iqr}." + _JUDGED,
    interpretable="A unit whose IoU exceeds {iou} and whose information ratio exceeds {iqr}. How much of that is"
    " chance is not asked.",
    columns=_ALL
    | {
        "level": "activation above which the unit counts as on; searched for on samples of another seed",
        "p": "one-sided p-value of excess > 0 over all groups",
        "runner_up": "concept of the second largest information ratio in the search",
        "runner_up_excess": "its excess, on all samples",
        "stability": "empty: labels come from a search on other samples, which were not resampled",
    },
)


def against_directions(units: float, rotated: float, of: float, low: float, high: float) -> tuple[str, str]:
    """Whether units do better than random directions: the difference with its interval, and what follows."""
    more = units - rotated
    counts = (
        f"{count(units)} interpretable units, against {count(rotated)} of {count(of)} random directions:"
        f" a difference of {signed(more)} [{signed(low)}, {signed(high)}]"
        " over resampled images."
    )
    if low <= 0 <= high:
        return counts, "By count, units cannot be told from random directions."
    if high < 0:
        return counts, "By count, units do worse than random directions."
    if more < 0.1 * rotated:
        return counts, "By count, units are hardly distinguishable from random directions."
    return counts, "By count, units do better than random directions."


def below_position(units: int, below: int) -> str:
    """How many interpretable units agree with their label less than a mask that ignores the image."""
    if not units:
        return ""
    return (
        f"{count(below)} of the {count(units)} interpretable units have a smaller IoU with their label than the best"
        " mask that ignores the image: of these, position alone would tell as much."
    )


TOO_FEW = "Cannot tell: too few images"
"""Instead of a count where no concept could be tested."""

WORDINGS: Mapping[str, Wording] = {"corrected": CORRECTED, "iclr2019": ICLR2019, "pnas2020": PNAS2020}
"""By the rule's name."""


def wording(facts: Provenance) -> Wording:
    """What may be said under the rule of a run, with its numbers."""
    numbers = {name: count(getattr(facts, name)) for name in ("samples", "choosing", "scoring", "pilot")}
    cuts: dict[str, Any] = {name: share(value) for name, value in facts.thresholds.items()}
    return WORDINGS[facts.rule].filled(seed=facts.seed, **numbers, **cuts)
