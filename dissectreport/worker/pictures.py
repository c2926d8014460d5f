"""The pass that makes the images that a report shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.networks import hooks
from dissectreport.run.plan import Plan
from dissectreport.run.shards import Shard
from dissectreport.worker.loaded_networks import Models, Source
from dissectreport.worker.observing import Arrays


@dataclass(frozen=True)
class ShownSamples:
    """Which samples' images and maps a report needs."""

    samples: NDArray[np.int64]
    """(m,) rising numbers of the samples whose images are kept."""
    wanted: dict[str, NDArray[np.int64]]
    """By layer: (units, k) sample numbers whose maps are kept."""
    lookup: NDArray[np.int64]
    """(l,) samples for which every unit's map is kept."""
    trust: NDArray[np.int64]
    """(t,) samples whose segmentation is kept."""


def make_pictures(source: Source, plan: Plan, shown: ShownSamples) -> Callable[[Shard], Arrays]:
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
    models: Models, plan: Plan, shown: ShownSamples, layers: Sequence[str], samples: Sequence[int]
) -> Iterator[dict[str, NDArray[Any]]]:
    """What is kept of each of a few samples."""
    z = torch.cat([models.latents(plan.seed, sample, 1) for sample in samples])
    with torch.no_grad(), hooks.reading(models.generator.module, layers) as seen:
        images = models.images(z, samples[0])
    for place, sample in enumerate(samples):
        maps = {layer: seen[layer][place].float() for layer in layers}
        yield _picture(models, shown, maps, images[place : place + 1], sample)


def _picture(models: Models, shown: ShownSamples, seen: dict[str, Tensor], images: Tensor, sample: int) -> Arrays:
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
