"""The plan of a measurement: everything that changes the numbers, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dissectreport.errors import BadOption, UnknownName

FORMAT = 10
"""Changes whenever the counts of the same plan would come out differently."""

SHARD = 48
"""Samples in a shard: a multiple of the batch, because convolutions are not batch-size invariant in the last bits."""

BATCH = 16
SEEDS = 8
"""Seeds that a run draws from, its own the first: samples, pilot, the two halves of interventions, and four for
artifact units: the generated side of nearness, choosing, testing and scoring."""
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
    pilot: int = 480
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
        if not 0 <= self.seed <= 2**32 - SEEDS:
            raise BadOption(f"--seed must be between 0 and {2**32 - SEEDS}, not {self.seed}")

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


INTERVENTIONS = 6
"""Changes whenever interventions of the same aim and budget would come out differently."""

FEWEST = 128
"""Latents behind any printed area of an intervention."""

PAIR = 8
"""Latents that are edited together: few, so that a tail's widest maps stay in the processor's cache."""


@dataclass(frozen=True)
class Budget:
    """How much is spent on interventions. No printed area rests on fewer than 128 latents."""

    name: str
    samples: int = 128
    """Judging latents, behind every area."""
    gradients: int = 128
    """Choosing latents, behind the first-order effects."""
    search: int = 400
    """Choosing latents in which the places are looked for on which alpha is learned."""
    concepts: int = 4
    """Concepts studied, the commonest."""
    singles: int = 10
    """Units that are ablated one by one; 0 for all."""
    sizes: tuple[int, ...] = (1, 2, 4, 10, 20)
    """Units ablated together, in the first-order order."""
    sparse: tuple[int, ...] = (20,)
    """The same for the other orders."""
    best: tuple[int, ...] = (10, 20)
    """The same for the order of a concept that does best on choosing latents, which pages lead with."""
    random_sizes: tuple[int, ...] = (10, 20)
    """The same for random sets."""
    random_sets: int = 8
    learned: bool = True
    """Whether units are put in order by learning too, by alpha and by greedy choice."""
    alpha_tries: int = 48
    """Images in which all units are switched on, of which the best are learned on."""
    alpha_places: int = 1
    """Places at which they are, in each image."""
    alpha_train: int = 32
    """Samples with the concept, and places for it, that alpha is learned on."""
    alpha_held: int = 16
    """The same, kept back to choose the penalty."""
    alpha_steps: int = 32
    alpha_trial: int = 8
    """Steps after which the best penalty alone goes on."""
    alpha_batch: int = 2
    """Samples of each kind in a step."""
    alpha_rate: float = 0.05
    penalties: tuple[float, ...] = (0.0005, 0.005, 0.05)
    greedy_units: int = 10
    greedy_among: int = 5
    """Leading units by the estimate that are tried at every step."""
    greedy_images: int = 4
    inserted: int = 20
    """Units that are switched on together."""
    quantile: float = 0.995
    """The level to which a unit is switched on: this share of its activations is lower."""
    constant: str = "quantile"
    """'quantile', or 'mean' for the mean activation where the concept is."""
    context_samples: int = 216
    context_places: int = 2
    """Places tried in each image, on different grounds."""
    context_random: int = 2
    """Random sets switched on at the same places."""
    shown: int = 6
    """Images shown of each concept."""


BUDGETS = {
    budget.name: budget
    for budget in (
        Budget("default"),
        Budget(
            "quick",
            gradients=48,
            search=80,
            concepts=2,
            singles=1,
            sizes=(10, 20),
            sparse=(20,),
            random_sizes=(20,),
            random_sets=2,
            learned=False,
            context_samples=128,
            context_random=1,
            shown=4,
        ),
        Budget(
            "full",
            samples=1000,
            concepts=8,
            gradients=500,
            search=2000,
            singles=0,
            sizes=(1, 2, 4, 8, 10, 12, 20, 30),
            random_sizes=(1, 2, 4, 8, 10, 12, 20, 30),
            sparse=(1, 2, 4, 8, 10, 12, 20, 30),
            alpha_tries=500,
            alpha_train=200,
            alpha_held=50,
            alpha_steps=500,
            alpha_trial=100,
            alpha_batch=8,
            alpha_rate=0.01,
            greedy_units=20,
            greedy_images=64,
            context_samples=2000,
        ),
        Budget(
            "paper",
            samples=1000,
            concepts=8,
            gradients=1000,
            search=10_000,
            singles=0,
            sizes=(1, 2, 4, 8, 10, 12, 20, 30),
            random_sizes=(1, 2, 4, 8, 10, 12, 20, 30),
            sparse=(1, 2, 4, 8, 10, 12, 20, 30),
            alpha_tries=10_000,
            alpha_places=5,
            alpha_train=1000,
            alpha_held=200,
            alpha_steps=500,
            alpha_trial=500,
            alpha_batch=20,
            alpha_rate=0.01,
            greedy_units=20,
            greedy_images=200,
            context_samples=10_000,
            context_places=64,
            context_random=2,
        ),
    )
}
"""'quick' learns nothing before it judges as much, 'full' suits an accelerator, and 'paper' has the sizes of the two
references, for hours."""


def budget_named(name: str) -> Budget:
    """The budget called `name`; UnknownName offers the nearest."""
    if name not in BUDGETS:
        raise UnknownName.of("budget", name, BUDGETS)
    return BUDGETS[name]


@dataclass(frozen=True)
class Aim:
    """What interventions are made on: everything, beside a budget, that changes their numbers."""

    generator: str
    segmenter: str
    layer: str
    concepts: tuple[int, ...]
    """Numbers of the concepts studied."""
    grounds: tuple[int, ...]
    """Numbers of the concepts on which units are switched on."""
    seed: int
    precision: str
    """'float32' or 'bfloat16'."""
    torch: str = ""

    @property
    def choosing_seed(self) -> int:
        """The seed of the latents on which orders are made."""
        return self.seed + 2

    @property
    def judging_seed(self) -> int:
        """The seed of the latents on which effects are measured."""
        return self.seed + 3

    def facts(self) -> dict[str, Any]:
        """Everything that could change the bytes, as plain JSON values, for the cache key."""
        return {"format": INTERVENTIONS, **asdict(self)}


FEWEST_SCORED = 100
"""Images on each side behind any distance between sets of images."""
FEWEST_REAL = 2 * FEWEST_SCORED
"""Real images behind artifact units: one half is compared with the other."""

DIAGNOSES = 6
"""Changes whenever artifact units of the same examination and checkup would come out differently."""


@dataclass(frozen=True)
class Checkup:
    """How much is spent on artifact units and repair."""

    name: str
    real: int = 2016
    """Real images, at most: twice as many as are scored, so that real ones are compared with as many others."""
    side: int = 480
    """Generated images that nearness compares with."""
    dissected: int = 480
    """Images of the dissection, at most, of which those that excite a unit most are compared with real ones."""
    gradients: int = 128
    """Choosing latents, behind the first-order effects."""
    tested: int = 64
    """Testing latents, behind the effect of every unit that is ablated alone."""
    retested: int = 320
    """Further testing latents, for those that do most good on the first: they alone decide which are artifact units."""
    finalists: int = 8
    """How many are tested further, beside the control and the marked units."""
    leading: int = 30
    """Leading units by the first-order effect that are ablated one by one."""
    control: int = 4
    """Units of like mean activation, drawn from the others, that are too."""
    bottom: int = 5
    """The last units by the first-order effect, which are too: what does most harm to first order may do good."""
    weighed: int = 288
    """Further testing latents, on which the size of the repair is chosen."""
    scored: int = 1008
    """Scoring latents, behind the quality of images."""
    sizes: tuple[int, ...] = (2, 5, 10, 20)
    """Worst units that are ablated together; all that a repair may ablate where these are fewer."""
    random_sets: int = 5
    """Random sets of each size."""
    random_scored: int = 128
    """Scoring latents behind the random sets."""
    worst: int = 12
    """Worst images that are shown."""
    pairs: int = 40
    """Random images that are kept before and after the repair."""


CHECKUPS = {
    checkup.name: checkup
    for checkup in (
        Checkup("default"),
        Checkup(
            "quick",
            real=256,
            side=96,
            dissected=112,
            gradients=48,
            tested=48,
            retested=192,
            finalists=3,
            leading=4,
            control=2,
            bottom=1,
            weighed=104,
            scored=104,
            sizes=(2, 5),
            random_sets=2,
            random_scored=100,
            pairs=12,
        ),
        Checkup(
            "full",
            real=10_000,
            side=2000,
            gradients=1000,
            tested=500,
            retested=1000,
            finalists=20,
            weighed=1000,
            scored=5000,
            random_sets=10,
            leading=60,
        ),
        Checkup(
            "paper",
            real=20_480,
            side=5000,
            gradients=1000,
            tested=500,
            retested=1000,
            finalists=20,
            weighed=1000,
            scored=10_240,
            random_sets=10,
            leading=60,
        ),
    )
}
"""By the names of the budgets: 'quick' takes a third of the default's time, and 'paper' scores 10,240 images,
as many as the Fréchet distance of Inception features of length 2,048 needs."""


@dataclass(frozen=True)
class Examination:
    """What artifact units are looked for in: everything, beside a checkup, that changes their numbers."""

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
    def side_seed(self) -> int:
        """The seed of the generated images that nearness compares with."""
        return self.seed + 4

    @property
    def choosing_seed(self) -> int:
        """The seed of the latents on which units are put in order to first order."""
        return self.seed + 5

    @property
    def testing_seed(self) -> int:
        """The seed of the latents on which single units are tested."""
        return self.seed + 6

    @property
    def scoring_seed(self) -> int:
        """The seed of the latents on which repair is scored."""
        return self.seed + 7

    def facts(self) -> dict[str, Any]:
        """Everything that could change the bytes, as plain JSON values, for the cache key."""
        return {"format": DIAGNOSES, **asdict(self)}


BLOCKS = 8
"""Places in a row of a map, and in a column."""


def blocks_of(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of places in a map: 8 x 8, so that a place is 1/64 of it, or its cells where it has fewer."""
    return min(BLOCKS, height), min(BLOCKS, width)


def cell_of(place: int, height: int, width: int) -> tuple[float, float, float, float]:
    """Top, left, height and width of a place of a map of that many cells, as shares of the image."""
    rows, columns = blocks_of(height, width)
    return place // columns / rows, place % columns / columns, 1 / rows, 1 / columns
