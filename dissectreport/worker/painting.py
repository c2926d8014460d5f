"""The pass that makes a network ready to be painted on in a page: exported after a layer, with a gallery of latents.

Every file is compared with torch at once, on images of the gallery with and without edits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dissectreport.errors import ExportError
from dissectreport.models.inverted import read_inverted
from dissectreport.models.strokes import Stroke
from dissectreport.networks.edits import Prefix, run_prefix
from dissectreport.networks.hooks import margin_of, submodule
from dissectreport.networks.parts import Head, Tail, other_tensors
from dissectreport.onnx_files.exporting import Exported, export
from dissectreport.onnx_files.free_size import measured_reach, with_free_size
from dissectreport.onnx_files.running import OnnxNetwork
from dissectreport.onnx_files.small_weights import BITS, WHOLE, with_small_weights
from dissectreport.records.painting import PaintedNetwork
from dissectreport.run.patches import patch_grid
from dissectreport.stats.base import Ints
from dissectreport.worker.edited_model import pixels_by_image
from dissectreport.worker.insertions import contexts_at
from dissectreport.worker.inverted_photos import photo_prefix
from dissectreport.worker.loaded_networks import Models, Source
from dissectreport.worker.pictures import as_bytes

ACTIVATIONS, LATENT, IMAGE, LABELS = "activations", "latent", "image", "labels"
"""Names of inputs and outputs."""
MOST_WEIGHTS = 3_000_000
"""Weights of a generator, or of a segmenter, from which it is not exported as a whole."""
CHECKED = 3
"""Images of the gallery on which files are compared with torch."""
LEVEL = 2 / 255
"""The difference of one of 255 levels in images in [-1, 1]."""
SAME_PIXELS, SAME_LABELS = 0.999, 0.995
"""Shares of pixels that must agree."""
MARGIN = 0.5
"""Factor of what may differ where weights were made smaller: other edits than those compared may differ more."""


@dataclass(frozen=True)
class PaintRequest:
    """What is exported."""

    layer: str
    seed: int
    samples: tuple[int, ...]
    """Numbers of the latents of the gallery."""
    contexts: tuple[int, ...]
    """Numbers of the concepts on which insertions were measured."""
    photos: tuple[str, ...] = ()
    """Files of inverted photos that are in the gallery, too."""


def make_painting(source: Source) -> Callable[[PaintRequest], PaintedNetwork]:
    """The pass that exports a network after a layer; an ExportError where the part after the layer cannot be."""
    models = replace(source, device="cpu").models()

    def work(request: PaintRequest) -> PaintedNetwork:
        with torch.no_grad():
            return _Painting(models, request).network()

    return work


class _Painting:
    """A network that is being exported."""

    def __init__(self, models: Models, request: PaintRequest) -> None:
        self.models, self.request = models, request
        self.generator = models.generator
        self.photos = [read_inverted(Path(photo)) for photo in request.photos]
        self.prefixes = [self._prefix(models.latents(request.seed, sample, 1)) for sample in request.samples]
        self.prefixes += [photo_prefix(models, photo, request.layer) for photo in self.photos]
        self.latents = [at.z for at in self.prefixes]
        self.notes: list[str] = []

    def _prefix(self, z: Tensor) -> Prefix:
        return self.models.call_generator(z, partial(run_prefix, self.generator, self.request.layer, z))

    def network(self) -> PaintedNetwork:
        """All files, and the gallery."""
        tail, inputs = self._tail()
        tail, reach = self._with_windows(tail, inputs)
        names = [name for name in inputs if name not in (ACTIVATIONS, LATENT)]
        head = self._optional("new scenes cannot be made", lambda: self._head(names, OnnxNetwork(tail)))
        first = len(self.request.samples) if head else 0
        images = torch.cat([at.images(at.activations) for at in self.prefixes]).float()
        labels = self.models.labels(images)
        file = self._optional("the image is not segmented while it is painted", lambda: self._labels(images, labels))
        size = self.prefixes[0].size
        return PaintedNetwork(
            tail=tail,
            head=head,
            labels=file,
            seed=self.request.seed,
            samples=np.array([*self.request.samples, *(-1 - k for k in range(len(self.photos)))], np.int64),
            latents=self._latents(bool(head) or LATENT in inputs),
            activations=_halves([at.activations for at in self.prefixes])[first:],
            others={name: values[first:] for name, values in self._others(names).items()},
            margin=margin_of(submodule(self.generator.module, self.request.layer)),
            reach=reach,
            images=as_bytes(images),
            contexts=contexts_at(labels, self.request.contexts, patch_grid(*size)).cpu().numpy(),
            areas=self._areas(labels),
            pixels=labels.shape[2] * labels.shape[3],
            notes=tuple(self.notes),
            photos=tuple(Path(photo).stem for photo in self.request.photos),
            originals=_stacked([photo.photo.numpy() for photo in self.photos], self.generator.image_size),
        )

    def _areas(self, labels: Tensor) -> Ints:
        return pixels_by_image(labels, len(self.models.segmenter.vocabulary))

    def _optional(self, without: str, make: Callable[[], bytes]) -> bytes:
        """A file without which the page still works; empty, with a note, where it cannot be made."""
        try:
            return make()
        except ExportError as error:
            self.notes.append(f"{without}: {error}")
            return b""

    def _latents(self, needed: bool) -> NDArray[np.float32]:
        """The latents of the gallery; without numbers where no file takes them."""
        latents: NDArray[np.float32] = torch.cat(self.latents).numpy()
        return latents if needed else np.zeros((len(latents), 0), np.float32)

    def _tail(self) -> tuple[bytes, tuple[str, ...]]:
        """The part after the layer, compared with torch, and the inputs that it takes."""
        first = self.prefixes[0]
        what = f"the part of {self.generator.name} after {self.request.layer}"
        exported = export(Tail(first), _tail_inputs(first), [IMAGE], what)
        cases = [(at, maps) for at in self.prefixes[:CHECKED] for maps in _with_edits(at)]
        expected = [at.images(maps).float().numpy() for at, maps in cases]

        def check(run: OnnxNetwork, allowed: float) -> None:
            for (at, maps), image in zip(cases, expected, strict=True):
                inputs = _numpy(_tail_inputs(at) | {ACTIVATIONS: maps})
                _check_images(what, run(inputs)[0], image, allowed)

        return _smallest(what, exported, check), exported.inputs

    def _with_windows(self, tail: bytes, inputs: Sequence[str]) -> tuple[bytes, int]:
        """The part after the layer, which takes windows of the map if it can, and how far they must reach; else 0."""
        margin = margin_of(submodule(self.generator.module, self.request.layer))
        if tuple(inputs) != (ACTIVATIONS,) or margin:
            return tail, 0
        free = with_free_size(tail)
        run = OnnxNetwork(free)
        reaches = []
        for maps in _with_edits(self.prefixes[0]):
            values = maps.numpy()
            image = run({ACTIVATIONS: values})[0]
            reaches.append(measured_reach(lambda window: run({ACTIVATIONS: window})[0], values, image))
        return (free, max(reaches)) if all(reaches) else (tail, 0)

    def _head(self, names: Sequence[str], tail: OnnxNetwork) -> bytes:
        """The part up to the layer, compared with torch by the images that the tail makes of it."""
        what = f"the part of {self.generator.name} up to {self.request.layer}"
        if hasattr(self.generator, "latents"):
            raise ExportError(f"{what} takes latents from a distribution of its own")
        _check_size(what, self.generator.module)
        others = [int(name.removeprefix("other")) for name in names]
        head = Head(self.generator, self.request.layer, others)
        exported = export(head, {LATENT: self.latents[0]}, [ACTIVATIONS, *names], what)
        cases = list(zip(self.latents, self.prefixes, strict=True))[:CHECKED]
        expected = [at.images(at.activations).float().numpy() for _, at in cases]

        def check(run: OnnxNetwork, allowed: float) -> None:
            for (z, _), image in zip(cases, expected, strict=True):
                values = run({LATENT: z.numpy()})
                inputs = dict(zip([ACTIVATIONS, *names], values, strict=True)) | {LATENT: z.numpy()}
                _check_images(what, tail(inputs)[0], image, allowed)

        return _smallest(what, exported, check)

    def _others(self, names: Sequence[str]) -> dict[str, NDArray[np.float16]]:
        """The further inputs of the tail, for every latent."""
        return {name: _halves([_tail_inputs(at)[name] for at in self.prefixes]) for name in names}

    def _labels(self, images: Tensor, labels: Tensor) -> bytes:
        """The segmenter, compared with torch."""
        segmenter: Any = self.models.segmenter
        what = f"the segmenter {segmenter.name}"
        network = getattr(segmenter, "network", None)
        if isinstance(network, nn.Module):
            _check_size(what, network)
        exported = export(_Labels(segmenter), {IMAGE: images[:1]}, [LABELS], what)

        def check(run: OnnxNetwork, allowed: float) -> None:
            found = [run({IMAGE: images[k : k + 1].numpy()})[0] for k in range(CHECKED)]
            same = float(np.mean([one == labels[k].numpy() for k, one in enumerate(found)]))
            if same < 1 - (1 - SAME_LABELS) * allowed:
                raise ExportError(f"{what} gives other labels there: {same:.1%} of pixels have the same")

        return _smallest(what, exported, check)


def _smallest(what: str, exported: Exported, check: Callable[[OnnxNetwork, float], None]) -> bytes:
    """The file with the fewest bits for each weight that still agrees with torch, with some margin.

    `check` raises an ExportError for a network that does not, and takes the factor of what may differ.
    """
    for bits in BITS[:-1]:
        content = with_small_weights(exported.content, bits)
        try:
            check(OnnxNetwork(content), MARGIN)
        except ExportError:
            continue
        return content
    content = with_small_weights(exported.content, WHOLE)
    try:
        run = OnnxNetwork(content)
    except ExportError as error:
        raise ExportError(f"{what} was exported, but {error}") from error
    check(run, 1.0)
    return content


class _Labels(nn.Module):
    """A segmenter as a module: the labels of one image."""

    def __init__(self, segmenter: Any) -> None:
        super().__init__()
        self.network = getattr(segmenter, "network", None)
        self._labels = getattr(segmenter, "exportable_labels", segmenter)

    def forward(self, image: Tensor) -> Tensor:
        labels: Tensor = self._labels(image)
        return labels.to(torch.int32)


def _check_size(what: str, network: nn.Module) -> None:
    count = sum(weight.numel() for weight in network.parameters())
    if count > MOST_WEIGHTS:
        raise ExportError(f"{what} has {count:,} weights, too many for a page")


def _tail_inputs(at: Prefix) -> dict[str, Tensor]:
    others = {f"other{number}": tensor for number, tensor in enumerate(other_tensors(at))}
    return {ACTIVATIONS: at.activations.contiguous(), LATENT: at.z, **others}


def _with_edits(at: Prefix) -> Iterator[Tensor]:
    """The activations, and those after half of the units were ablated in a quarter of the map, or set to a maximum."""
    yield at.activations
    maps = at.activations
    units = tuple(range(0, maps.shape[1], 2))
    margin = margin_of(submodule(at.network.module, at.layer))
    cells = tuple(range(max(1, at.size[0] * at.size[1] // 4)))
    top = tuple(maps.amax((0, 2, 3))[list(units)].tolist())
    for values in ((0.0,) * len(units), top):
        yield Stroke(units, values, cells=cells).on(maps, margin).contiguous()


def _numpy(inputs: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: value.numpy() for name, value in inputs.items()}


def _stacked(photos: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(k, height, width, 3) photos, of which there may be none."""
    return np.stack(photos) if photos else np.zeros((0, *size, 3), np.uint8)


def _halves(values: Sequence[Tensor]) -> NDArray[np.float16]:
    return torch.cat([value.contiguous() for value in values]).to(torch.float16).numpy()


def _check_images(what: str, image: NDArray[Any], expected: NDArray[Any], allowed: float) -> None:
    """Refuse a file whose image differs from torch's by more than one level in more than a few pixels.

    `allowed` is a factor of that level.
    """
    difference = np.abs(np.clip(image, -1, 1) - np.clip(expected, -1, 1)).max(1)
    same = float((difference <= LEVEL * allowed).mean())
    if not same >= SAME_PIXELS:
        raise ExportError(
            f"{what} gives other images as an ONNX file: {same:.1%} of pixels agree with torch within 1/255, and "
            f"{SAME_PIXELS:.1%} must"
        )
