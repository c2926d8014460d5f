"""Interventions, on a worker: one small make(…) -> work(shard) per pass.

A layer's output is edited, never in place, and only the tail of the network and the segmenter run again. Effects are
paired: the same latents with and without the edit, every concept counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import ModelError, SegmenterError
from dissectreport.networks.edits import Edit, Prefix, edited, inside_patches, run_prefix
from dissectreport.networks.hooks import check_finite
from dissectreport.run.plan import PAIR, Aim, Shard, blocks_of
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Ints, merge_all
from dissectreport.stats.effects import FirstOrder, Presence
from dissectreport.stats.insertions import Insertions
from dissectreport.stats.paired import Paired
from dissectreport.worker.loaded_networks import Models, Source
from dissectreport.worker.observing import samples_of
from dissectreport.worker.pictures import as_bytes

Arrays = dict[str, NDArray[Any]]
Units = tuple[int, ...]


class Aimed(Protocol):
    """Which layer is edited, in which arithmetic."""

    @property
    def layer(self) -> str:
        """The layer's name."""

    @property
    def precision(self) -> str:
        """'float32' or 'bfloat16'."""

    @property
    def choosing_seed(self) -> int:
        """The seed of the latents on which orders are made."""


@dataclass(frozen=True)
class Bench:
    """The networks of a worker, set up for edits of one layer."""

    models: Models
    aim: Aimed

    def autocast(self) -> AbstractContextManager[Any]:
        """The arithmetic of the aim."""
        half = self.aim.precision == "bfloat16"
        return torch.autocast(self.models.device.type, torch.bfloat16, enabled=half)

    def open(self, seed: int, first: int, count: int) -> Prefix:
        """The network run up to the layer on some latents."""
        z = self.models.latents(seed, first, count)
        return self.open_on(z, first)

    def open_on(self, z: Tensor, first: int) -> Prefix:
        """The network run up to the layer on latents that are given."""
        with self.autocast():
            found = self.models.made(z, lambda: run_prefix(self.models.generator, self.aim.layer, z))
        check_finite(self.aim.layer, found.activations, first)
        return found

    def images(self, at: Prefix, activations: Tensor) -> Tensor:
        """(n, 3, height, width) float32 images of edited activations."""
        with self.autocast():
            return self.models.made(at.z, lambda: at.images(activations)).float()

    def labels(self, images: Tensor) -> Tensor:
        """(n, slots, h, w) concept numbers."""
        with torch.no_grad(), self.autocast():
            return self.models.labels(images)

    def features(self, images: Tensor) -> Tensor:
        """(n, d) float32 features of images, with gradients where they are wanted."""
        with self.autocast():
            return self.models.described(images)

    def labels_at(self, at: Prefix, activations: Tensor) -> Tensor:
        """(n, slots, h, w) concept numbers of the images of edited activations."""
        with torch.no_grad():
            return self.labels(self.images(at, activations))

    def areas(self, at: Prefix, activations: Tensor) -> Ints:
        """(n, c) pixels of every concept of the vocabulary."""
        return pixels_by_image(self.labels_at(at, activations), len(self.models.segmenter.vocabulary))

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, k, h, w) probability of each of k concepts, with gradients."""
        with self.autocast():
            return self.models.probabilities(images, concepts).float()


def pixels_by_image(labels: Tensor, concepts: int) -> Ints:
    """(n, slots, h, w) -> (n, concepts) pixels; a concept in several slots of a pixel counts once, nothing never."""
    flat = labels.flatten(2)
    slots = []
    for slot in range(flat.shape[1]):
        again = (flat[:, :slot] == flat[:, slot : slot + 1]).any(1)
        slots.append(flat[:, slot].masked_fill(again, 0))
    image = torch.arange(len(flat), device=flat.device)[None, :, None] * concepts
    counts = torch.bincount((torch.stack(slots) + image).flatten(), minlength=len(flat) * concepts)
    found = counts.reshape(len(flat), concepts)
    found[:, 0] = 0
    return found.cpu().numpy()


def parts_of(shard: Shard, size: int = PAIR) -> Iterator[tuple[int, int]]:
    """First sample and number of each batch of a shard."""
    for first in range(shard.first, shard.first + shard.count, size):
        yield first, min(size, shard.first + shard.count - first)


# --- which arithmetic -----------------------------------------------------------------------------------------


def half_is_fast(device: str) -> bool:
    """Whether the processor multiplies tiles of bfloat16 (AMX).

    Its vector instructions alone (AVX-512 BF16) do not help: passes took half as long again with them as in float32.
    """
    ask = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return device == "cpu" and ask is not None and bool(ask())


def half_agrees(source: Source, aim: Aim) -> float:
    """Share of pixels to which bfloat16 gives the same labels as float32, over a few images; 0 where it fails."""

    def labels(precision: str) -> Tensor:
        bench = Bench(source.models(), Aim(**{**vars(aim), "precision": precision}))
        at = bench.open(aim.choosing_seed, 0, PAIR)
        return bench.labels_at(at, at.activations)

    whole = labels("float32")
    try:
        return float((whole == labels("bfloat16")).float().mean())
    except (ModelError, SegmenterError):  # Not every operation of anybody's network knows bfloat16.
        return 0.0


# --- choosing latents: where concepts are, and first-order effects ---------------------------------------------


def make_search(source: Source, aim: Aim) -> Callable[[Shard], dict[str, Any]]:
    """The pass that finds where the studied concepts are, and what the units do there."""
    bench = Bench(source.models(), aim)
    concepts = torch.tensor(aim.concepts)

    def work(shard: Shard) -> dict[str, Any]:
        sums: Presence | None = None
        rows: dict[str, list[NDArray[Any]]] = {"score": [], "place": []}
        for first, count in parts_of(shard):
            at = bench.open(aim.choosing_seed, first, count)
            labels = bench.labels_at(at, at.activations)
            # (n, k, h, w) whether a pixel shows each studied concept
            mask = torch.stack([(labels == c).any(1) for c in concepts.to(labels.device)], 1).float()
            more = _presence(at.activations, mask)
            sums = more if sums is None else sums.merge(more)
            pooled = functional.adaptive_avg_pool2d(mask, blocks_of(*at.activations.shape[2:])).flatten(2)
            score, place = pooled.max(2)
            rows["score"].append(score.cpu().double().numpy())
            rows["place"].append(place.cpu().numpy())
        assert sums is not None, "no shard is empty"
        joined = {name: np.concatenate(found) for name, found in rows.items()}
        return {"presence": sums, "rows": {**joined, "places": np.array(pooled.shape[2])}}

    return work


def _presence(activations: Tensor, mask: Tensor) -> Presence:
    maps = activations.cpu().double()
    score = functional.adaptive_avg_pool2d(mask, (maps.shape[2], maps.shape[3])).cpu().double()
    return Presence(
        torch.einsum("nkyx,nuyx->ku", score, maps).numpy(),
        score.sum((0, 2, 3)).numpy(),
        maps.abs().mean((2, 3)).sum(0).numpy(),
        np.float64(len(maps)) * np.ones(()),
    )


def make_gradients(source: Source, aim: Aim) -> Callable[[Shard], FirstOrder]:
    """The pass that estimates the effect of every unit on every studied concept to first order.

    Ablating a unit changes a concept's soft area by about -Σ activation × gradient: one forward, and one backward
    pass a concept, tell it for all units at once.
    """
    bench = Bench(source.models(), aim)

    def work(shard: Shard) -> FirstOrder:
        found: FirstOrder | None = None
        for first, count in parts_of(shard):
            at = bench.open(aim.choosing_seed, first, count)
            more = first_order(bench, at, at.activations, aim.concepts)
            found = more if found is None else found.merge(more)
        assert found is not None, "no shard is empty"
        return found

    return work


def first_order(bench: Bench, at: Prefix, activations: Tensor, concepts: Sequence[int]) -> FirstOrder:
    """The sums of activation × gradient of each concept's soft area, at (edited) activations."""
    effect, area = [], []
    for total, gradient in gradients(bench, at, activations, concepts):
        effect.append((activations * gradient.float()).sum((2, 3)).cpu().double().sum(0).numpy())
        area.append(total)
    return FirstOrder(np.stack(effect), np.array(area))


def gradients(bench: Bench, at: Prefix, activations: Tensor, concepts: Sequence[int]) -> Iterator[tuple[float, Tensor]]:
    """For each concept its soft area in pixels over all images, and the gradient (n, units, h, w) of it."""
    leaf = activations.detach().requires_grad_()
    with torch.enable_grad():
        shares = bench.probabilities(bench.images(at, leaf), concepts)
        for number, concept in enumerate(concepts):
            area = shares[:, number].sum()
            (gradient,) = (
                torch.autograd.grad(area, leaf, retain_graph=True, allow_unused=True) if area.requires_grad else (None,)
            )
            if gradient is None or not bool(torch.isfinite(gradient).all()):
                raise ModelError(unreachable(bench, concept))
            yield float(area.detach()), gradient


def unreachable(bench: Bench, concept: int) -> str:
    """One line for a layer that a concept's gradient does not reach."""
    name = bench.models.segmenter.vocabulary.concepts[concept].name
    return (
        f"the gradient of {name!r} does not reach layer {bench.aim.layer!r}: the segmenter or the network between "
        "them passes none (or one that is not finite); choose other --concepts, or another --intervention-layer"
    )


# --- judging latents ------------------------------------------------------------------------------------------


def make_judge(source: Source, aim: Aim, sets: Sequence[Units]) -> Callable[[Shard], dict[str, Any]]:
    """The pass that ablates each set of units, everywhere and to zero, and counts every concept."""
    bench = Bench(source.models(), aim)

    def work(shard: Shard) -> dict[str, Any]:
        before, after, pixels = [], [], 0
        for first, count in parts_of(shard):
            at = bench.open(aim.judging_seed, first, count)
            labels = bench.labels_at(at, at.activations)
            pixels = labels.shape[2] * labels.shape[3]
            before.append(pixels_by_image(labels, len(bench.models.segmenter.vocabulary)))
            after.append(np.stack([bench.areas(at, Edit(units)(at.activations)).sum(0) for units in sets]))
        every = np.concatenate(before)
        numbers = np.arange(every.shape[1])
        return {
            "paired": Paired(shard.count, pixels, every.sum(0), np.sum(after, 0)),
            "areas": Areas(samples_of(shard), numbers, every, pixels),
        }

    return work


@dataclass(frozen=True)
class Planting:
    """Sets of units to switch on, and how often each ground is drawn."""

    sets: tuple[Units, ...]
    values: tuple[tuple[float, ...], ...]
    """The activation of each unit of each set."""
    frequency: tuple[float, ...]
    """For each ground of the aim the share of images with it; rarer ones are drawn more often where they are."""
    tries: int
    """Places in each image, all different."""


def make_context(source: Source, aim: Aim, planting: Planting) -> Callable[[Shard], Insertions]:
    """The pass that switches sets of units on at places whose middle shows one of the grounds."""
    bench = Bench(source.models(), aim)
    concepts = list(aim.concepts)

    def work(shard: Shard) -> Insertions:
        found: list[Insertions] = []
        for first, count in parts_of(shard):
            at = bench.open(aim.judging_seed, first, count)
            shape = tuple(at.activations.shape[2:])
            labels = bench.labels_at(at, at.activations)
            before = pixels_by_image(labels, len(bench.models.segmenter.vocabulary))[:, concepts]
            ground = grounds_of(labels, aim.grounds, blocks_of(*shape))
            places, stood = drawn_places(ground, aim, planting, first)
            for turn in range(places.shape[1]):
                rows = np.flatnonzero(stood[:, turn] > 0)
                if not len(rows):
                    continue
                where = inside_patches(torch.from_numpy(places[:, turn]).to(labels.device), *shape)
                gains = [
                    bench.areas(at, Edit(units, torch.tensor(values), where)(at.activations))[:, concepts] - before
                    for units, values in zip(planting.sets, planting.values, strict=True)
                ]
                found.append(Insertions(first + rows, places[rows, turn], stood[rows, turn], np.stack(gains, 1)[rows]))
        empty = np.zeros((0, len(planting.sets), len(concepts)), np.int64)
        nothing = np.zeros(0, np.int64)
        return merge_all([Insertions(nothing, nothing, nothing, empty), *found])

    return work


def grounds_of(labels: Tensor, grounds: Sequence[int], blocks: tuple[int, int]) -> Ints:
    """(n, slots, h, w) -> (n, places) the ground at the middle of every place, 0 for none of them."""
    rows, columns = (
        ((torch.arange(count) + 0.5) * side / count).long()
        for count, side in zip(blocks, labels.shape[2:], strict=True)
    )
    middle = labels[:, :, rows][:, :, :, columns].flatten(2)
    known = torch.isin(middle, torch.tensor(list(grounds), device=labels.device))
    return torch.where(known, middle, 0).amax(1).cpu().numpy()


def drawn_places(ground: Ints, aim: Aim, planting: Planting, first: int) -> tuple[Ints, Ints]:
    """(n, tries) different places, rare grounds more often, and what stood there, 0 for unused."""
    rarity = np.zeros(1 + max(aim.grounds, default=0))
    rarity[list(aim.grounds)] = [1 / max(share, 1e-6) for share in planting.frequency]
    tries = min(planting.tries, ground.shape[1])
    places = np.zeros((len(ground), tries), np.int64)
    stood = np.zeros_like(places)
    for image, held in enumerate(ground):
        random = np.random.RandomState([aim.judging_seed, first + image])
        known = np.flatnonzero(held > 0)
        if len(known):
            weight = rarity[held[known]] / np.bincount(held)[held[known]]
            count = min(tries, len(known))
            drawn = random.choice(known, count, replace=False, p=weight / weight.sum())
            places[image, :count], stood[image, :count] = drawn, held[drawn]
    return places, stood


# --- pictures -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Showing:
    """What is shown of one concept, or of one unit."""

    name: str
    units: Units
    samples: tuple[int, ...]
    """Judging latents to show with the units ablated."""
    concept: int = 0
    """The concept whose heat map is drawn; 0 for none."""
    values: tuple[float, ...] = ()
    """Activations to which the units are switched on."""
    planted: tuple[tuple[int, int], ...] = ()
    """(sample, place) at which they are."""


def make_showing(source: Source, aim: Aim) -> Callable[[Showing], Arrays]:
    """The pass that makes the pictures of a concept or a unit."""
    bench = Bench(source.models(), aim)

    def judging(samples: Sequence[int]) -> Prefix:
        z = torch.cat([bench.models.latents(aim.judging_seed, sample, 1) for sample in samples])
        return bench.open_on(z, samples[0])

    def work(showing: Showing) -> Arrays:
        at = judging(showing.samples)
        with torch.no_grad():
            images = [bench.images(at, a) for a in (at.activations, Edit(showing.units)(at.activations))]
        found: Arrays = {
            "samples": np.array(showing.samples, np.int64),
            "before": as_bytes(images[0]),
            "after": as_bytes(images[1]),
            "seen_before": bench.labels(images[0]).cpu().numpy().astype(np.int16),
            "seen_after": bench.labels(images[1]).cpu().numpy().astype(np.int16),
        }
        if showing.concept:
            found["heat"] = heat(bench, at, showing)
        if showing.planted:
            there = judging([sample for sample, _ in showing.planted])
            places = torch.tensor([place for _, place in showing.planted], device=there.activations.device)
            where = inside_patches(places, *there.activations.shape[2:])
            edit = Edit(showing.units, torch.tensor(showing.values), where)
            with torch.no_grad():
                found["planted_before"] = as_bytes(bench.images(there, there.activations))
                found["planted_after"] = as_bytes(bench.images(there, edit(there.activations)))
        return found

    return work


def heat(bench: Bench, at: Prefix, showing: Showing) -> NDArray[np.float32]:
    """(n, h, w) pixels of the concept gained by switching the units on in each cell, to first order."""
    ((_, gradient),) = gradients(bench, at, at.activations, [showing.concept])
    chosen = list(showing.units)
    values = torch.tensor(showing.values, device=gradient.device).view(1, -1, 1, 1)
    gained = ((values - at.activations[:, chosen]) * gradient[:, chosen]).sum(1)
    return gained.float().cpu().numpy()


def make_edits(source: Source, aim: Aim, request: Request, shown: int) -> Callable[[Shard], dict[str, Any]]:
    """The pass of one change that a person asked for: every concept's pixels, and the first `shown` images."""
    bench = Bench(source.models(), aim)

    def work(shard: Shard) -> dict[str, Any]:
        at = bench.open(aim.judging_seed, shard.first, shard.count)
        following = at if request.values else bench.open(aim.judging_seed, shard.first + 1, shard.count)
        changed = edited(at.activations, request.edits(at, following))
        labels = bench.labels_at(at, at.activations)
        before, after = pixels_by_image(labels, len(bench.models.segmenter.vocabulary)), bench.areas(at, changed)
        pixels = labels.shape[2] * labels.shape[3]
        found: dict[str, Any] = {"paired": Paired(shard.count, pixels, before.sum(0), after.sum(0)[None])}
        kept = max(0, min(shard.count, shown - shard.first))
        if kept:
            with torch.no_grad():
                for name, activations in (("before", at.activations), ("after", changed)):
                    found[name] = as_bytes(bench.images(at, activations)[:kept])
        return found

    return work


@dataclass(frozen=True)
class Request:
    """A change that a person asks for."""

    units: Units
    values: tuple[float, ...] = ()
    """Activations to set; () to take over those of the next latent."""
    places: Units = ()
    """Numbers of places, row by row; () for everywhere."""

    def edits(self, at: Prefix, following: Prefix) -> list[Edit]:
        """The edits of activations, one a place; `following` has the next latents."""
        kept = following.activations[:, list(self.units)]
        values = torch.tensor(self.values) if self.values else kept
        if not self.places:
            return [Edit(self.units, values)]
        shape = at.activations.shape[2:]
        where = [inside_patches(torch.tensor([place], device=kept.device), *shape) for place in self.places]
        return [Edit(self.units, values, inside) for inside in where]


def make_levels(source: Source, aim: Aim, share: float) -> Callable[[Shard], Arrays]:
    """The pass that finds each unit's mean activation, and the one that the given share of its cells stays below."""
    bench = Bench(source.models(), aim)

    def work(shard: Shard) -> Arrays:
        at = bench.open(aim.choosing_seed, shard.first, shard.count)
        maps = at.activations.transpose(0, 1).flatten(1).cpu().double()
        kept = max(1, round(maps.shape[1] * (1 - share)))
        return {"mean": maps.mean(1).numpy(), "upper": maps.topk(kept).values[:, -1].numpy()}

    return work
