"""The work itself, on a worker: one small make(plan) -> work(shard) per pass.

A worker loads its networks once. Every pass depends on its plan and its shard alone, so shards can be made anywhere,
in any order, and again.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from dissectreport import plugins
from dissectreport.errors import Answer, BadOption, FeaturesError, ModelError, SegmenterError, answered
from dissectreport.features.base import FeatureNetwork, SegmenterFeatures
from dissectreport.models.base import FolderReader, Generator
from dissectreport.models.folders import open_folder
from dissectreport.models.outputs import doubt_about
from dissectreport.networks import hooks
from dissectreport.networks.latents import latents
from dissectreport.run import engine
from dissectreport.run.plan import Plan, Reading, Shard, rule_named
from dissectreport.segmenters.base import Segmenter
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.levels import CELLS, CUTTINGS, Levels
from dissectreport.stats.peaks import Peaks
from dissectreport.worker import counting

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Source:
    """Which networks a worker loads, and where they run."""

    generator: str
    segmenter: str
    untrained: int | None = None
    """Seed of random weights that replace the generator's, or None."""
    device: str = "cpu"
    threads: int = 1
    weights: str = ""
    """A file with the generator's weights; '' for those that it finds by itself."""
    reference: str = ""
    """A folder of real images, '' for the generator's own."""
    broken: tuple[str, ...] = ()
    """Images that the generator is to leave out, where it reads images."""
    features: str = ""
    """The network in whose features images are compared; '' for what the segmenter tells."""

    def models(self) -> Models:
        """The networks, loaded."""
        keep_memory()
        torch.set_num_threads(self.threads)
        threadpool_limits(self.threads, user_api="blas")
        # Tensor cores would round float32 to ten bits, and levels with it.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        return kept_models(self) if engine.in_worker() else Models(self)


@lru_cache(maxsize=1)
def kept_models(source: Source) -> Models:
    """The networks of a worker process, which loads them once for all passes of a run."""
    return Models(source)


def keep_memory() -> None:
    """Let this process keep what it frees, where the C library can be told so.

    glibc hands the memory of large tensors back and asks for it anew at every step, a tenth of the time of a pass.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, 1 << 30)
        mallopt(MMAP_THRESHOLD, 1 << 25)


TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's numbers of the two settings, the second of which it takes up to 32 MB."""


@dataclass
class Models:
    """The networks of a worker, loaded when first used."""

    source: Source
    _own: Tensor | None = None
    """The generator's own real images, once they were asked for."""

    @cached_property
    def device(self) -> torch.device:
        """Where the networks run."""
        return torch.device(self.source.device)

    @cached_property
    def generator(self) -> Generator:
        """The generator that is measured."""
        found, seed = plugins.generator(self.source.generator, self.source.weights), self.source.untrained
        if self.source.broken and isinstance(found, FolderReader):
            found = found.without(self.source.broken)
        bare = found if seed is None else untrained(found, seed)
        assert bare is not None, "a control is measured only where it can be made"
        return bare.to(self.device)

    @cached_property
    def segmenter(self) -> Segmenter:
        """The segmenter that names its pixels."""
        return plugins.segmenter(self.source.segmenter).to(self.device)

    @cached_property
    def features(self) -> FeatureNetwork:
        """The network in whose features images are compared."""
        if self.source.features:
            return plugins.features(self.source.features).to(self.device)
        return SegmenterFeatures.of(self.segmenter, self.generator.image_size, self.device)

    def latents(self, seed: int, first: int, count: int) -> Tensor:
        """(count, *latent_shape) latents on the device."""
        return latents_of(self.generator, seed, first, count).to(self.device)

    def drawn(self, count: int) -> Tensor | None:
        """(n, 3, h, w) real images in [-1, 1], at most `count`: of the reference, else the generator's own, or None."""
        if not self.source.reference:
            return self.generator.drawn(count)
        return open_folder(self.source.reference, self.generator.image_size).first(count)

    def described(self, images: Tensor) -> Tensor:
        """(n, d) checked features of (n, 3, h, w) images, with gradients."""
        network, n = self.features, len(images)
        found = answered(FeaturesError, f"{network.name} failed on {n} images", lambda: network(images))
        if not isinstance(found, Tensor) or tuple(found.shape) != (n, network.dimension):
            shape = tuple(getattr(found, "shape", ()))
            raise FeaturesError(f"{network.name} are of shape {shape} for {n} images; need ({n}, {network.dimension})")
        return found.float()

    def real(self, shard: Shard, of: int) -> tuple[list[int], Tensor]:
        """The shard's part of `of` real images: their places, and (n, 3, h, w) in [-1, 1]; broken ones are left out."""
        if self.source.reference:
            return open_folder(self.source.reference, self.generator.image_size).part(shard.first, shard.count)
        who = f"generator {self.generator.name!r} failed to give {of} real images"
        part = getattr(self.generator, "drawn_part", None)
        if part is not None:
            images: Tensor = answered(ModelError, who, lambda: part(shard.first, min(shard.count, of - shard.first)))
            return list(range(shard.first, shard.first + len(images))), images
        if self._own is None or len(self._own) < of:
            self._own = answered(ModelError, who, lambda: self.generator.drawn(of))
        assert self._own is not None, "asked only where there are real images"
        images = self._own[shard.first : shard.first + shard.count]
        return list(range(shard.first, shard.first + len(images))), images

    def labels(self, images: Tensor) -> Tensor:
        """(n, slots, h, w) checked concept numbers of (n, 3, h, w) images."""
        name, n, concepts = self.segmenter.name, len(images), len(self.segmenter.vocabulary)
        labels = self._asked("labels", lambda: self.segmenter(images))
        if labels.ndim != 4 or len(labels) != n or labels.is_floating_point() or not labels.numel():
            raise SegmenterError(
                f"segmenter {name!r} returned {labels.dtype} of shape {tuple(labels.shape)} for {n} images; "
                f"it must return whole numbers of shape ({n}, slots, height, width)"
            )
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= concepts:
            wrong = low if low < 0 else high
            raise SegmenterError(f"segmenter {name!r} returned label {wrong}; its vocabulary has 0 to {concepts - 1}")
        return labels.long()

    def confidence(self, images: Tensor) -> Tensor:
        """(n, h, w) checked probability of the leading label of (n, 3, h', w') images."""
        sure = self._asked("confidence", lambda: self.segmenter.confidence(images))
        if sure.ndim != 3 or len(sure) != len(images):
            raise SegmenterError(
                f"segmenter {self.segmenter.name!r} returned confidence of shape {tuple(sure.shape)} for "
                f"{len(images)} images; it must return ({len(images)}, height, width)"
            )
        return sure

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, k, h, w) checked probabilities of k concepts, with gradients."""
        segmenter: Any = self.segmenter
        found = self._asked("probabilities", lambda: segmenter.probabilities(images, tuple(concepts)))
        if found.ndim != 4 or found.shape[:2] != (len(images), len(concepts)):
            raise SegmenterError(
                f"segmenter {segmenter.name!r} returned probabilities of shape {tuple(found.shape)} for {len(images)} "
                f"images and {len(concepts)} concepts; it must return ({len(images)}, {len(concepts)}, height, width)"
            )
        return found

    def _asked(self, what: str, ask: Callable[[], object]) -> Tensor:
        """What the segmenter answers, which may be anybody's code."""
        name = self.segmenter.name
        answer = answered(SegmenterError, f"segmenter {name!r} failed at its {what}", ask)
        if not isinstance(answer, Tensor):
            raise SegmenterError(f"segmenter {name!r} returned a {type(answer).__name__} as {what}; need a tensor")
        return answer

    def images(self, z: Tensor, first: int) -> Tensor:
        """(n, 3, h, w) checked images of latents, the first of which belongs to sample `first`."""
        images = self.made(z, lambda: self.generator(z))
        name, (height, width) = self.generator.name, self.generator.image_size
        if not isinstance(images, Tensor):
            raise ModelError(f"generator {name!r} returned a {type(images).__name__} as images; need a tensor")
        if images.ndim != 4 or images.shape[:2] != (len(z), 3):
            raise ModelError(f"{name!r} made images of shape {tuple(images.shape)}; need ({len(z)}, 3, h, w)")
        if tuple(images.shape[2:]) != (height, width):
            raise ModelError(
                f"{name!r} declares image_size ({height}, {width}), but makes images of "
                f"{images.shape[2]} x {images.shape[3]}; set image_size=({images.shape[2]}, {images.shape[3]})"
            )
        hooks.check_finite("output", images, first)
        return images

    def made(self, z: Tensor, ask: Callable[[], Answer]) -> Answer:
        """What the generator, which may be anybody's code, makes of latents."""
        who = f"generator {self.generator.name!r} failed on {len(z)} latents of its latent_shape {tuple(z.shape[1:])}"
        return answered(ModelError, who, ask)


def without_broken(source: Source, count: int) -> Models:
    """The networks; those that read images of a folder without images that are broken among the first `count`."""
    models = source.models()
    if not isinstance(models.generator, FolderReader):
        return models
    return replace(source, broken=models.generator.sifted([(1, count)]).broken()).models()


def latents_of(generator: Generator, seed: int, first: int, count: int) -> Tensor:
    """(count, *latent_shape) latents of samples `first` to `first + count`: the generator's own where it draws them."""
    draw = getattr(generator, "latents", None)
    if draw is None:
        return latents(seed, first, count, generator.latent_shape)
    who = f"generator {generator.name!r} failed to draw the latents of samples {first} to {first + count - 1}"
    found: Tensor = answered(ModelError, who, lambda: draw(seed, first, count))
    return found


def layer_shape(generator: Generator, layer: str) -> tuple[int, int, int]:
    """Units, height and width of a layer, told by one latent."""
    z = latents_of(generator, 0, 0, 1)
    who = f"generator {generator.name!r} failed on a latent of its latent_shape {tuple(z.shape[1:])}"
    maps: Tensor = answered(ModelError, who, lambda: hooks.read(generator, [layer], z)[layer])
    units, height, width = maps.shape[1:]
    return units, height, width


def check_look(generator: Generator, images: Tensor) -> None:
    """Refuse first images that can hardly be what they are declared to be."""
    declared = getattr(getattr(generator, "output", None), "declared", False)
    doubt = doubt_about(images, declared)
    if doubt:
        raise ModelError(f"generator {generator.name!r}: {doubt}")


def untrained(generator: Generator, seed: int) -> Generator | None:
    """The generator with random weights, which may be made by anybody's code; None where it cannot be made."""
    who = f"generator {generator.name!r} cannot be made anew with random weights"
    return answered(ModelError, who, lambda: generator.untrained(seed))


def pick_device(name: str) -> str:
    """'cpu', 'cuda' or 'mps' for `name`, which may be 'auto'; BadOption where it is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    if not there.get(name, False):
        usable = ", ".join(kind for kind, found in there.items() if found)
        raise BadOption(f"--device {name} is not usable here; usable: auto, {usable}")
    return name


CLOSE = 1e-3
"""Difference of pixels in [-1, 1] that comes from adding up in another order, and from nothing worse."""


def make_range(source: Source, plan: Plan, readings: Sequence[Reading]) -> Callable[[Shard], dict[str, Arrays]]:
    """The pass that finds the extremes of every unit over a few batches of the pilot, with room to spare."""
    models, edge = source.models(), rule_named(plan.rule).edge

    def work(shard: Shard) -> dict[str, Arrays]:
        maps = _pilot_maps(models, plan, readings, shard)
        return {reading.key: _extremes(maps[reading], edge) for reading in readings}

    return work


def _extremes(maps: Tensor, edge: str) -> Arrays:
    """Every unit's smallest and largest activation once laid out on a grid, and the shape of its layer."""
    flat = maps.transpose(0, 1).flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    if edge == "zero":
        low, high = low.clamp(max=0), high.clamp(min=0)
    shape = np.array(maps.shape[1:], np.int64)
    return {"low": low.double().cpu().numpy(), "high": high.double().cpu().numpy(), "shape": shape}


def make_pilot(
    source: Source, plan: Plan, readings: Sequence[Reading], ranges: dict[str, Arrays]
) -> Callable[[Shard], dict[str, Histogram]]:
    """The pass that counts activations in even cells on the grid."""
    models, edge, count = source.models(), rule_named(plan.rule).edge, CUTTINGS[plan.rule].cells
    even = {key: even_cells(found["low"], found["high"], count) for key, found in ranges.items()}

    def work(shard: Shard) -> dict[str, Histogram]:
        maps = _pilot_maps(models, plan, readings, shard)
        return {r.key: _histogram(maps[r], *even[r.key], count, plan.grid, edge) for r in readings}

    return work


def even_cells(low: Floats, high: Floats, count: int = CELLS) -> tuple[Floats, Floats]:
    """Lower end and width of `count` cells for activations between `low` and `high` (units,), with room.

    Large activations are the interesting ones, so more room is left above. A unit that never varied gets a
    width that keeps its one value in the lowest cell.
    """
    spread = np.maximum(high - low, 1e-6 * np.maximum(np.abs(high), 1))
    start = low - 0.02 * spread
    return start, (1.25 * spread) / count


def _histogram(maps: Tensor, low: Floats, width: Floats, count: int, grid: int, edge: str) -> Histogram:
    counts = []
    for unit in range(maps.shape[1]):
        one = slice(unit, unit + 1)
        cell = next(counting.cells(maps[:, one], low[one], width[one], count, grid, edge))
        counts.append(torch.bincount(cell, minlength=count).cpu().numpy())
    return Histogram(low, width, np.stack(counts))


def _pilot_maps(models: Models, plan: Plan, readings: Sequence[Reading], shard: Shard) -> dict[Reading, Tensor]:
    """Each reading's activations (n, units, h, w) of a shard of the choosing seed; the generator stops at the last."""
    layers = list(dict.fromkeys(r.layer for r in readings))
    parts = []
    for first, z in _batches(models, plan.pilot_seed, shard, plan.batch):
        seen = models.made(z, partial(hooks.read, models.generator, layers, z))
        parts.append(_readings(seen, readings, first))
    return {r: torch.cat([part[r] for part in parts]) for r in readings}


def _batches(models: Models, seed: int, shard: Shard, batch: int) -> list[tuple[int, Tensor]]:
    z = models.latents(seed, shard.first, shard.count)
    return [(shard.first + at, z[at : at + batch]) for at in range(0, shard.count, batch)]


def _readings(seen: dict[str, Tensor], readings: Sequence[Reading], first: int) -> dict[Reading, Tensor]:
    found = {}
    for reading in readings:
        maps = seen[reading.layer].float()
        hooks.check_finite(reading.layer, maps, first)
        found[reading] = maps if reading.rotation is None else hooks.rotate(maps, reading.rotation)
    return found


def make_counts(
    source: Source, plan: Plan, readings: Sequence[Reading], levels: dict[str, Levels]
) -> Callable[[Shard], dict[str, dict[str, Any]]]:
    """The one pass over generator and segmenter: every reading's counts of a shard, by statistic."""
    models, edge = source.models(), rule_named(plan.rule).edge
    measured = source.untrained is None

    def work(shard: Shard) -> dict[str, dict[str, Any]]:
        maps, labels = observe(models, plan, plan.seed, readings, shard)
        found: dict[str, dict[str, Any]] = {}
        masks = counting.Masks.of(counting.on_grid(labels, plan.grid), len(models.segmenter.vocabulary))
        coarse = plan.null_grid
        under = masks
        if coarse != plan.grid:
            under = counting.Masks.of(counting.on_grid(labels, coarse), len(models.segmenter.vocabulary))
        for reading in readings:
            read, level = maps.pop(reading), levels[reading.key]
            if not measured or reading.rotation is not None:
                found[reading.key] = {"chance": counting.chance(read, under, level, coarse, edge, pretend=False)}
                continue
            if coarse == plan.grid:
                joint, chance = counting.joint_and_chance(read, masks, level, coarse, edge)
            else:
                joint = counting.joint(read, masks, level, plan.grid, edge)
                chance = counting.chance(read, under, level, coarse, edge)
            found[reading.key] = {
                "joint": joint,
                "chance": chance,
                "peaks": Peaks(samples_of(shard), read.amax((2, 3)).cpu().numpy()),
                "cross": counting.cross(read, level),
                "areas": counting.areas(masks, shard.first),
            }
        return found

    return work


def samples_of(shard: Shard) -> NDArray[np.int64]:
    """(count,) the shard's sample numbers."""
    return np.arange(shard.first, shard.first + shard.count, dtype=np.int64)


def observe(
    models: Models, plan: Plan, seed: int, readings: Sequence[Reading], shard: Shard
) -> tuple[dict[Reading, Tensor], Tensor]:
    """Each reading's activations (n, units, h, w) and the labels (n, slots, h, w) of a seed's shard."""
    layers = list(dict.fromkeys(r.layer for r in readings))
    maps, labels = [], []
    for first, z in _batches(models, seed, shard, plan.batch):
        with torch.no_grad(), hooks.reading(models.generator.module, layers) as seen:
            images = models.images(z, first)
            maps.append(_readings(seen, readings, first))
            labels.append(models.labels(images))
    return {r: torch.cat([part[r] for part in maps]) for r in readings}, torch.cat(labels)


@dataclass(frozen=True)
class Shown:
    """Which samples' images and maps a report needs."""

    samples: NDArray[np.int64]
    """(m,) rising numbers of the samples whose images are kept."""
    wanted: dict[str, NDArray[np.int64]]
    """By layer: (units, k) sample numbers whose maps are kept."""
    lookup: NDArray[np.int64]
    """(l,) samples for which every unit's map is kept."""
    trust: NDArray[np.int64]
    """(t,) samples whose segmentation is kept."""


def make_pictures(source: Source, plan: Plan, shown: Shown) -> Callable[[Shard], Arrays]:
    """The pass that makes the shown images again and keeps what a report needs of them.

    A shard here is a run of positions in `shown.samples`, which need not lie side by side.
    """
    models = source.models()
    layers = list(shown.wanted)

    def work(shard: Shard) -> Arrays:
        numbers = shown.samples[shard.first : shard.first + shard.count]
        found: dict[str, list[NDArray[Any]]] = {}
        for first in range(0, len(numbers), plan.batch):
            for picture in _made(models, plan, shown, layers, numbers[first : first + plan.batch].tolist()):
                for name, value in picture.items():
                    found.setdefault(name, []).append(value)
        return {name: np.concatenate(values) for name, values in found.items()}

    return work


def _made(
    models: Models, plan: Plan, shown: Shown, layers: Sequence[str], samples: Sequence[int]
) -> Iterator[dict[str, NDArray[Any]]]:
    """What is kept of each of a few samples."""
    z = torch.cat([models.latents(plan.seed, sample, 1) for sample in samples])
    with torch.no_grad(), hooks.reading(models.generator.module, layers) as seen:
        images = models.images(z, samples[0])
    for place, sample in enumerate(samples):
        maps = {layer: seen[layer][place].float() for layer in layers}
        yield _picture(models, shown, maps, images[place : place + 1], sample)


def _picture(models: Models, shown: Shown, seen: dict[str, Tensor], images: Tensor, sample: int) -> Arrays:
    number = np.array([sample], np.int64)
    found: Arrays = {"numbers": number, "pixels": as_bytes(images)}
    for layer, maps in seen.items():
        at = np.argwhere(shown.wanted[layer] == sample)
        found[f"{layer}|at"] = at.astype(np.int64)
        found[f"{layer}|maps"] = maps[torch.from_numpy(at[:, 0])].cpu().numpy()
        if sample in shown.lookup:
            found[f"{layer}|lookup"] = small(maps)[None].cpu().numpy()
    if sample in shown.lookup:
        found["lookup"] = number
    if sample in shown.trust:
        found |= {f"trust|{name}": value for name, value in segmented(models, images).items()}
    return found


def segmented(models: Models, images: Tensor) -> Arrays:
    """Images (n, h, w, 3) uint8 with their labels (n, slots, h', w') and confidence (n, h', w')."""
    with torch.no_grad():
        labels = models.labels(images)
        sure = models.confidence(images)
    return {
        "images": as_bytes(images),
        "labels": labels.cpu().numpy().astype(np.int16),
        "confidence": sure.cpu().numpy().astype(np.float16),
    }


def as_bytes(images: Tensor) -> NDArray[np.uint8]:
    """(n, 3, h, w) in [-1, 1] -> (n, h, w, 3) uint8, cut off at the ends as the reference does."""
    return ((images.float() + 1) * 127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def small(maps: Tensor, side: int = 16) -> Tensor:
    """(units, h, w) averaged down to at most `side` by `side`."""
    if max(maps.shape[1:]) <= side:
        return maps
    return torch.nn.functional.adaptive_avg_pool2d(maps[None], (side, side))[0]


def make_drawn(source: Source, count: int) -> Callable[[Shard], Arrays]:
    """The pass that segments real images, or those like what the generator was trained on; nothing without any."""
    models = source.models()

    def work(_shard: Shard) -> Arrays:
        images = models.drawn(count)
        return {} if images is None else segmented(models, images.to(models.device))

    return work


def make_real_areas(source: Source, plan: Plan, of: int) -> Callable[[Shard], dict[str, Areas]]:
    """The pass that counts, in each of `of` real images, the pixels of every concept, as in generated ones."""
    models = source.models()

    def work(shard: Shard) -> dict[str, Areas]:
        places, images = models.real(shard, of)
        samples = np.array(places, np.int64)
        if not places:
            return {"areas": Areas(samples, samples, np.zeros((0, 0), np.int64), plan.grid**2)}
        with torch.no_grad():
            labels = torch.cat([models.labels(part.to(models.device)) for part in torch.split(images, plan.batch)])
        masks = counting.Masks.of(counting.on_grid(labels, plan.grid), len(models.segmenter.vocabulary))
        return {"areas": replace(counting.areas(masks, shard.first), samples=samples)}

    return work
