"""The pass that makes the images that a report shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.networks import hooks
from dissectreport.records.dissection import SegmentedImages, ShownMaps, ShownPictures
from dissectreport.run.plan import Plan
from dissectreport.run.shards import Shard
from dissectreport.worker.loaded_networks import Models, Source


@dataclass(frozen=True)
class ShownSamples:
    """The samples whose images and maps a report needs."""

    samples: NDArray[np.int64]
    """(m,) rising numbers of the samples whose images are kept."""
    wanted: dict[str, NDArray[np.int64]]
    """By layer: (units, k) sample numbers whose maps are kept."""
    lookup: NDArray[np.int64]
    """(l,) samples for which every unit's map is kept."""
    trust: NDArray[np.int64]
    """(t,) samples whose segmentation is kept."""


def make_pictures(source: Source, plan: Plan, shown: ShownSamples) -> Callable[[Shard], ShownPictures]:
    """The pass that makes the shown images again, with the maps that a report needs.

    A shard here is a run of positions in `shown.samples`, which need not be consecutive samples.
    """
    models = source.models()
    layers = list(shown.wanted)

    def work(shard: Shard) -> ShownPictures:
        numbers = shown.samples[shard.first : shard.first + shard.count]
        batches = (numbers[first : first + plan.batch].tolist() for first in range(0, len(numbers), plan.batch))
        return ShownPictures.joined([one for batch in batches for one in _pictures(models, plan, shown, layers, batch)])

    return work


def _pictures(
    models: Models, plan: Plan, shown: ShownSamples, layers: Sequence[str], samples: Sequence[int]
) -> Iterator[ShownPictures]:
    """The pictures of each of a few samples."""
    z = torch.cat([models.latents(plan.seed, sample, 1) for sample in samples])
    with torch.no_grad(), hooks.reading(models.generator.module, layers) as activations:
        images = models.images(z, samples[0])
    for index, sample in enumerate(samples):
        maps = {layer: activations[layer][index].float() for layer in layers}
        yield _picture(models, shown, maps, images[index : index + 1], sample)


def _picture(
    models: Models, shown: ShownSamples, activations: dict[str, Tensor], images: Tensor, sample: int
) -> ShownPictures:
    number, looked_up = np.array([sample], np.int64), sample in shown.lookup
    return ShownPictures(
        numbers=number,
        pixels=as_bytes(images),
        lookup=number if looked_up else number[:0],
        maps={layer: _maps(maps, shown.wanted[layer] == sample, looked_up) for layer, maps in activations.items()},
        segmented=segmented(models, images) if sample in shown.trust else SegmentedImages.none(),
    )


def _maps(maps: Tensor, wanted: NDArray[np.bool_], looked_up: bool) -> ShownMaps:
    """The maps (units, h, w) of a sample where (units, k) columns show it, and all of them, smaller, if looked up."""
    at = np.argwhere(wanted)
    every = small(maps)[None] if looked_up else small(maps)[None][:0]
    return ShownMaps(
        at=at.astype(np.int64), maps=maps[torch.from_numpy(at[:, 0])].cpu().numpy(), lookup=every.cpu().numpy()
    )


def segmented(models: Models, images: Tensor) -> SegmentedImages:
    """Some images (n, 3, h, w) with their labels and confidence."""
    with torch.no_grad():
        labels = models.labels(images)
        confidence = models.confidence(images)
    return SegmentedImages(
        images=as_bytes(images),
        labels=labels.cpu().numpy().astype(np.int16),
        confidence=confidence.cpu().numpy().astype(np.float16),
    )


def as_bytes(images: Tensor) -> NDArray[np.uint8]:
    """(n, 3, h, w) in [-1, 1] -> (n, h, w, 3) uint8, cut off at the ends as the reference does."""
    return ((images.float() + 1) * 127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def small(maps: Tensor, side: int = 16) -> Tensor:
    """(units, h, w) averaged down to at most `side` by `side`."""
    if max(maps.shape[1:]) <= side:
        return maps
    return torch.nn.functional.adaptive_avg_pool2d(maps[None], (side, side))[0]
