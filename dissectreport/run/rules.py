"""The rules by which units are labelled: the corrected rule, and those of two papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dissectreport.errors import UnknownName


class RuleName(StrEnum):
    """A rule, by its name on the command line and in records."""

    CORRECTED = "corrected"
    ICLR2019 = "iclr2019"
    PNAS2020 = "pnas2020"


class Edge(StrEnum):
    """How a map of activations continues outside its outermost cells."""

    CLAMP = "clamp"
    """The outermost activation, repeated."""
    ZERO = "zero"
    """A fade to zero."""


GRID = 64
"""Side of the grid of pixels of the corrected rule."""


@dataclass(frozen=True)
class Rule:
    """How units are matched with concepts; method names follow the papers."""

    name: RuleName
    edge: Edge
    interpretable: Mapping[str, float]
    """The cut-offs by name."""
    pilot_seed_offset: int
    """Added to the seed for the samples that set the thresholds."""
    source: str
    """The paper."""
    downsample: int = 0
    """A published rule's grid: the image's side over the grid's; 0 for the grid of `Plan`."""
    searches: bool = False
    """Whether the threshold and label of each unit are searched for on the samples of the pilot, segmented too."""

    @property
    def is_published(self) -> bool:
        """Whether this is a published rule: exact thresholds from all samples, without a held-out half."""
        return self.downsample > 0

    def grid(self, image_side: int) -> int:
        """The side of the rule's own grid."""
        return max(1, image_side // self.downsample) if self.is_published else GRID


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            RuleName.CORRECTED,
            Edge.CLAMP,
            {"corrected_iou": 0.04, "q": 0.05},
            1,
            "Bau et al. 2019 and 2020, corrected for chance",
        ),
        Rule(
            RuleName.ICLR2019,
            Edge.CLAMP,
            {"iou": 0.05, "iqr": 0.01},
            1,
            "Bau et al., GAN Dissection, ICLR 2019",
            downsample=2,
            searches=True,
        ),
        Rule(
            RuleName.PNAS2020,
            Edge.ZERO,
            {"iou": 0.04},
            0,
            "Bau et al., Understanding the role of individual units, PNAS 2020",
            downsample=4,
        ),
    )
}


def rule_named(name: str) -> Rule:
    """The rule called `name`; UnknownName offers the nearest."""
    if name not in RULES:
        raise UnknownName.of("rule", name, RULES)
    return RULES[name]
