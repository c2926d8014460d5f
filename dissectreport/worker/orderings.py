"""Orders of units for a concept, on a worker: alpha, greedy, and how well the leading units of an order do.

Everything here is made on choosing latents; `intervene` measures what came of it on others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import ModelError
from dissectreport.networks.edits import Edit, Prefix, inside_patches
from dissectreport.run.plan import PAIR, Aim, Budget, blocks_of
from dissectreport.stats.base import Floats, Ints
from dissectreport.worker.interventions import Arrays, Bench, Units, first_order
from dissectreport.worker.loaded_networks import Source


@dataclass(frozen=True)
class Lesson:
    """What the orders of one concept are made from."""

    number: int
    """Which of the studied concepts."""
    start: Floats
    """(units,) where alpha starts: agreement beyond chance over its largest, at least 0."""
    constant: Floats
    """(units,) mean activation where the concept is."""
    present: Ints
    """(m,) samples that hold the concept, those with most of it in one place first."""
    places: Ints
    """(m,) the place with most of it."""
    popular: Floats
    """(places,) how often each place is that place."""
    leading: Ints
    """(units,) the first-order order."""


def make_orders(source: Source, aim: Aim, budget: Budget) -> Callable[[Lesson], Arrays]:
    """The pass that learns alpha, and takes units one by one, for one concept after another."""
    bench = Bench(source.models(), aim)

    def work(lesson: Lesson) -> Arrays:
        concept = aim.concepts[lesson.number]
        weight, penalty, losses = learn_alpha(bench, budget, lesson, concept)
        return {
            "alpha": weight,
            "penalty": np.array(penalty),
            "losses": losses,
            "greedy": greedy(bench, budget, lesson, concept),
        }

    return work


def open_samples(bench: Bench, samples: Sequence[int]) -> Prefix:
    """The network run up to the layer on choosing latents that are picked out."""
    z = torch.cat([bench.models.latents(bench.aim.choosing_seed, int(sample), 1) for sample in samples])
    return bench.open_on(z, int(samples[0]))


def learn_alpha(bench: Bench, budget: Budget, lesson: Lesson, concept: int) -> tuple[Floats, float, Floats]:
    """The continuous mask of Bau et al. 2019 (units,), its penalty, and every penalty's held-out loss.

    Ablating by alpha where the concept is should remove it there, inserting by alpha where it could be should draw it
    there; the squares of alpha are charged for. The penalty is the one with the least loss, itself left out, on images
    kept back. With too few images alpha stays where it starts, and the penalty is NaN.
    """
    found, gains = candidates(bench, budget, lesson, concept)
    order = np.argsort(-gains, kind="stable")[: budget.alpha_train + budget.alpha_held]
    count = min(budget.alpha_train + budget.alpha_held, len(lesson.present))
    kinds = [(lesson.present[:count], lesson.places[:count]), (found[order, 0], found[order, 1])]
    learning, keeping = split(kinds, budget.alpha_held / (budget.alpha_train + budget.alpha_held))
    if min(len(kind[0]) for kind in (*learning, *keeping)) == 0:
        return lesson.start, float("nan"), np.full(len(budget.penalties), np.nan)
    runs = [_Alpha(bench, lesson, concept, penalty, budget) for penalty in budget.penalties]
    losses = []
    for run in runs:
        run.learn(learning, budget.alpha_trial)
        losses.append(run.loss(keeping))
    best = runs[int(np.argmin(losses))]
    best.learn(learning, budget.alpha_steps - budget.alpha_trial)
    weight = best.weight.detach().double().cpu().numpy()
    return weight, best.penalty, np.array(losses)


Spots = tuple[Ints, Ints]
"""(m,) samples and (m,) places in them."""


def split(kinds: Sequence[Spots], share: float) -> tuple[list[Spots], list[Spots]]:
    """Of each kind of spots those to learn on and those kept back, `share` of them or one more.

    No image is on both sides, whatever it is kept for: images are drawn and kept back while a kind that they belong to
    lacks some.
    """
    images = np.unique(np.concatenate([samples for samples, _ in kinds]))
    lacking = [max(1, round(share * len(samples))) for samples, _ in kinds]
    back: list[int] = []
    for image in np.random.RandomState(0).permutation(images).tolist():
        counts = [int((samples == image).sum()) for samples, _ in kinds]
        if any(count and lack > 0 for count, lack in zip(counts, lacking, strict=True)):
            lacking = [lack - count for count, lack in zip(counts, lacking, strict=True)]
            back.append(image)
    held = [np.isin(samples, back) for samples, _ in kinds]
    return (
        [(samples[~side], places[~side]) for (samples, places), side in zip(kinds, held, strict=True)],
        [(samples[side], places[side]) for (samples, places), side in zip(kinds, held, strict=True)],
    )


def candidates(bench: Bench, budget: Budget, lesson: Lesson, concept: int) -> tuple[Ints, Floats]:
    """(m, 2) samples and the best place in each at which all units take their concept means, and the pixels gained.

    Places are drawn as often as the concept is there, with a tenth spread evenly; where the concept stands already
    the gain does not count.
    """
    random = np.random.RandomState(1)
    likely = lesson.popular + max(lesson.popular.mean(), 1e-9) / 10
    values = torch.from_numpy(lesson.constant).float()
    every = tuple(range(len(values)))
    tries = min(budget.alpha_places, len(likely))
    found, gains = [], []
    for first in range(0, min(budget.alpha_tries, budget.search), PAIR):
        at = bench.open(bench.aim.choosing_seed, first, min(PAIR, budget.search - first))
        shape = at.activations.shape[2:]
        before = bench.labels_at(at, at.activations)
        there = functional.adaptive_avg_pool2d((before == concept).any(1).float()[:, None], blocks_of(*shape))
        places = random.choice(len(likely), tries, replace=False, p=likely / likely.sum())
        gained = []
        for place in places.tolist():
            where = inside_patches(torch.full((len(before),), place, device=before.device), *shape)
            after = bench.labels_at(at, Edit(every, values, where)(at.activations))
            gain = (after == concept).any(1).sum((1, 2)) - (before == concept).any(1).sum((1, 2))
            stands = there.flatten(1)[:, place] > 0
            gained.append(gain.masked_fill(stands, 0).cpu().numpy().astype(np.float64))
        best = np.argmax(gained, 0)
        found.append(np.stack([np.arange(first, first + len(before)), places[best]], 1))
        gains.append(np.max(gained, 0))
    return np.concatenate(found), np.concatenate(gains)


class _Alpha:
    """One concept's alpha while it is learned under one penalty."""

    def __init__(self, bench: Bench, lesson: Lesson, concept: int, penalty: float, budget: Budget) -> None:
        self.bench, self.concept, self.penalty, self.batch = bench, concept, penalty, budget.alpha_batch
        self.constant = torch.from_numpy(lesson.constant).float().to(bench.models.device)[None, :, None, None]
        self.weight = torch.from_numpy(lesson.start).float().to(bench.models.device).requires_grad_()
        self.optimiser = torch.optim.Adam([self.weight], budget.alpha_rate)
        self.random = np.random.RandomState(2)

    def learn(self, spots: Sequence[Spots], steps: int) -> None:
        """Some more steps on samples with the concept, and places for it."""
        for _ in range(steps):
            drawn = [self._drawn(kind) for kind in spots]
            self.optimiser.zero_grad()
            with torch.enable_grad():
                loss = self._loss(drawn) + self.penalty * self.weight.square().sum()
            if not bool(torch.isfinite(loss)):
                name = self.bench.models.segmenter.vocabulary.concepts[self.concept].name
                raise ModelError(
                    f"learning alpha for {name!r} diverged (loss {float(loss.detach()):g}); "
                    "leave the concept out with --concepts, or try --precision float32"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            with torch.no_grad():
                self.weight.clamp_(0, 1)

    def loss(self, spots: Sequence[Spots]) -> float:
        """The loss without the penalty, over all of the samples and places."""
        with torch.no_grad():
            means = []
            for adding, (samples, places) in enumerate(spots):
                parts = [(samples[i : i + PAIR], places[i : i + PAIR]) for i in range(0, len(samples), PAIR)]
                sums = [float(self._signed(*part, torch.full((len(part[0]),), bool(adding))).sum()) for part in parts]
                means.append(sum(sums) / len(samples))
        return sum(means)

    def _drawn(self, spots: Spots) -> Spots:
        rows = self.random.choice(len(spots[0]), min(self.batch, len(spots[0])), replace=False)
        return spots[0][rows], spots[1][rows]

    def _loss(self, spots: Sequence[Spots]) -> Tensor:
        """Mean probability left where the concept was, less that gained where it could be."""
        adding = torch.cat([torch.full((len(kind[0]),), bool(i)) for i, kind in enumerate(spots)])
        samples, places = (np.concatenate([kind[part] for kind in spots]) for part in (0, 1))
        signed = self._signed(samples, places, adding)
        return signed[~adding].mean() + signed[adding].mean()

    def _signed(self, samples: Ints, places: Ints, adding: Tensor) -> Tensor:
        """(n,) probability of the concept at each place, minus it where `adding` (n,) units are switched on."""
        at = open_samples(self.bench, samples.tolist())
        spots = torch.from_numpy(places).to(at.activations.device)
        inside = inside_patches(spots, *at.activations.shape[2:]).to(at.activations.dtype)
        share = self.weight.view(1, -1, 1, 1) * inside
        on = adding.to(share.device)
        changed = at.activations * (1 - share) + torch.where(on.view(-1, 1, 1, 1), self.constant * share, 0.0)
        shares = self.bench.probabilities(self.bench.images(at, changed), (self.concept,))
        pooled = functional.adaptive_avg_pool2d(shares, blocks_of(*at.activations.shape[2:])).flatten(1)
        measured = pooled.gather(1, spots[:, None])[:, 0]
        return torch.where(on, -measured, measured)


def greedy(bench: Bench, budget: Budget, lesson: Lesson, concept: int) -> Ints:
    """(units,) units in the order in which they remove most of the concept beside those that are off already.

    At every step the leading units of a first-order order, estimated anew, are tried; the rest follow by the last
    estimate.
    """
    at = open_samples(bench, lesson.present[: budget.greedy_images].tolist())
    taken: list[int] = []
    rest = [int(unit) for unit in lesson.leading]
    for _ in range(min(budget.greedy_units, len(rest))):
        off = Edit(tuple(taken))(at.activations)
        effect = first_order(bench, at, off, [concept]).effect[0]
        rest = [int(unit) for unit in np.argsort(-effect, kind="stable") if int(unit) not in taken]
        tried = rest[: budget.greedy_among]
        left = [int(bench.areas(at, Edit((unit,))(off))[:, concept].sum()) for unit in tried]
        taken.append(tried[int(np.argmin(left))])
    return np.array([*taken, *(unit for unit in rest if unit not in taken)], np.int64)


def make_trials(
    source: Source, aim: Aim, sets: Sequence[Sequence[Units]], samples: Sequence[Sequence[int]]
) -> Callable[[int], Ints]:
    """The pass that tells, on choosing latents, how much of a studied concept each of its sets of units leaves."""
    bench = Bench(source.models(), aim)

    def work(number: int) -> Ints:
        at = open_samples(bench, samples[number])
        concept = aim.concepts[number]
        return np.array([bench.areas(at, Edit(units)(at.activations))[:, concept].sum() for units in sets[number]])

    return work
