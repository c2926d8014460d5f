"""Which sets of units are ablated and inserted: decisions on selection latents, without any network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dissectreport.analysis.interventions.study import Study
from dissectreport.pipeline.random_sets import matched_sets
from dissectreport.records.interventions import (
    AblationPlan,
    LearnedRanking,
    Units,
    as_set,
)
from dissectreport.run.budgets import FEWEST_INSERTIONS, InterventionBudget
from dissectreport.run.rankings import Ranking
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.effects import FirstOrder, Presence
from dissectreport.stats.insertions import Insertions
from dissectreport.stats.patch_contexts import PatchContexts


def gradient_ranking(first: FirstOrder) -> Ints:
    """(concepts, units) units by falling estimate of gradient × activation."""
    return np.argsort(-first.effect, axis=1, kind="stable")


def strongest_concepts(first: FirstOrder) -> Ints:
    """(units,) the number of the concept of whose area a unit changes the largest share, by the estimate."""
    return np.asarray(np.abs(first.effect / np.maximum(first.area, 1e-9)[:, None]).argmax(0), np.int64)


def rankings(study: Study, first: FirstOrder, learned: Sequence[LearnedRanking]) -> dict[str, Ints]:
    """By ranking method (concepts, units) units in order; the learned ones where there are any."""
    leading = gradient_ranking(first)
    by_method: dict[str, Ints] = {Ranking.GRADIENT: leading}
    if learned:
        by_method[Ranking.LEARNED_MASK] = np.stack(
            [by_weight(ranking.mask.weights, leading[number]) for number, ranking in enumerate(learned)]
        )
        by_method[Ranking.GREEDY] = np.stack([ranking.greedy for ranking in learned])
    return {**by_method, Ranking.IOU: np.argsort(-study.corrected_iou, axis=1, kind="stable")}


def causal_size(budget: InterventionBudget, units: int) -> int:
    """Units of a causal set: no more than half of the layer."""
    return max(1, min(budget.inserted, units // 2))


def ablation_plan(
    budget: InterventionBudget,
    study: Study,
    presence: Presence,
    first: FirstOrder,
    learned: Sequence[LearnedRanking],
    best: tuple[str, ...],
) -> AblationPlan:
    """The sets of units to ablate; `best` names the best ranking of each concept."""
    orders = rankings(study, first, learned)
    mean_activation = presence.mean_activation / presence.images
    units = len(mean_activation)
    return AblationPlan(
        rankings=orders,
        sizes={name: fitting(budget.sizes if name == Ranking.GRADIENT else budget.sparse, units) for name in orders},
        best_sizes=fitting(budget.best, units),
        best=best,
        causal_size=causal_size(budget, units),
        singles=single_units(first, budget.singles or units),
        sampled=sampled_units(budget, units),
        random=random_sets(budget, orders, best, mean_activation),
        masks=tuple(ranking.mask for ranking in learned),
        mean_activation=mean_activation,
        level=presence.level / presence.images,
        concept_means=presence.concept_means(),
        upper=study.upper,
        corrected_iou=study.corrected_iou,
    )


def fitting(sizes: Sequence[int], units: int) -> Units:
    """The sizes that a layer has units for."""
    return tuple(size for size in sizes if size <= units)


def single_units(first: FirstOrder, count: int) -> Units:
    """The units to ablate one by one: the leading ones of every concept in turn, then some from all others."""
    units = first.effect.shape[1]
    if count >= units:
        return tuple(range(units))
    ranked = np.argsort(-np.abs(first.effect), axis=1, kind="stable").T.flatten().tolist()
    leading = list(dict.fromkeys(ranked))[: -(-count * 3 // 4)]
    others = list(dict.fromkeys(unit for unit in ranked[::-1] if unit not in leading))
    step = max(1, len(others) // max(1, count - len(leading)))
    return as_set([*leading, *others[::step][: count - len(leading)]])


def sampled_units(budget: InterventionBudget, units: int) -> Units:
    """Units drawn at random from the whole layer."""
    return as_set(np.random.RandomState(units).permutation(units)[: budget.sampled])


def random_sizes(budget: InterventionBudget, mean_activation: Floats) -> list[int]:
    """How many units random sets have: the budget's number, or the largest that a small layer allows."""
    fits = [size for size in budget.sizes if 2 * size <= (mean_activation > 0).sum()]
    return [size for size in budget.random_sizes if size in fits] or fits[-1:]


def random_sets(
    budget: InterventionBudget, orders: Mapping[str, Ints], best: Sequence[str], mean_activation: Floats
) -> dict[int, tuple[tuple[Units, ...], ...]]:
    """By size and concept, random sets matched to the leading units of the concept's best ranking."""
    sets = {}
    for size in random_sizes(budget, mean_activation):
        leading = [as_set(orders[method][concept][:size]) for concept, method in enumerate(best)]
        sets[size] = matched_to(leading, mean_activation, budget.random_sets)
    return {size: by_concept for size, by_concept in sets.items() if by_concept[0]}


def by_weight(weight: Floats, leading: Ints) -> Ints:
    """(units,) by falling weight; equal ones in the order of `leading`."""
    place = np.empty(len(leading), np.int64)
    place[leading] = np.arange(len(leading))
    return np.lexsort((place, -weight)).astype(np.int64)


def matched_to(leading: Sequence[Units], mean_activation: Floats, count: int) -> tuple[tuple[Units, ...], ...]:
    """By concept as many random sets, matched to its leading units; as many as the concept with fewest has."""
    sets = [matched_sets(mean_activation, units, count) for units in leading]
    return tuple(one[: min(map(len, sets))] for one in sets)


def images_showing(areas: Areas, concept: int, count: int) -> Units:
    """The first held-out latents whose images show a concept; where none does, the first ones."""
    pixels = areas.pixels[:, np.flatnonzero(areas.concepts == concept)[0]]
    showing = areas.samples[pixels > 0]
    return tuple((showing if len(showing) else areas.samples)[:count].tolist())


def inserted_values(budget: InterventionBudget, study: Study, presence: Presence) -> Floats:
    """(concepts, units) the activations to which units are set when they are inserted for a concept."""
    means = presence.concept_means()
    return means if budget.constant == "mean" else np.broadcast_to(study.upper, means.shape)


def values_of(values: Floats, units: Units) -> tuple[float, ...]:
    """The values of some units."""
    return tuple(float(values[unit]) for unit in units)


def inserted_sets(plan: AblationPlan, values: Floats) -> list[tuple[Units, tuple[float, ...]]]:
    """The causal set of every concept, and the values of its units."""
    sets = [plan.causal_set(number) for number in range(plan.concepts)]
    return [(units, values_of(values[number], units)) for number, units in enumerate(sets)]


def inserted_random_sets(plan: AblationPlan, values: Floats) -> list[tuple[int, Units, tuple[float, ...]]]:
    """Random sets of about as many units, of all concepts in turn: their concept, units and values."""
    for size in sorted(plan.random, key=lambda size: abs(size - plan.causal_size))[:1]:
        turns = zip(*plan.random[size], strict=True)
        return [(k, units, values_of(values[k], units)) for turn in turns for k, units in enumerate(turn)]
    return []


def random_set(plan: AblationPlan, number: int) -> Units:
    """The first random set of about as many units as the causal set of a concept; () where there are none."""
    sizes = sorted(plan.random, key=lambda size: abs(size - plan.causal_size))
    return plan.random[sizes[0]][number][0] if sizes else ()


def best_matching(plan: AblationPlan, number: int) -> int:
    """The unit of the causal set of a concept that matches it best, on selection images."""
    return max(plan.causal_set(number), key=lambda unit: float(plan.corrected_iou[number][unit]))


def insertion_spots(found: PatchContexts, contexts: Sequence[int], each: int) -> tuple[tuple[int, int, int], ...]:
    """Sample, patch and context of insertions: `each` in every context, or as many as there are images with it.

    No context is used twice in an image. A context in fewer images than a gain can be measured on is left out.
    """
    spots: list[tuple[int, int, int]] = []
    for context in contexts:
        random = np.random.RandomState(context)
        rows = random.permutation(np.flatnonzero((found.contexts == context).any(1)))[:each]
        if len(rows) < FEWEST_INSERTIONS:
            continue
        patches = [int(random.choice(np.flatnonzero(found.contexts[row] == context))) for row in rows]
        spots += [(int(found.samples[row]), patch, context) for row, patch in zip(rows, patches, strict=True)]
    return tuple(sorted(spots))


def shown_samples(areas: Areas, concept: int, count: int) -> Units:
    """Latents to show a concept on: at random from the half of those with it that show most of it."""
    pixels = areas.pixels[:, np.flatnonzero(areas.concepts == concept)[0]]
    order = np.argsort(-pixels, kind="stable")
    holding = order[pixels[order] > 0]
    pool = holding[: max(count, len(holding) // 2)] if len(holding) else order[:count]
    chosen = np.random.RandomState(concept).permutation(pool)[:count]
    return tuple(int(areas.samples[i]) for i in np.sort(chosen))


def typical_insertions(insertions: Insertions, number: int) -> tuple[tuple[int, int], ...]:
    """For each context the (sample, patch) of its median insertion for a concept, the context of most gain first."""
    typical = []
    for context in np.unique(insertions.contexts):
        rows = np.flatnonzero(insertions.contexts == context)
        gains = insertions.own_gains(number)[rows]
        middle = rows[np.argsort(gains, kind="stable")[len(rows) // 2]]
        typical.append((-gains.mean(), int(insertions.samples[middle]), int(insertions.patches[middle])))
    return tuple((sample, patch) for _, sample, patch in sorted(typical))
