"""The networks of a worker: loaded once, and checked at every call, because they may be plug-ins."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from dissectreport import plugins
from dissectreport.errors import Answer, BadOption, FeaturesError, ModelError, SegmenterError, answered
from dissectreport.features.base import OWN_FEATURES, FeatureNetwork, SegmenterFeatures
from dissectreport.models.base import Generator, ImageModel
from dissectreport.models.image_folder import ImageFolder, open_folder
from dissectreport.models.proggan import compute_as_published
from dissectreport.networks import hooks
from dissectreport.networks.latents import latents
from dissectreport.run import engine
from dissectreport.run.shards import Shard
from dissectreport.run.watchdog import call_of
from dissectreport.segmenters.base import Segmenter
from dissectreport.worker.later import Later
from dissectreport.worker.memory import without_memory_errors
from dissectreport.worker.moving import moved

ROUNDING = 1e-3
"""How far a probability may lie outside 0 and 1."""


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
    """A file with the generator's weights; '' for its own."""
    reference: str = ""
    """A folder of real images, '' for the generator's own."""
    left_out: tuple[str, ...] | None = None
    """Images that a generator that reads images leaves out; None to look for them."""
    reference_left_out: tuple[str, ...] | None = None
    """Images of the reference that are left out; None to look for them."""
    features: str = ""
    """The network in whose features images are compared; '' for the segmenter's probabilities."""
    second: str = ""
    """A second network in whose features artifact units are scored, which may be `OWN_FEATURES`; '' for none."""
    as_published: bool = False
    """Whether the generator runs exactly as its published implementation does, which takes longer."""

    def models(self) -> Models:
        """The networks, loaded."""
        keep_memory()
        torch.set_num_threads(self.threads)
        threadpool_limits(self.threads, user_api="blas")
        # Tensor cores would round float32, and with it thresholds, to ten bits.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        return kept_models(self)


def kept_models(source: Source) -> Models:
    """The networks of a process, which loads them once for all passes of a run that follow each other.

    Networks of another source take their place; a generator and a segmenter that both have stay.
    """
    kept = engine.kept()
    before: Models | None = kept.get(Models)
    if before is not None and before.source == source:
        return before
    models = kept[Models] = Models(source)
    if before is not None:
        # What is loaded is a cached property, so it is among the attributes.
        same = {"generator": generator_facts(before.source) == generator_facts(source)}
        same["segmenter"] = (before.source.segmenter, before.source.device) == (source.segmenter, source.device)
        vars(models).update({name: vars(before)[name] for name in same if same[name] and name in vars(before)})
    return models


def generator_facts(source: Source) -> Source:
    """The part of a source that its generator depends on."""
    return replace(source, segmenter="", reference="", reference_left_out=None, features="", second="", threads=1)


def keep_memory() -> None:
    """Let this process keep freed memory, if the C library allows it.

    glibc returns and requests the memory of large tensors at every step, which takes a tenth of the time of a pass.
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
    """The generator's own real images, if they have been read."""
    fitting: int = 0
    """Samples that fit into memory together; 0 while it is not known."""
    label_shapes: dict[tuple[int, ...], tuple[int, ...]] = field(default_factory=dict)
    """By size of images the slots, height and width of their labels."""
    drawn: set[tuple[int, int]] = field(default_factory=set)
    """Seeds and samples of the latents that the present work has drawn."""
    replaced: dict[tuple[int, int], int] = field(default_factory=dict)
    """By seed and sample the reserve series from which a latent is taken, because its image is not finite."""

    @cached_property
    def device(self) -> torch.device:
        """Where the networks run."""
        return torch.device(self.source.device)

    @cached_property
    def generator(self) -> Generator:
        """The generator that is measured."""
        trained, seed = plugins.generator(self.source.generator, self.source.weights), self.source.untrained
        if self.source.left_out is not None and isinstance(trained, ImageModel):
            trained = trained.without(self.source.left_out)
        bare = trained if seed is None else untrained(trained, seed)
        assert bare is not None, "a control is measured only where it can be made"
        compute_as_published(bare.module, self.source.as_published)
        return moved(bare, self.device, ModelError, f"generator {bare.name!r}")

    @cached_property
    def segmenter(self) -> Segmenter:
        """The segmenter that names its pixels."""
        segmenter = plugins.segmenter(self.source.segmenter)
        return moved(segmenter, self.device, SegmenterError, f"segmenter {segmenter.name!r}")

    @cached_property
    def features(self) -> FeatureNetwork:
        """The network in whose features images are compared."""
        if self.source.features:
            return plugins.features(self.source.features).to(self.device)
        return SegmenterFeatures.of(self.segmenter, self.generator.image_size, self.device)

    def latents(self, seed: int, first: int, count: int) -> Tensor:
        """(count, *latent_shape) latents on the device, from a reserve series where an image is not finite."""
        z = latents_of(self.generator, seed, first, count)
        self.drawn.update((seed, first + row) for row in range(count))
        others = {sample: number for (of, sample), number in self.replaced.items() if of == seed}
        rows = [sample for sample in sorted(others) if first <= sample < first + count]
        if rows:
            z = z.clone()
        for sample in rows:
            z[sample - first] = latents_of(self.generator, reserve(seed, others[sample]), sample, 1)[0]
        return z.to(self.device)

    def forget_latents(self) -> None:
        """Begin another piece of work, which has drawn no latents yet."""
        self.drawn.clear()
        self.replaced.clear()

    def replaced_in(self, seed: int, shard: Shard) -> tuple[int, ...]:
        """The samples of a seed's shard whose latents are from a reserve series, rising."""
        numbers = range(shard.first, shard.first + shard.count)
        return tuple(sorted(sample for of, sample in self.replaced if of == seed and sample in numbers))

    @cached_property
    def reference(self) -> ImageFolder:
        """The folder of real images."""
        folder, left_out = open_folder(self.source.reference, self.generator.image_size), self.source.reference_left_out
        return folder if left_out is None else folder.without(left_out)

    def first_real_images(self, count: int) -> Tensor | None:
        """(n, 3, h, w) real images in [-1, 1], at most `count`: of the reference or of the generator, or None."""
        if not self.source.reference:
            return self.generator.training_like_images(count)
        return self.reference.first(count)

    @cached_property
    def second(self) -> FeatureNetwork:
        """The second network in whose features artifact units are scored."""
        if self.source.second == OWN_FEATURES:
            return SegmenterFeatures.of(self.segmenter, self.generator.image_size, self.device)
        return plugins.features(self.source.second).to(self.device)

    def image_features(self, images: Tensor, network: FeatureNetwork | None = None) -> Tensor:
        """(n, d) checked features of (n, 3, h, w) images, with gradients; of another network if one is given."""
        network, n = network or self.features, len(images)
        with call_of(f"feature network {network.name!r}"):
            features = answered(FeaturesError, f"{network.name} failed on {n} images", lambda: network(images))
        if not isinstance(features, Tensor) or tuple(features.shape) != (n, network.dimension):
            shape = tuple(getattr(features, "shape", ()))
            raise FeaturesError(f"{network.name} are of shape {shape} for {n} images; need ({n}, {network.dimension})")
        return features.float()

    def real(self, shard: Shard, of: int) -> tuple[list[int], Tensor]:
        """The shard's readable images among `of` real ones: their positions, and (n, 3, h, w) in [-1, 1]."""
        if self.source.reference:
            return self.reference.part(shard.first, shard.count)
        who = f"generator {self.generator.name!r} failed to give {of} real images"
        part = getattr(self.generator, "training_like_from", None)
        if part is not None:
            images: Tensor = answered(ModelError, who, lambda: part(shard.first, min(shard.count, of - shard.first)))
            return list(range(shard.first, shard.first + len(images))), images
        if self._own is None or len(self._own) < of:
            self._own = answered(ModelError, who, lambda: self.generator.training_like_images(of))
        assert self._own is not None, "the generator has real images"
        images = self._own[shard.first : shard.first + shard.count]
        return list(range(shard.first, shard.first + len(images))), images

    def labels(self, images: Tensor, later: Later | None = None) -> Tensor:
        """(n, slots, h, w) checked concept numbers of (n, 3, h, w) images; whether they are in range, `later`."""
        name, n, concepts = self.segmenter.name, len(images), len(self.segmenter.vocabulary)
        labels = self._call_segmenter("labels", lambda: self.segmenter(_handed(images)))
        if labels.ndim != 4 or len(labels) != n or labels.is_floating_point() or not labels.numel():
            raise SegmenterError(
                f"segmenter {name!r} returned {labels.dtype} of shape {tuple(labels.shape)} for {n} images; "
                f"it must return whole numbers of shape ({n}, slots, height, width)"
            )
        shape = tuple(labels.shape[1:])
        known = self.label_shapes.setdefault(tuple(images.shape[2:]), shape)
        if shape != known:
            raise SegmenterError(
                f"segmenter {name!r} returned labels of slots, height and width {known}, and then of {shape}; "
                "they must be the same for all images of one size"
            )
        ends = torch.stack(torch.aminmax(labels)).long()
        if later is not None:
            later.take(ends, lambda here: self._check_range(*here.tolist()))
            return labels.long().clamp(0, concepts - 1)
        self._check_range(*ends.tolist())
        return labels.long()

    def _check_range(self, low: int, high: int) -> None:
        """Refuse labels of which these are the least and the largest, if no concept has such a number."""
        name, concepts = self.segmenter.name, len(self.segmenter.vocabulary)
        if low < 0 or high >= concepts:
            wrong = low if low < 0 else high
            raise SegmenterError(f"segmenter {name!r} returned label {wrong}; its vocabulary has 0 to {concepts - 1}")

    def confidence(self, images: Tensor) -> Tensor:
        """(n, h, w) checked probability of the leading label of (n, 3, h', w') images."""
        sure = self._call_segmenter("confidence", lambda: self.segmenter.confidence(_handed(images)))
        if sure.ndim != 3 or len(sure) != len(images):
            raise SegmenterError(
                f"segmenter {self.segmenter.name!r} returned confidence of shape {tuple(sure.shape)} for "
                f"{len(images)} images; it must return ({len(images)}, height, width)"
            )
        low, high = torch.stack(torch.aminmax(sure.detach().float())).tolist()
        if not math.isfinite(low + high):
            raise SegmenterError(f"segmenter {self.segmenter.name!r} returned confidence that is not finite")
        self.check_probable("confidence", low, high)
        return sure

    def check_probable(self, what: str, low: float, high: float) -> None:
        """Refuse results of the segmenter whose least and largest are these, if they are no probabilities."""
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):
            raise SegmenterError(
                f"segmenter {self.segmenter.name!r} returned {what} from {low:.3g} to {high:.3g}; "
                "they must be probabilities, between 0 and 1"
            )

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, k, h, w) checked probabilities of k concepts, with gradients."""
        segmenter: Any = self.segmenter
        numbers = tuple(concepts)
        result = self._call_segmenter("probabilities", lambda: segmenter.probabilities(_handed(images), numbers))
        if result.ndim != 4 or result.shape[:2] != (len(images), len(concepts)):
            raise SegmenterError(
                f"segmenter {segmenter.name!r} returned probabilities of shape {tuple(result.shape)} for {len(images)} "
                f"images and {len(concepts)} concepts; it must return ({len(images)}, {len(concepts)}, height, width)"
            )
        return result

    def _call_segmenter(self, what: str, ask: Callable[[], object]) -> Tensor:
        """The result of a call of the segmenter; a SegmenterError if it fails or is not a tensor."""
        name = self.segmenter.name
        with call_of(f"segmenter {name!r}, asked for its {what},"):
            who = f"segmenter {name!r} failed at its {what}"
            answer = without_memory_errors(SegmenterError, lambda: answered(SegmenterError, who, ask))
        if not isinstance(answer, Tensor):
            raise SegmenterError(f"segmenter {name!r} returned a {type(answer).__name__} as {what}; need a tensor")
        if not _holds_numbers(answer):
            raise SegmenterError(f"segmenter {name!r} returned {what} that are {_kind(answer)}; need plain numbers")
        return answer

    def images(self, z: Tensor, first: int) -> Tensor:
        """(n, 3, h, w) checked images of latents, the first of which belongs to sample `first`."""
        images = self.call_generator(z, lambda: self.generator(z))
        name, (height, width) = self.generator.name, self.generator.image_size
        if not isinstance(images, Tensor):
            raise ModelError(f"generator {name!r} returned a {type(images).__name__} as images; need a tensor")
        if not _holds_numbers(images):
            raise ModelError(f"generator {name!r} returned images that are {_kind(images)}; need plain numbers")
        if images.ndim != 4 or images.shape[:2] != (len(z), 3) or not images.numel():
            raise ModelError(f"{name!r} made images of shape {tuple(images.shape)}; need ({len(z)}, 3, h, w)")
        if tuple(images.shape[2:]) != (height, width):
            raise ModelError(
                f"{name!r} declares image_size ({height}, {width}), but makes images of "
                f"{images.shape[2]} x {images.shape[3]}; set image_size=({images.shape[2]}, {images.shape[3]})"
            )
        hooks.check_finite("output", images, first)
        return images.float()

    def call_generator(self, z: Tensor, ask: Callable[[], Answer]) -> Answer:
        """The result of a call of the generator on latents; a ModelError if it fails."""
        who = f"generator {self.generator.name!r} failed on {len(z)} latents of its latent_shape {tuple(z.shape[1:])}"
        with call_of(f"generator {self.generator.name!r}"):
            return without_memory_errors(ModelError, lambda: answered(ModelError, who, ask))


def _holds_numbers(values: Tensor) -> bool:
    """Whether a tensor has real numbers, each at its place: none without content, none that is sparse."""
    return not values.is_meta and values.layout == torch.strided and not values.is_complex()


def _kind(values: Tensor) -> str:
    """What a tensor is instead."""
    if values.is_meta:
        return "without content (on the device meta)"
    return "complex" if values.is_complex() else "sparse"


def _handed(images: Tensor) -> Tensor:
    """A copy of images in float32, which a plug-in may change."""
    return images.to(torch.float32, copy=True)


def without_broken(source: Source, count: int) -> Models:
    """The networks. A model that reads a folder leaves out broken images among the first `count`."""
    models = source.models()
    if not isinstance(models.generator, ImageModel):
        return models
    return replace(source, left_out=models.generator.validated([(1, count)]).left_out()).models()


def latents_of(generator: Generator, seed: int, first: int, count: int) -> Tensor:
    """(count, *latent_shape) latents of samples from `first` on, by the generator's own method if it has one."""
    draw = getattr(generator, "latents", None)
    if draw is None:
        return latents(seed, first, count, generator.latent_shape)
    who = f"generator {generator.name!r} failed to draw the latents of samples {first} to {first + count - 1}"
    with call_of(f"generator {generator.name!r}, asked for latents,"):
        z: Tensor = answered(ModelError, who, lambda: draw(seed, first, count))
    return z


def reserve(seed: int, number: int) -> int:
    """The seed of a reserve series, far from the seeds that people choose."""
    return (seed + number * RESERVE) % 2**32


RESERVE = 0x9E3779B1


def untrained(generator: Generator, seed: int) -> Generator | None:
    """The generator with random weights, or None if there is no such version; a ModelError if making it fails."""
    who = f"generator {generator.name!r} cannot be made anew with random weights"
    return answered(ModelError, who, lambda: generator.untrained(seed))


def pick_device(name: str) -> str:
    """'cpu', 'cuda' or 'mps' for `name`, which may be 'auto'; BadOption if it is not available."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    if not there.get(name, False):
        usable = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise BadOption(f"--device {name} is not usable here; usable: auto, {usable}")
    return name
