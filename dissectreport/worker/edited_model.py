"""The networks of a worker, ready for edits of one layer.

A layer's output is edited, never in place, and only the rest of the network and the segmenter run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.networks.edits import Edit, Prefix, run_prefix, stacked
from dissectreport.networks.hooks import NotFinite, all_finite, check_finite, finite_rows, refuse_rows
from dissectreport.run.plan import InterventionKey
from dissectreport.run.precision import Precision
from dissectreport.run.shards import EDIT_BATCH, Shard
from dissectreport.stats.base import Ints
from dissectreport.worker.later import Later
from dissectreport.worker.loaded_networks import Models
from dissectreport.worker.whole_counts import occurrences

Number = TypeVar("Number", bound=np.generic)

TOGETHER = 64
"""Edits of a batch that run together on an accelerator."""


class EditKey(Protocol):
    """Which layer is edited, and in which precision."""

    @property
    def layer(self) -> str:
        """The layer's name."""

    @property
    def precision(self) -> str:
        """One of `Precision`, but not auto."""

    @property
    def selection_seed(self) -> int:
        """The seed of the latents on which units are ranked."""


@dataclass(frozen=True)
class EditedModel:
    """The networks of a worker, ready for edits of one layer."""

    networks: Models
    key: EditKey
    together: int = 0
    """Edits of a batch that run together; 0 for as many as suit the device."""

    def autocast(self) -> AbstractContextManager[Any]:
        """The arithmetic in the precision of the key."""
        half = self.key.precision == Precision.BFLOAT16
        return torch.autocast(self.networks.device.type, torch.bfloat16, enabled=half)

    def open(self, seed: int, first: int, count: int, later: Later | None = None) -> Prefix:
        """The network run up to the layer on some latents; whether it is finite is checked at once, or `later`."""
        z = self.networks.latents(seed, first, count)
        return self.open_on(z, first, later)

    def open_on(self, z: Tensor, first: int, later: Later | None = None) -> Prefix:
        """The network run up to the layer on latents that are given."""
        with self.autocast():
            prefix = self.networks.call_generator(z, lambda: run_prefix(self.networks.generator, self.key.layer, z))
        if later is None:
            check_finite(self.key.layer, prefix.activations, first)
        else:
            later.take(
                finite_rows(prefix.activations),
                lambda finite: refuse_rows(self.key.layer, np.flatnonzero(~finite).tolist(), first),
            )
        return prefix

    def images(self, at: Prefix, activations: Tensor) -> Tensor:
        """(n, 3, height, width) float32 images of edited activations; NotFinite where they are not finite."""
        images = self.unchecked_images(at, activations)
        self.check(all_finite(images))
        return images

    def unchecked_images(self, at: Prefix, activations: Tensor) -> Tensor:
        """The same, without asking whether they are finite, for which an accelerator would have to be waited for."""
        with self.autocast():
            return self.networks.call_generator(at.z, lambda: at.images(activations)).float()

    def check(self, finite: Tensor | NDArray[np.bool_]) -> None:
        """Raise NotFinite unless all images of an edit are `finite`."""
        if not bool(finite):
            raise NotFinite(
                f"an edit of layer {self.key.layer!r} makes an image that is not finite",
                "choose another --intervention-layer, or --precision float32",
            )

    def check_later(self, images: Tensor, later: Later) -> None:
        """Check that images are finite, together with all else that an accelerator is waited for."""
        later.take(all_finite(images), self.check)

    def labels(self, images: Tensor, later: Later | None = None) -> Tensor:
        """(n, slots, h, w) concept numbers."""
        with torch.no_grad(), self.autocast():
            return self.networks.labels(images, later)

    def features(self, images: Tensor) -> Tensor:
        """(n, d) float32 features of images, with gradients where they are wanted."""
        with self.autocast():
            return self.networks.image_features(images)

    def labels_at(self, at: Prefix, activations: Tensor, later: Later | None = None) -> Tensor:
        """(n, slots, h, w) concept numbers of the images of edited activations."""
        with torch.no_grad():
            if later is None:
                return self.labels(self.images(at, activations))
            images = self.unchecked_images(at, activations)
            self.check_later(images, later)
            return self.labels(images, later)

    def areas(self, at: Prefix, activations: Tensor) -> Ints:
        """(n, c) pixels of every concept of the vocabulary."""
        with torch.no_grad():
            return self.pixels(self.unchecked_images(at, activations))

    def pixels(self, images: Tensor) -> Ints:
        """(n, c) pixels of every concept in unchecked images; NotFinite where these are not finite."""
        found: list[Ints] = []
        with Later() as later:
            self.take_pixels(images, later, found.append)
        return found[0]

    def take_pixels(self, images: Tensor, later: Later, use: Callable[[Ints], object]) -> None:
        """The same, given to `use` later, together with all else that an accelerator is waited for."""
        self.check_later(images, later)
        self.take_labelled(self.labels(images, later), later, use)

    def take_labelled(self, labels: Tensor, later: Later, use: Callable[[Ints], object]) -> None:
        """(n, c) pixels of every concept in (n, slots, h, w) labels, given to `use` later."""
        later.take(pixel_counts(labels, len(self.networks.segmenter.vocabulary)), use)

    def variants(self, at: Prefix, edits: Sequence[Edit]) -> Iterator[Tensor]:
        """(k * n, 3, height, width) images of the next k edits, one edit after the other, until there are no more.

        Whether they are finite is for `take_pixels` or `check` to ask.

        On a processor one edit runs at a time: its maps then fit into the cache. An accelerator runs many at once.
        """
        size = self.together or (1 if self.networks.device.type == "cpu" else TOGETHER)
        first = 0
        while first < len(edits):
            part = edits[first : first + size]
            try:
                with torch.no_grad():
                    images = self._images_of(at, part)
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                size //= 2
                continue
            yield images
            first += len(part)

    def _images_of(self, at: Prefix, edits: Sequence[Edit]) -> Tensor:
        if len(edits) == 1:
            return self.unchecked_images(at, edits[0](at.activations))
        return self.unchecked_images(at.repeated(len(edits)), stacked(at.activations, edits))

    def areas_of(self, at: Prefix, edits: Sequence[Edit]) -> Ints:
        """(n, edits, c) pixels of every concept of the vocabulary after each edit."""
        found: list[Ints] = []
        with Later() as later:
            self.take_areas(at, edits, later, found.append)
        return found[0]

    def take_areas(self, at: Prefix, edits: Sequence[Edit], later: Later, use: Callable[[Ints], object]) -> None:
        """The same, given to `use` later."""
        parts: list[Ints] = []
        for images in self.variants(at, edits):
            self.take_pixels(images, later, parts.append)
        later.then(lambda: use(_by_image(parts, len(at.z))))

    def features_of(self, at: Prefix, edits: Sequence[Edit]) -> NDArray[np.float32]:
        """(n, edits, d) features of the images after each edit."""
        found: list[NDArray[np.float32]] = []
        with Later() as later:
            self.take_features(at, edits, later, found.append)
        return found[0]

    def take_features(
        self, at: Prefix, edits: Sequence[Edit], later: Later, use: Callable[[NDArray[np.float32]], object]
    ) -> None:
        """The same, given to `use` later."""
        parts: list[NDArray[np.float32]] = []
        for images in self.variants(at, edits):
            self.check_later(images, later)
            with torch.no_grad():
                later.take(self.features(images), parts.append)
        later.then(lambda: use(_by_image(parts, len(at.z))))

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, k, h, w) probability of each of k concepts, with gradients."""
        with self.autocast():
            return self.networks.probabilities(images, concepts).float()


def _by_image(parts: Sequence[NDArray[Number]], images: int) -> NDArray[Number]:
    """(edits * n, k) rows in parts, one edit after the other -> (n, edits, k)."""
    rows = np.concatenate(parts)
    return np.ascontiguousarray(rows.reshape(-1, images, rows.shape[1]).swapaxes(0, 1))


def pixels_by_image(labels: Tensor, concepts: int) -> Ints:
    """(n, slots, h, w) -> (n, concepts) pixels; a concept in several slots of a pixel counts once, nothing never."""
    return pixel_counts(labels, concepts).cpu().numpy()


def pixel_counts(labels: Tensor, concepts: int) -> Tensor:
    """The same, on the device of the labels."""
    flat = labels.flatten(2)
    slots = []
    for slot in range(flat.shape[1]):
        again = (flat[:, :slot] == flat[:, slot : slot + 1]).any(1)
        slots.append(flat[:, slot].masked_fill(again, 0))
    image = torch.arange(len(flat), device=flat.device)[None, :, None] * concepts
    numbers = (torch.stack(slots) + image).flatten()
    counts = occurrences(numbers, len(flat) * concepts)
    pixels = counts.reshape(len(flat), concepts).long()
    pixels[:, 0] = 0
    return pixels


def batches_of(shard: Shard, size: int = EDIT_BATCH) -> Iterator[tuple[int, int]]:
    """First sample and number of each batch of a shard."""
    for first in range(shard.first, shard.first + shard.count, size):
        yield first, min(size, shard.first + shard.count - first)


def open_held_out(
    model: EditedModel, key: InterventionKey, samples: Sequence[int], later: Later | None = None
) -> Prefix:
    """The network run up to the layer on some held-out latents."""
    z = torch.cat([model.networks.latents(key.held_out_seed, sample, 1) for sample in samples])
    return model.open_on(z, samples[0], later)


def image_pair(model: EditedModel, at: Prefix, changed: Tensor) -> list[Tensor]:
    """(n, 3, height, width) images without and with changed activations."""
    with torch.no_grad():
        return [model.images(at, activations) for activations in (at.activations, changed)]
