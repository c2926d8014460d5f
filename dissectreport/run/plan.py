"""Cache keys: everything that changes the numbers of a measurement, of interventions, and of artifact units."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dissectreport.errors import BadOption
from dissectreport.run.plain import Plain
from dissectreport.run.rules import GRID, RuleName, rule_named
from dissectreport.run.shards import BATCH, SHARD

FORMAT = 19
"""Increased whenever the counts of the same plan change."""
INTERVENTIONS_FORMAT = 9
"""Increased whenever interventions of the same key and budget change."""
ARTIFACTS_FORMAT = 7
"""Increased whenever artifact units of the same key and budget change."""
CLASSES_FORMAT = 1
"""Increased whenever the experiments with classes of the same key and budget change."""

SEEDS = 8
"""Seeds that a run draws from, its own the first: samples, pilot, selection and held-out latents of interventions, and
four for artifact units: the generated images that realism compares with, selection, testing and scoring."""

CHANCE_GRID = 64
"""Side of the largest grid on which the chance level is counted."""
LATTICE = 21
"""Approximate number of rows of the pixels at which random directions are counted. Neighbouring pixels are similar, so
several bases at a ninth of the pixels give more information about directions than one basis at all pixels."""
ROTATIONS = (2017, 2018, 2019, 2020, 2021)
"""Seeds of the random bases of the units (Network Dissection's axis test, 2017)."""


@dataclass(frozen=True)
class Reading:
    """What is read at a layer: its units, random directions, or its units with the masks of other images."""

    layer: str
    rotation: int | None = None
    """Seed of a random orthogonal matrix over the units, or None for the units themselves."""
    scales: tuple[float, ...] = ()
    """What each unit is divided by before the rotation; () for nothing."""
    shift: int = 0
    """By how many images masks are shifted within a shard: 1 for the control with masks of the next image."""

    @property
    def key(self) -> str:
        """A word for messages and folders."""
        rotated = [] if self.rotation is None else [f"random_directions {self.rotation}"]
        return " ".join([self.layer, *rotated, *(["shifted"] if self.shift else [])])


@dataclass(frozen=True)
class Plan:
    """Only what changes the numbers; samples, workers, device and folders are run options."""

    generator: str
    """The generator's identity."""
    segmenter: str
    """The segmenter's identity."""
    rule: str = RuleName.CORRECTED
    seed: int = 1
    grid: int = GRID
    """Side of the grid of pixels on which activations and masks are compared."""
    pilot: int = 480
    """Samples that set the thresholds; no segmenter runs on them."""
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
        if not 0 <= self.seed <= 2**32 - SEEDS:
            raise BadOption(f"--seed must be between 0 and {2**32 - SEEDS}, not {self.seed}")

    @property
    def pilot_seed(self) -> int:
        """The seed of the samples that set the thresholds."""
        return self.seed + rule_named(self.rule).pilot_seed_offset

    @property
    def chance_grid(self) -> int:
        """Side of the grid on which the chance level is counted."""
        return self.grid if rule_named(self.rule).is_published else min(self.grid, CHANCE_GRID)

    @property
    def lattice(self) -> range:
        """The rows, and columns, of the grid of the chance level whose pixels random directions are counted at."""
        step = max(1, self.chance_grid // LATTICE)
        return range(step // 2, self.chance_grid, step)

    def side(self, reading: Reading) -> int:
        """The side of the grid on which a reading is counted."""
        return self.grid if reading.rotation is None else len(self.lattice)

    def facts(self) -> dict[str, Any]:
        """Everything that could change the bytes, as plain JSON values, for the cache key."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True)
class InterventionKey(Plain):
    """What interventions are made on: everything, besides a budget, that changes their numbers."""

    generator: str
    segmenter: str
    layer: str
    concepts: tuple[int, ...]
    """Numbers of the concepts studied."""
    contexts: tuple[int, ...]
    """Numbers of the concepts on which units are inserted."""
    seed: int
    precision: str
    """One of `Precision`, but not auto."""
    torch: str = ""

    @property
    def selection_seed(self) -> int:
        """The seed of the latents on which units are ranked and sets of them selected."""
        return self.seed + 2

    @property
    def held_out_seed(self) -> int:
        """The seed of the latents on which causal effects are measured."""
        return self.seed + 3

    def facts(self) -> dict[str, Any]:
        """Everything that could change the bytes, as plain JSON values, for the cache key."""
        return {"format": INTERVENTIONS_FORMAT, **asdict(self)}


@dataclass(frozen=True)
class ArtifactKey(Plain):
    """Where artifact units are searched for: everything, besides a budget, that changes their numbers."""

    generator: str
    features: str
    """The identity of the network in whose features images are compared."""
    reference: str
    """The identity of the real images."""
    layer: str
    seed: int
    precision: str
    torch: str = ""

    @property
    def generated_seed(self) -> int:
        """The seed of the generated images that the realism score compares with."""
        return self.seed + 4

    @property
    def selection_seed(self) -> int:
        """The seed of the latents on which units are ranked by gradient × activation."""
        return self.seed + 5

    @property
    def testing_seed(self) -> int:
        """The seed of the latents on which single units are tested, and the size of a repair is selected."""
        return self.seed + 6

    @property
    def scoring_seed(self) -> int:
        """The seed of the latents on which a repair is scored."""
        return self.seed + 7

    def facts(self) -> dict[str, Any]:
        """Everything that could change the bytes, as plain JSON values, for the cache key."""
        return {"format": ARTIFACTS_FORMAT, **asdict(self)}


@dataclass(frozen=True)
class ClassKey(Plain):
    """What experiments with classes are made on: everything, besides a budget, that changes their numbers."""

    generator: str
    """The identity of the classifier."""
    truth: str
    """A digest of the classes and of the labels of the images."""
    layer: str
    seed: int
    """The seed of the order of the images."""
    images: int
    """Images that are classified, the first in this order."""
    torch: str = ""

    def facts(self) -> dict[str, Any]:
        """Everything that could change the bytes, as plain JSON values, for the cache key."""
        return {"format": CLASSES_FORMAT, **asdict(self)}
