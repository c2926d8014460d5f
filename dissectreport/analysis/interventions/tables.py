"""Causal effects: what is worth trying, from the dissection, and the tables, from what was tried.

Effects are ratios of whole pixels over the same latents with and without units (Bau et al. 2019, 2020). Their
intervals are a delete-one-group jackknife over the held-out latents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.analysis.dissection.units import Counted, scored
from dissectreport.analysis.results.interventions import (
    RANKING_METHODS,
    Ablated,
    ConceptPictures,
    Heat,
    Inserted,
    Interventions,
)
from dissectreport.errors import BadOption, UnknownName
from dissectreport.records.interventions import (
    AblationPlan,
    EditedPictures,
    InterventionRecord,
    Units,
    concept_file,
    unit_file,
)
from dissectreport.records.reader import Reader
from dissectreport.run.budgets import FEWEST_LATENTS, InterventionBudget
from dissectreport.run.patches import PATCHES_PER_SIDE, patch_box, patch_grid
from dissectreport.run.plan import InterventionKey
from dissectreport.run.rankings import Ranking
from dissectreport.run.shards import EDIT_BATCH, GROUPS, Shard
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints, merge_all
from dissectreport.stats.effects import FirstOrder
from dissectreport.stats.insertions import Insertions
from dissectreport.stats.paired import Paired
from dissectreport.vocabulary import Vocabulary

REMOVAL = (10, 20)
"""Sizes of the sets in the summary."""
FEWEST_RANKED = 4
"""Units behind any rank correlation: with fewer it could be anything."""
FEW_IMAGES = 20
"""With fewer held-out latents that show the concept, a note warns of it."""


# --- before: what is worth trying ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Study:
    """What the dissection of a layer says about the concepts to be studied."""

    concepts: tuple[int, ...]
    """Concept numbers, commonest first."""
    names: tuple[str, ...]
    contexts: tuple[int, ...]
    """Concepts of the leading category: those on which units are inserted."""
    frequency: tuple[float, ...]
    """Share of images in which each context covers at least a patch."""
    corrected_iou: Floats
    """(concepts, units) chance-corrected IoU on the selection half, at each pair's best threshold."""
    upper: Floats
    """(units,) activation that the wanted share of pixels does not exceed."""

    def keeping(self, rows: Ints) -> Study:
        """The same for some of the concepts."""
        concepts, names = (tuple(values[row] for row in rows) for values in (self.concepts, self.names))
        return replace(self, concepts=concepts, names=names, corrected_iou=self.corrected_iou[rows])


def study(
    counted: Counted, areas: Areas, vocabulary: Vocabulary, wanted: Sequence[str], budget: InterventionBudget
) -> Study:
    """What to study in a layer: the `wanted` concepts, or the commonest of the vocabulary's first category."""
    numbers = chosen_concepts(areas, vocabulary, wanted, budget.concepts)
    scores = scored(counted, vocabulary, counted.chances, wanted=numbers)
    corrected_iou = np.zeros((len(numbers), counted.shape[0]))
    for row, number in enumerate(numbers):
        column = np.flatnonzero(scores.concepts == number)
        if len(column):
            corrected_iou[row] = scores.chosen[:, column[0]]
    contexts, frequency = chosen_contexts(areas, vocabulary, budget)
    return Study(
        numbers,
        tuple(vocabulary[n].name for n in numbers),
        contexts,
        frequency,
        np.where(np.isfinite(corrected_iou), corrected_iou, 0.0),
        upper_activations(counted, budget.quantile),
    )


def chosen_concepts(areas: Areas, vocabulary: Vocabulary, requested: Sequence[str], count: int) -> tuple[int, ...]:
    """Concept numbers, most frequent first; BadOption or UnknownName if a requested one does not occur."""
    images = dict(zip(areas.concepts.tolist(), (areas.pixels > 0).sum(0).tolist(), strict=True))
    pixels = dict(zip(areas.concepts.tolist(), areas.pixels.sum(0).tolist(), strict=True))
    if not requested:
        candidates = numbers_in(areas, vocabulary, leading_category(vocabulary))
        if not candidates:
            raise BadOption(f"no concept of category {leading_category(vocabulary)!r} occurs; choose --concepts")
        return tuple(sorted(candidates, key=lambda n: (-images[n], -pixels[n]))[:count])
    names = vocabulary.names
    numbers = []
    for name in requested:
        if name not in names[1:]:
            raise UnknownName.of("concept", name, names[1:])
        number = names.index(name, 1)
        if not images.get(number):
            raise BadOption(
                f"concept {name!r} occurs in none of {len(areas.samples):,} images; choose other --concepts"
            )
        numbers.append(number)
    return tuple(dict.fromkeys(numbers))


def chosen_contexts(
    areas: Areas, vocabulary: Vocabulary, budget: InterventionBudget
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The concepts of largest area in the leading category, as many as get enough insertions, and how often each is.

    How often: the share of images in which it covers at least a place's worth of pixels.
    """
    known = np.array(numbers_in(areas, vocabulary, leading_category(vocabulary)), np.int64)
    column = np.searchsorted(areas.concepts, known)
    room = budget.context_samples * budget.context_patches // (FEWEST_LATENTS * 5 // 4)
    often = (areas.pixels[:, column] * PATCHES_PER_SIDE**2 >= areas.grid).mean(0)
    order = np.argsort(-often, kind="stable")[: max(1, room)]
    return tuple(known[order].tolist()), tuple(often[order].tolist())


def learning(name: str) -> bool:
    """Whether a size of a budget is about learned orders alone."""
    return name.startswith(("learned_mask", "greedy", "penalties"))


def leading_category(vocabulary: Vocabulary) -> str:
    """The category that the vocabulary names first."""
    return vocabulary[1].category


def numbers_in(areas: Areas, vocabulary: Vocabulary, category: str) -> tuple[int, ...]:
    """The concepts of a category that occur."""
    occurring = areas.concepts[areas.pixels.sum(0) > 0]
    return tuple(int(n) for n in occurring if n and vocabulary[int(n)].category == category)


def upper_activations(counted: Counted, quantile: float) -> Floats:
    """(units,) the threshold above which the share 1 - `quantile` of pixels lies, as nearly as thresholds allow."""
    total = counted.joint.total
    above = total[:, ::-1].cumsum(1)[:, ::-1][:, 1:] / np.maximum(total.sum(1, keepdims=True), 1)
    column = np.abs(above - (1 - quantile)).argmin(1)
    return np.asarray(counted.thresholds.values()[np.arange(len(total)), column], np.float64)


# --- after: the tables -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Removed:
    """Share of every concept's area that ablating each set of units removes: of all groups, and with each left out."""

    index: Mapping[Units, int]
    share: Jackknife
    """(sets, concepts)"""
    before: Floats
    """(concepts,) pixels."""
    pixels: int
    images: int

    @classmethod
    def of(cls, sets: Sequence[Units], parts: Sequence[tuple[Shard, Paired]]) -> Removed:
        """From every shard's counts with and without each of the sets, in order."""
        groups: dict[int, Paired] = {}
        for shard, paired in parts:
            group = shard.number % GROUPS
            groups[group] = groups[group].merge(paired) if group in groups else paired
        every = list(groups.values())
        whole = merge_all(every)
        index = {units: number for number, units in enumerate(sets)}
        without = [_share(whole.after - one.after, whole.before - one.before) for one in every]
        sizes = np.array([one.images for one in every], np.int64)
        share = Jackknife(_share(whole.after, whole.before), np.stack(without), sizes)
        return cls(index, share, whole.before.astype(float), whole.pixels, whole.images)

    def __getitem__(self, units: Iterable[int]) -> Jackknife:
        """(concepts,) what the set removes."""
        row = self.index[tuple(sorted(int(unit) for unit in units))]
        return Jackknife(self.share.value[row], self.share.without[:, row], self.share.sizes)

    def mean(self, sets: Sequence[Sequence[int]]) -> Jackknife:
        """(concepts,) what the sets remove, on average."""
        jackknives = [self[units] for units in sets]
        return Jackknife(
            np.mean([jackknife.value for jackknife in jackknives], 0),
            np.mean([jackknife.without for jackknife in jackknives], 0),
            self.share.sizes,
        )


def _share(after: Ints, before: Ints) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(before > 0, 1 - after / before, np.nan))


def interventions(
    record: InterventionRecord, reader: Reader, vocabulary: Vocabulary, mixed_devices: bool = False
) -> Interventions:
    """The results of a layer's interventions, from the record's passes; devices are mixed only if requested."""
    key, budget = record.key, record.budget
    measured = _read(record, reader, mixed_devices)
    removed = Removed.of(measured.plan.sets(), measured.paired)
    tables = InterventionTables(key, budget, measured.plan, removed, measured.first, vocabulary)
    concepts = tables.concepts(measured.areas)
    pictures, units = _pictures(record, measured, reader, vocabulary)
    shown = next(iter(pictures.values()))
    return Interventions(
        key.layer,
        budget.samples,
        budget.gradients,
        min((len(sets) for sets in measured.plan.random.values()), default=0),
        shown.ablated.before.shape[1] * shown.ablated.before.shape[2] / _patches(shown.heat.maps),
        {
            "budget": {name: value for name, value in asdict(budget).items() if budget.learned or not learning(name)},
            "precision": key.precision,
            "precision_agreement": record.agreement,
            "selection_seed": key.selection_seed,
            "held_out_seed": key.held_out_seed,
            "penalties": {name: _number(penalty) for name, penalty in tables.penalties.items()},
            "mean_activation": tables.strengths(),
        },
        concepts,
        tables.effects(),
        tables.agreement(measured.paired),
        tables.rankings(),
        tables.curves(),
        tables.removal(),
        tables.side_effects(measured.areas),
        context(key, measured.insertions, vocabulary),
        units,
        pictures,
        _notes(tables, concepts, budget),
    )


@dataclass(frozen=True)
class _MeasuredInterventions:
    """Everything that was measured, read."""

    plan: AblationPlan
    paired: list[tuple[Shard, Paired]]
    areas: Areas
    first: FirstOrder
    insertions: Insertions


def _read(record: InterventionRecord, reader: Reader, mixed_devices: bool) -> _MeasuredInterventions:
    budget = record.budget
    ablations = record.ablations, budget.samples, EDIT_BATCH
    gradients = record.gradients, budget.gradients, EDIT_BATCH
    insertions = record.insertions, budget.context_samples, EDIT_BATCH
    for folder in (ablations, gradients, insertions):
        reader.devices(*folder, mixed_devices)
    return _MeasuredInterventions(
        plan=reader.read(record.plan, AblationPlan),
        paired=list(reader.stats(*ablations, Paired)),
        areas=reader.total(*ablations, Areas),
        first=reader.total(*gradients, FirstOrder),
        insertions=reader.total(*insertions, Insertions),
    )


def _notes(tables: InterventionTables, concepts: pd.DataFrame, budget: InterventionBudget) -> tuple[str, ...]:
    """Warnings that limit how far the numbers can be trusted."""
    notes = [
        f"{name} occurs in only {images} of {budget.samples:,} held-out images: its effects are uncertain."
        for name, images in zip(concepts["concept"], concepts["images"], strict=True)
        if images < FEW_IMAGES
    ]
    unlearned = [name for name, penalty in tables.penalties.items() if np.isnan(penalty)]
    if unlearned:
        notes.append(
            f"Too few images contain {', '.join(unlearned)} to learn a mask; there, the learned mask ranks "
            f"units by IoU."
        )
    if not tables.plan.random:
        notes.append("The layer has too few units for random sets of the same size.")
    return tuple(notes)


def _patches(maps: NDArray[np.float32]) -> int:
    rows, columns = patch_grid(maps.shape[1], maps.shape[2])
    return rows * columns


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


@dataclass(frozen=True)
class InterventionTables:
    """The tables of a layer's interventions."""

    key: InterventionKey
    budget: InterventionBudget
    plan: AblationPlan
    removed: Removed
    first: FirstOrder
    vocabulary: Vocabulary

    @property
    def names(self) -> list[str]:
        """The studied concepts."""
        return [self.vocabulary[number].name for number in self.key.concepts]

    @property
    def ranking_names(self) -> list[str]:
        """The ranking methods, best known first."""
        return [str(name) for name in RANKING_METHODS if name in self.plan.rankings]

    @property
    def penalties(self) -> dict[str, float]:
        """The penalty of the learned mask by concept; NaN where it could not be learned, empty if not requested."""
        return dict(zip(self.names, self.plan.penalties.tolist(), strict=False))

    def concepts(self, areas: Areas) -> pd.DataFrame:
        """One row a studied concept."""
        rows = []
        for k, number in enumerate(self.key.concepts):
            column = areas.pixels[:, np.flatnonzero(areas.concepts == number)[0]]
            rows.append(
                {
                    "concept": self.names[k],
                    "category": self.vocabulary[number].category,
                    "area": column.sum() / (len(column) * areas.grid),
                    "images": int((column > 0).sum()),
                    "best_ranking": self.plan.best[k],
                }
            )
        return pd.DataFrame(rows)

    def estimates(self) -> Floats:
        """(concepts, units) share of the concept's area that ablating a unit removes, by gradient × activation."""
        return np.asarray(self.first.effect / np.maximum(self.first.area, 1e-9)[:, None])

    def effects(self) -> pd.DataFrame:
        """One row a (concept, unit), by concept and rank."""
        parts = []
        estimates = self.estimates()
        measured_effect = {unit: self.removed[(unit,)] for unit in self.plan.singles}
        ends = {unit: effect.interval() for unit, effect in measured_effect.items()}
        for k, number in enumerate(self.key.concepts):
            order = np.argsort(-estimates[k], kind="stable")
            parts.append(
                pd.DataFrame(
                    {
                        "concept": self.names[k],
                        "unit": order,
                        "rank": np.arange(1, len(order) + 1),
                        "estimate": estimates[k][order],
                        "corrected_iou": self.plan.corrected_iou[k][order],
                        "measured_effect": [
                            measured_effect[u].value[number] if u in measured_effect else np.nan for u in order
                        ],
                        "measured_effect_low": [ends[u][0][number] if u in ends else np.nan for u in order],
                        "measured_effect_high": [ends[u][1][number] if u in ends else np.nan for u in order],
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def agreement(self, held_out: Sequence[tuple[Shard, Paired]]) -> pd.DataFrame:
        """How far the estimate's order is that of exact ablation, by concept."""
        units = list(self.plan.singles)
        halves = [
            Removed.of(self.plan.sets(), [(s, stat) for s, stat in held_out if s.number % 2 == half]) for half in (0, 1)
        ]
        estimates = self.estimates()
        rows = []
        for k, number in enumerate(self.key.concepts):
            measured_effect = np.array([self.removed[(unit,)].value[number] for unit in units])
            split = [np.array([half[(unit,)].value[number] for unit in units]) for half in halves]
            enough = len(units) >= FEWEST_RANKED
            correlation = spearman(estimates[k][units], measured_effect) if enough else np.nan
            low, high = spearman_interval(correlation, len(units))
            split_correlation = spearman(*split) if enough else np.nan
            rows.append(
                {
                    "concept": self.names[k],
                    "units": len(units),
                    "spearman": correlation,
                    "spearman_low": low,
                    "spearman_high": high,
                    "noise_ceiling": noise_ceiling(split_correlation),
                }
            )
        return pd.DataFrame(rows)

    def rankings(self) -> pd.DataFrame:
        """One row a (concept, order, place)."""
        parts = []
        for k, concept in enumerate(self.names):
            for name in self.ranking_names:
                units = self.plan.rankings[name][k]
                weight = self.plan.masks[k][units] if name == Ranking.LEARNED_MASK else np.full(len(units), np.nan)
                place = np.arange(1, len(units) + 1)
                parts.append(
                    pd.DataFrame({"concept": concept, "ranking": name, "rank": place, "unit": units, "weight": weight})
                )
        return pd.concat(parts, ignore_index=True)

    def curves(self) -> pd.DataFrame:
        """What ablating more and more units of every ranking removes, and what random sets remove."""
        rows: list[dict[str, Any]] = []
        for k, number in enumerate(self.key.concepts):
            for name in self.ranking_names:
                rows.append(_point(self.names[k], name, 0, 0.0, 0.0, 0.0))
                for size in self.plan.tried_sizes(name, k):
                    removed_by_set = self.removed[self.plan.leading(name, k, size)]
                    low, high = removed_by_set.interval()
                    rows.append(
                        _point(self.names[k], name, size, removed_by_set.value[number], low[number], high[number])
                    )
            rows.append(_point(self.names[k], Ranking.RANDOM, 0, 0.0, 0.0, 0.0))
            for size, sets in sorted(self.plan.random.items()):
                removed = np.array([self.removed[units].value[number] for units in sets])
                rows.append(_point(self.names[k], Ranking.RANDOM, size, removed.mean(), removed.min(), removed.max()))
        return pd.DataFrame(rows)

    def removal(self) -> pd.DataFrame:
        """What ablating 10 and 20 units removes, compared with random units."""
        rows = []
        random = self.plan.random
        for k, number in enumerate(self.key.concepts):
            for name in self.ranking_names:
                for size in [s for s in REMOVAL if s in self.plan.tried_sizes(name, k) and s in random]:
                    rows.append(self._row(k, number, name, size, random[size]))
        columns = ["concept", "ranking", "units", "removed", "removed_low", "removed_high"]
        columns += ["random", "random_low", "random_high", "difference", "difference_low", "difference_high"]
        return pd.DataFrame(rows, columns=columns)

    def _row(self, k: int, number: int, name: str, size: int, sets: Sequence[Units]) -> dict[str, Any]:
        one, mean = self.removed[self.plan.leading(name, k, size)], self.removed.mean(sets)
        difference = Jackknife(one.value - mean.value, one.without - mean.without, one.sizes)
        every = [self.removed[units].value[number] for units in sets]
        (low, high), (difference_low, difference_high) = one.interval(), difference.interval()
        return {
            "concept": self.names[k],
            "ranking": name,
            "units": size,
            "removed": one.value[number],
            "removed_low": low[number],
            "removed_high": high[number],
            "random": mean.value[number],
            "random_low": min(every),
            "random_high": max(every),
            "difference": difference.value[number],
            "difference_low": difference_low[number],
            "difference_high": difference_high[number],
        }

    def side_effects(self, areas: Areas) -> pd.DataFrame:
        """What else changes with the best order's units."""
        rows = []
        total = self.removed.images * self.removed.pixels
        for k in range(len(self.key.concepts)):
            name = self.plan.best[k]
            size = self.plan.causal_size
            one = self.removed[self.plan.leading(name, k, size)]
            low, high = one.interval()
            for other in areas.concepts[areas.pixels.sum(0) > 0].tolist():
                before = self.removed.before[other] / total
                rows.append(
                    {
                        "concept": self.names[k],
                        "ranking": name,
                        "units": size,
                        "other_concept": self.vocabulary[other].name,
                        "category": self.vocabulary[other].category,
                        "before": before,
                        "after": before * (1 - one.value[other]),
                        "change": 0.0 - one.value[other],
                        "change_low": 0.0 - high[other],
                        "change_high": 0.0 - low[other],
                    }
                )
        return pd.DataFrame(rows)

    def strengths(self) -> dict[str, dict[str, float]]:
        """Mean absolute activation of the leading sets of each concept, and of the random ones, by size."""
        mean_activation = self.plan.mean_activation
        by_size: dict[str, dict[str, float]] = {}
        for size, sets in sorted(self.plan.random.items()):
            leading = [
                float(mean_activation[self.plan.rankings[Ranking.GRADIENT][k][:size]].mean())
                for k in range(len(self.names))
            ]
            by_size[str(size)] = {
                Ranking.GRADIENT: float(np.mean(leading)),
                Ranking.RANDOM: float(np.mean([mean_activation[list(units)].mean() for units in sets])),
            }
        return by_size


def _point(concept: str, order: str, units: int, removed: float, low: float, high: float) -> dict[str, Any]:
    return {
        "concept": concept,
        "ranking": str(order),
        "units": units,
        "removed": removed,
        "removed_low": low,
        "removed_high": high,
    }


def spearman(first: Floats, second: Floats) -> float:
    """Rank correlation, ties at their mean rank; NaN where one of them never varies."""
    ranks = [pd.Series(values).rank().to_numpy() for values in (first, second)]
    if min(np.ptp(rank) for rank in ranks) == 0:
        return float("nan")
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def noise_ceiling(within: float) -> float:
    """About the rank correlation that a perfect estimate would have with a noisy measure, by that of its halves.

    The halves step up to the reliability of the whole (Spearman 1910, Brown 1910), of which this is the square root
    (Spearman 1904); 0 where they do not agree, NaN where that is not known.
    """
    return float(np.sqrt(2 * within / (1 + within))) if within > 0 else 0.0 * abs(within)


def spearman_interval(correlation: float, n: int) -> tuple[float, float]:
    """95% interval of a rank correlation of n pairs (Bonett & Wright 2000)."""
    if n < 4 or np.isnan(correlation):
        return float("nan"), float("nan")
    centre = np.arctanh(np.clip(correlation, -0.9999999, 0.9999999))
    reach = 1.96 * np.sqrt((1 + correlation**2 / 2) / (n - 3))
    return float(np.tanh(centre - reach)), float(np.tanh(centre + reach))


def context(key: InterventionKey, insertions: Insertions, vocabulary: Vocabulary) -> pd.DataFrame:
    """One row a (concept, context) with enough images: pixels gained, and those by random units at the same patches."""
    rows = []
    group = insertions.samples // EDIT_BATCH % GROUPS
    for k, number in enumerate(key.concepts):
        for around in key.contexts:
            there = insertions.contexts == around
            if len(np.unique(insertions.samples[there])) < FEWEST_LATENTS:
                continue
            own, sets = insertions.own_gains(k), insertions.random_gains(k)
            random = sets.mean(1) if sets.shape[1] else np.full(len(sets), np.nan)
            gain, chance = (_mean(values[there], group[there]) for values in (own, random))
            rows.append(
                {
                    "concept": vocabulary[number].name,
                    "context_concept": vocabulary[around].name,
                    "insertions": int(there.sum()),
                    **_ends("gain", gain),
                    **_ends("random_gain", chance),
                }
            )
    columns = ["concept", "context_concept", "insertions", "gain", "gain_low", "gain_high"]
    columns += ["random_gain", "random_gain_low", "random_gain_high"]
    return pd.DataFrame(rows, columns=columns)


def _mean(values: NDArray[Any], group: Ints) -> Jackknife:
    """The mean over insertions, and with each group of latents left out."""
    total = np.bincount(group, values, minlength=GROUPS)
    count = np.bincount(group, minlength=GROUPS)
    has_insertions = count > 0
    without = (total.sum() - total[has_insertions]) / np.maximum(count.sum() - count[has_insertions], 1)
    return Jackknife(np.asarray(total.sum() / count.sum()), without, count[has_insertions].astype(np.int64))


def _ends(name: str, jack: Jackknife) -> dict[str, float]:
    low, high = jack.interval()
    return {name: float(jack.value), f"{name}_low": float(low), f"{name}_high": float(high)}


def _pictures(
    record: InterventionRecord, measured: _MeasuredInterventions, reader: Reader, vocabulary: Vocabulary
) -> tuple[dict[str, ConceptPictures], dict[int, Ablated]]:
    concepts = {}
    for k, number in enumerate(record.key.concepts):
        pictures = reader.read(record.pictures, EditedPictures, concept_file(k))
        concepts[vocabulary[number].name] = ConceptPictures(
            _ablated(pictures),
            _inserted(pictures, measured.insertions, k, vocabulary),
            Heat(pictures.samples, pictures.heat),
        )
    units = {
        unit: _ablated(reader.read(record.pictures, EditedPictures, unit_file(unit))) for unit in measured.plan.singles
    }
    return concepts, units


def _ablated(pictures: EditedPictures) -> Ablated:
    return Ablated(
        pictures.units,
        pictures.samples,
        pictures.before,
        pictures.after,
        pictures.labels_before,
        pictures.labels_after,
    )


def _inserted(pictures: EditedPictures, insertions: Insertions, k: int, vocabulary: Vocabulary) -> Inserted:
    rows = [
        int(np.flatnonzero((insertions.samples == sample) & (insertions.patches == patch))[0])
        for sample, patch in pictures.inserted
    ]
    height, width = pictures.heat.shape[1:]
    boxes = [patch_box(patch, height, width) for patch in pictures.inserted[:, 1].tolist()]
    return Inserted(
        pictures.units,
        pictures.inserted[:, 0],
        np.array(boxes, np.float32).reshape(-1, 4),
        tuple(vocabulary[int(insertions.contexts[row])].name for row in rows),
        insertions.own_gains(k)[rows],
        pictures.inserted_before,
        pictures.inserted_after,
    )


def causal_sets(record: InterventionRecord, vocabulary: Vocabulary, reader: Reader, layer: str) -> dict[str, Units]:
    """By concept the units of a layer that were called its cause; nothing for a layer that was not intervened on."""
    if record.key.layer != layer:
        return {}
    plan = reader.read(record.plan, AblationPlan)
    return {vocabulary[number].name: plan.causal_set(k) for k, number in enumerate(record.key.concepts)}


def changes(parts: Sequence[tuple[Shard, Paired]], vocabulary: Vocabulary, first: Sequence[str] = ()) -> pd.DataFrame:
    """The effect of one edit on every concept that occurs: the requested ones first, then by decreasing effect."""
    removed = Removed.of([(0,)], parts)
    share = removed[(0,)]
    low, high = share.interval()
    whole = merge_all(paired for _, paired in parts)
    total = whole.images * whole.pixels
    rows = []
    for number in np.flatnonzero((whole.before > 0) | (whole.after[0] > 0)).tolist():
        rows.append(
            {
                "concept": vocabulary[number].name,
                "category": vocabulary[number].category,
                "before": whole.before[number] / total,
                "after": whole.after[0, number] / total,
                "change": 0.0 - share.value[number],
                "change_low": 0.0 - high[number],
                "change_high": 0.0 - low[number],
            }
        )
    table = pd.DataFrame(rows)
    size = (table["after"] - table["before"]).abs()
    wanted = table["concept"].isin(list(first))
    order = np.lexsort((-size.to_numpy(), ~wanted.to_numpy()))
    return table.iloc[order].reset_index(drop=True)
