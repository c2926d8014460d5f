"""The rules by which units are labelled: the corrected rule, and those of two papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dissectreport.errors import UnknownName

GRID = 64
"""Side of the grid of pixels of the corrected rule."""


@dataclass(frozen=True)
class Rule:
    """How units are matched with concepts; method names follow the papers."""

    name: str
    edge: str
    """'clamp' repeats the outermost activation beyond the map's border, 'zero' fades to zero."""
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
        """Whether this is a published rule: exact thresholds from as many samples as are measured, no halves."""
        return self.downsample > 0

    def grid(self, image_side: int) -> int:
        """The side of the rule's own grid."""
        return max(1, image_side // self.downsample) if self.is_published else GRID


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "corrected",
            "clamp",
            {"corrected_iou": 0.04, "q": 0.05},
            1,
            "Bau et al. 2019 and 2020, corrected for chance",
        ),
        Rule(
            "iclr2019",
            "clamp",
            {"iou": 0.05, "iqr": 0.01},
            1,
            "Bau et al., GAN Dissection, ICLR 2019",
            downsample=2,
            searches=True,
        ),
        Rule(
            "pnas2020",
            "zero",
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
