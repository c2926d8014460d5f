"""The plan of a measurement: everything that changes the numbers, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dissectreport.errors import BadOption, UnknownName

FORMAT = 6
"""Changes whenever the counts of the same plan would come out differently."""

SHARD = 48
"""Samples in a shard: a multiple of the batch, because convolutions are not batch-size invariant in the last bits."""

BATCH = 16
GROUPS = 20
"""Shard number modulo this is the shard's group; even groups choose, odd groups score."""

NULL_GRID = 64
"""Side of the largest grid on which the null is counted."""


@dataclass(frozen=True)
class Reading:
    """What is read at a layer: its units, or the same activations in a randomly rotated basis."""

    layer: str
    rotation: int | None = None
    """Seed of a random orthogonal matrix over the units, or None for the units themselves."""
    shift: int = 0
    """Images by which the masks are moved on within a shard: 1 for a pretend observation, that of chance."""

    @property
    def key(self) -> str:
        """A word for messages and folders."""
        words = {"rotated": self.rotation is not None, "shifted": self.shift != 0}
        return " ".join([self.layer, *(word for word, holds in words.items() if holds)])


@dataclass(frozen=True)
class Shard:
    """Consecutive samples that are counted together."""

    number: int
    first: int
    count: int

    @property
    def group(self) -> int:
        """The group that the shard's counts go to."""
        return self.number % GROUPS


@dataclass(frozen=True)
class Rule:
    """How agreement is counted and judged; method names follow the papers."""

    name: str
    edge: str
    """'clamp' repeats the outermost activation beyond the map's border, 'zero' fades to zero."""
    interpretable: Mapping[str, float]
    """The cut-offs by name."""
    choosing_seed_offset: int
    """Added to the seed for the samples that set the levels."""
    source: str
    """The paper."""
    downsample: int = 0
    """A published rule's grid: the image's side over the grid's; 0 for the grid of `Plan`."""
    searches: bool = False
    """Whether each unit's level and label are searched for on samples of the choosing seed, segmented too."""

    @property
    def reference(self) -> bool:
        """Whether this is a published rule: exact levels from as many samples as are measured, no halves."""
        return self.downsample > 0

    def grid(self, image_side: int) -> int:
        """The side of the rule's own grid."""
        return max(1, image_side // self.downsample) if self.reference else Plan.grid


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "corrected",
            "clamp",
            {"excess": 0.04, "q": 0.05},
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


@dataclass(frozen=True)
class Plan:
    """Only what changes the numbers; samples, workers, device and folders are run options."""

    generator: str
    """The generator's identity."""
    segmenter: str
    """The segmenter's identity."""
    rule: str = "corrected"
    seed: int = 1
    grid: int = 64
    """Side of the grid of pixels on which activations and masks are compared."""
    pilot: int = 1008
    """Samples that set the levels; no segmenter runs on them."""
    batch: int = BATCH
    shard: int = SHARD
    torch: str = ""
    """The version of torch: another one may differ in the last bits."""

    def __post_init__(self) -> None:
        rule_named(self.rule)
        if self.grid < 1:
            raise BadOption(f"--grid must be at least 1, not {self.grid}")
        if self.shard % self.batch:
            raise BadOption(f"a shard of {self.shard} samples is no multiple of the batch of {self.batch}")
        if not 0 <= self.seed < 2**32 - 1:
            raise BadOption(f"--seed must be between 0 and {2**32 - 2}, not {self.seed}")

    @property
    def pilot_seed(self) -> int:
        """The seed of the samples that set the levels."""
        return self.seed + rule_named(self.rule).choosing_seed_offset

    @property
    def null_grid(self) -> int:
        """Side of the grid on which chance is counted."""
        return self.grid if rule_named(self.rule).reference else min(self.grid, NULL_GRID)

    def facts(self) -> dict[str, Any]:
        """Everything that could change the bytes, as plain JSON values, for the cache key."""
        return {"format": FORMAT, **asdict(self)}


def shards(samples: int, size: int = SHARD) -> tuple[Shard, ...]:
    """The shards of `samples` samples, in order; only the last may be short.

    >>> [s.count for s in shards(100, 48)]
    [48, 48, 4]
    """
    if samples < 1:
        raise BadOption(f"--samples must be at least 1, not {samples}")
    return tuple(
        Shard(number, first, min(size, samples - first)) for number, first in enumerate(range(0, samples, size))
    )
