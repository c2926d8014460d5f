"""Rankings of units for a concept, on a worker: a learned mask, greedy choice, and a comparison of rankings.

Everything here is made on selection latents; `interventions` measures causal effects on held-out ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import ModelError
from dissectreport.networks.edits import Edit, Prefix
from dissectreport.networks.hooks import NotFinite
from dissectreport.records.interventions import LearnedMask, LearnedRanking, RemainingArea, Units
from dissectreport.run.budgets import InterventionBudget
from dissectreport.run.patches import patch_grid
from dissectreport.run.plan import InterventionKey
from dissectreport.run.shards import EDIT_BATCH
from dissectreport.stats.base import Floats, Ints
from dissectreport.worker.edited_model import EditedModel
from dissectreport.worker.gradients import first_order
from dissectreport.worker.loaded_networks import Source


@dataclass(frozen=True)
class RankingInputs:
    """The inputs for the rankings of one concept."""

    number: int
    """The number of the concept among those studied."""
    start: Floats
    """(units,) initial mask: chance-corrected IoU divided by its maximum, at least 0."""
    constant: Floats
    """(units,) mean activation where the concept is."""
    present: Ints
    """(m,) samples that show the concept, those with most of it in one patch first."""
    patches: Ints
    """(m,) the patch with most of it."""
    frequency: Floats
    """(patches,) how often each patch is that patch."""
    leading: Ints
    """(units,) units ranked by gradient × activation."""


def make_rankings(
    source: Source, key: InterventionKey, budget: InterventionBudget
) -> Callable[[RankingInputs], LearnedRanking]:
    """The pass that learns a mask and a greedy ranking for one concept after another."""
    model = EditedModel(source.models(), key)

    def work(inputs: RankingInputs) -> LearnedRanking:
        concept = key.concepts[inputs.number]
        return LearnedRanking(learn_mask(model, budget, inputs, concept), greedy(model, budget, inputs, concept))

    return work


def open_samples(model: EditedModel, samples: Sequence[int]) -> Prefix:
    """The network run up to the layer on some selection latents."""
    z = torch.cat([model.networks.latents(model.key.selection_seed, int(sample), 1) for sample in samples])
    return model.open_on(z, int(samples[0]))


def learn_mask(model: EditedModel, budget: InterventionBudget, inputs: RankingInputs, concept: int) -> LearnedMask:
    """The continuous mask of Bau et al. 2019, its penalty, and its held-out loss before and after learning.

    Ablating by the mask where the concept is should remove it there, and inserting by the mask where it could be should
    draw it there; a penalty is put on the squares of the mask. Of several penalties the one with the least loss, itself
    left out, on held-out images is taken. With too few images the mask stays where it starts, and all else is NaN.
    """
    spots, gains = candidates(model, budget, inputs, concept)
    order = np.argsort(-gains, kind="stable")[: budget.learned_mask_samples + budget.learned_mask_held_out]
    count = min(budget.learned_mask_samples + budget.learned_mask_held_out, len(inputs.present))
    kinds = [(inputs.present[:count], inputs.patches[:count]), (spots[order, 0], spots[order, 1])]
    learning, keeping = split(
        kinds, budget.learned_mask_held_out / (budget.learned_mask_samples + budget.learned_mask_held_out)
    )
    if min(len(kind[0]) for kind in (*learning, *keeping)) == 0:
        return LearnedMask(inputs.start, *[float("nan")] * 3)
    runs = [_Mask(model, inputs, concept, penalty, budget) for penalty in budget.penalties]
    start = runs[0].loss(keeping)
    best = _best_run(runs, learning, keeping, budget) if len(runs) > 1 else runs[0]
    best.learn(learning, budget.learned_mask_steps - best.steps)
    weight = best.weight.detach().double().cpu().numpy()
    return LearnedMask(weight, best.penalty, start, best.loss(keeping))


def _best_run(
    runs: Sequence[_Mask], learning: Sequence[Spots], keeping: Sequence[Spots], budget: InterventionBudget
) -> _Mask:
    """The mask whose penalty has the least held-out loss after the trial steps."""
    losses = []
    for run in runs:
        run.learn(learning, budget.learned_mask_trial_steps)
        losses.append(run.loss(keeping))
    return runs[int(np.argmin(losses))]


Spots = tuple[Ints, Ints]
"""(m,) samples and (m,) patches in them."""


def split(kinds: Sequence[Spots], share: float) -> tuple[list[Spots], list[Spots]]:
    """Each kind of spots, split into those to learn on and held-out ones (`share` of them or one more).

    No image is on both sides: images are held out in random order as long as one of their kinds has too few.
    """
    images = np.unique(np.concatenate([samples for samples, _ in kinds]))
    lacking = [max(1, round(share * len(samples))) for samples, _ in kinds]
    back: list[int] = []
    for image in np.random.RandomState(0).permutation(images).tolist():
        counts = [int((samples == image).sum()) for samples, _ in kinds]
        if any(count and lack > 0 for count, lack in zip(counts, lacking, strict=True)):
            lacking = [lack - count for count, lack in zip(counts, lacking, strict=True)]
            back.append(image)
    held_out = [np.isin(samples, back) for samples, _ in kinds]
    return (
        [(samples[~side], patches[~side]) for (samples, patches), side in zip(kinds, held_out, strict=True)],
        [(samples[side], patches[side]) for (samples, patches), side in zip(kinds, held_out, strict=True)],
    )


def candidates(
    model: EditedModel, budget: InterventionBudget, inputs: RankingInputs, concept: int
) -> tuple[Ints, Floats]:
    """(m, 2) samples and the best patch in each at which all units take their concept means, and the pixels gained.

    Patches are sampled as often as the concept is there, with a tenth spread evenly; where the concept is already the
    gain does not count.
    """
    random = np.random.RandomState(1)
    likely = inputs.frequency + max(inputs.frequency.mean(), 1e-9) / 10
    values = torch.from_numpy(inputs.constant).float()
    every = tuple(range(len(values)))
    tries = min(budget.learned_mask_patches, len(likely))
    spots, gains = [], []
    for first in range(0, min(budget.learned_mask_tries, budget.search), EDIT_BATCH):
        at = model.open(model.key.selection_seed, first, min(EDIT_BATCH, budget.search - first))
        before = model.labels_at(at, at.activations)
        there = functional.adaptive_avg_pool2d((before == concept).any(1).float()[:, None], patch_grid(*at.size))
        patches = random.choice(len(likely), tries, replace=False, p=likely / likely.sum())
        gained = []
        for patch in patches.tolist():
            where = at.inside(torch.full((len(before),), patch, device=before.device))
            after = model.labels_at(at, Edit(every, values, where)(at.activations))
            gain = (after == concept).any(1).sum((1, 2)) - (before == concept).any(1).sum((1, 2))
            stands = there.flatten(1)[:, patch] > 0
            gained.append(gain.masked_fill(stands, 0).cpu().numpy().astype(np.float64))
        best = np.argmax(gained, 0)
        spots.append(np.stack([np.arange(first, first + len(before)), patches[best]], 1))
        gains.append(np.max(gained, 0))
    return np.concatenate(spots), np.concatenate(gains)


class _Mask:
    """One concept's mask while it is learned under one penalty."""

    def __init__(
        self, model: EditedModel, inputs: RankingInputs, concept: int, penalty: float, budget: InterventionBudget
    ) -> None:
        self.model, self.concept, self.penalty, self.batch = model, concept, penalty, budget.learned_mask_batch
        self.constant = torch.from_numpy(inputs.constant).float().to(model.networks.device)[None, :, None, None]
        self.weight = torch.from_numpy(inputs.start).float().to(model.networks.device).requires_grad_()
        self.optimiser = torch.optim.Adam([self.weight], budget.learned_mask_rate)
        self.decay = budget.learned_mask_rate / budget.learned_mask_steps if budget.learned_mask_decays else 0.0
        self.steps = 0
        """Steps that were learned."""
        self.random = np.random.RandomState(2)

    def learn(self, spots: Sequence[Spots], steps: int) -> None:
        """Learn for some steps on samples with the concept, and patches for it."""
        for _ in range(steps):
            batches = [self._random_batch(kind) for kind in spots]
            self.optimiser.zero_grad()
            try:
                with torch.enable_grad():
                    loss = self._loss(batches) + self.penalty * self.weight.square().sum()
            except NotFinite as error:
                raise self._diverged("an image is not finite") from error
            if not bool(torch.isfinite(loss)):
                raise self._diverged(f"loss {float(loss.detach()):g}")
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.optimiser.param_groups[0]["lr"] -= self.decay
            self.steps += 1
            with torch.no_grad():
                self.weight.clamp_(0, 1)

    def _diverged(self, sign: str) -> ModelError:
        name = self.model.networks.segmenter.vocabulary.concepts[self.concept].name
        return ModelError(
            f"learning the mask of {name!r} diverged ({sign}); "
            "leave the concept out with --concepts, or try --precision float32"
        )

    def loss(self, spots: Sequence[Spots]) -> float:
        """The loss without the penalty, over all of the samples and patches."""
        with torch.no_grad():
            means = []
            for adding, (samples, patches) in enumerate(spots):
                parts = [
                    (samples[i : i + EDIT_BATCH], patches[i : i + EDIT_BATCH])
                    for i in range(0, len(samples), EDIT_BATCH)
                ]
                sums = [float(self._signed(*part, torch.full((len(part[0]),), bool(adding))).sum()) for part in parts]
                means.append(sum(sums) / len(samples))
        return sum(means)

    def _random_batch(self, spots: Spots) -> Spots:
        rows = self.random.choice(len(spots[0]), min(self.batch, len(spots[0])), replace=False)
        return spots[0][rows], spots[1][rows]

    def _loss(self, spots: Sequence[Spots]) -> Tensor:
        """Mean probability that remains where the concept was, minus the gain where it is inserted."""
        adding = torch.cat([torch.full((len(kind[0]),), bool(i)) for i, kind in enumerate(spots)])
        samples, patches = (np.concatenate([kind[part] for kind in spots]) for part in (0, 1))
        signed = self._signed(samples, patches, adding)
        return signed[~adding].mean() + signed[adding].mean()

    def _signed(self, samples: Ints, patches: Ints, adding: Tensor) -> Tensor:
        """(n,) probability of the concept at each patch, minus it where `adding` (n,) units are inserted."""
        at = open_samples(self.model, samples.tolist())
        spots = torch.from_numpy(patches).to(at.activations.device)
        inside = at.inside(spots).to(at.activations.dtype)
        share = self.weight.view(1, -1, 1, 1) * inside
        on = adding.to(share.device)
        changed = at.activations * (1 - share) + torch.where(on.view(-1, 1, 1, 1), self.constant * share, 0.0)
        shares = self.model.probabilities(self.model.images(at, changed), (self.concept,))
        pooled = functional.adaptive_avg_pool2d(shares, patch_grid(*at.size)).flatten(1)
        measured = pooled.gather(1, spots[:, None])[:, 0]
        return torch.where(on, -measured, measured)


def greedy(model: EditedModel, budget: InterventionBudget, inputs: RankingInputs, concept: int) -> Ints:
    """(units,) units, each the one that removes most of the concept together with those before it.

    At every step the leading units by gradient × activation, computed again, are tried; the rest follow by the last
    estimate.
    """
    at = open_samples(model, inputs.present[: budget.greedy_images].tolist())
    ablated: list[int] = []
    rest = [int(unit) for unit in inputs.leading]
    for _ in range(min(budget.greedy_units, len(rest))):
        off = Edit(tuple(ablated))(at.activations)
        effect = first_order(model, at, off, [concept]).effect[0]
        rest = [int(unit) for unit in np.argsort(-effect, kind="stable") if int(unit) not in ablated]
        tried = rest[: budget.greedy_among]
        tries = [Edit((*ablated, unit)) for unit in tried]
        remaining = model.areas_of(at, tries)[:, :, concept].sum(0)
        ablated.append(tried[int(np.argmin(remaining))])
    return np.array([*ablated, *(unit for unit in rest if unit not in ablated)], np.int64)


def make_trials(
    source: Source, key: InterventionKey, sets: Sequence[Sequence[Units]], samples: Sequence[Sequence[int]]
) -> Callable[[int], RemainingArea]:
    """The pass that measures, on selection latents, the remaining area of a concept without each set of units."""
    model = EditedModel(source.models(), key)

    def work(number: int) -> RemainingArea:
        at = open_samples(model, samples[number])
        concept = key.concepts[number]
        areas = model.areas_of(at, [Edit(units) for units in sets[number]])
        return RemainingArea(areas[:, :, concept].sum(0))

    return work
