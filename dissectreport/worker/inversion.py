"""Photos onto the manifold of a generator: a latent for each, and then small residuals at two layers.

The latent begins at the nearest of some random samples, and follows the gradient of

    mean |image - photo| + mean |P(image) - P(photo)|

with P the segmenter's probabilities of the concepts in the photo (Bau et al. 2019, "Seeing What a GAN Cannot Generate",
use the features of a network in their place). Then the latent stays, and residuals are added to the outputs of two
layers; their mean square, as a share of that of the layer, is added to the loss. What residuals cannot say with little,
the generator cannot draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.networks.residuals import adding, outputs_of
from dissectreport.worker.finite_images import with_finite_images
from dissectreport.worker.loaded_networks import Models

STARTS = 64
"""Random samples, of which the nearest is where a latent begins."""
COARSE = 8
"""Side of the images in which samples are compared with a photo."""
BATCH = 16
LATENT_RATE, RESIDUAL_RATE = 0.05, 0.01
"""Learning rates of Adam."""
COOLING = 0.25
"""The last part of the steps, in which the learning rate falls to 0."""
MOST_CONCEPTS = 12
"""Concepts of the photos whose probabilities are compared, those of the largest areas."""


@dataclass(frozen=True)
class InversionSteps:
    """How long photos are inverted."""

    latent: int = 90
    residual: int = 45


@dataclass(frozen=True)
class InvertedPhotos:
    """What was found for n photos."""

    latents: Tensor
    """(n, *latent_shape)."""
    residuals: Mapping[str, Tensor]
    """By layer (n, …) what is added to its output."""
    shares: Mapping[str, Tensor]
    """By layer (n,) root of the residual's mean square, as a share of the layer's."""
    from_latents: Tensor
    """(n, 3, h, w) images of the latents alone."""
    images: Tensor
    """(n, 3, h, w) images with the residuals."""


Progress = Callable[[int, int, int], None]
"""Gets the number of all steps, those before this stage, and those of this stage that are done."""


def invert(
    models: Models, photos: Tensor, layers: Sequence[str], steps: InversionSteps, seed: int, progress: Progress
) -> InvertedPhotos:
    """Invert (n, 3, h, w) photos in [-1, 1] of the generator's size; residuals are added to the outputs of `layers`."""
    loss = PhotoLoss.of(models, photos)
    z = with_finite_images(models, lambda: nearest_samples(models, photos, seed)).requires_grad_()
    every = steps.latent + steps.residual
    descend([z], LATENT_RATE, steps.latent, lambda: loss(models.images(z, 0)), partial(progress, every, 0))
    z = z.detach()
    with torch.no_grad():
        from_latents = models.images(z, 0)
        outputs = outputs_of(models.generator.module, layers, lambda: models.images(z, 0))
    residuals = {layer: torch.zeros_like(output).requires_grad_() for layer, output in outputs.items()}
    squares = {layer: mean_squares(output) for layer, output in outputs.items()}

    def with_residuals() -> Tensor:
        penalty = torch.stack([(mean_squares(residuals[layer]) / squares[layer]).mean() for layer in residuals]).sum()
        with adding(models.generator.module, residuals):
            return loss(models.images(z, 0)) + penalty

    if residuals:
        report = partial(progress, every, steps.latent)
        descend(list(residuals.values()), RESIDUAL_RATE, steps.residual, with_residuals, report)
    final = {layer: value.detach() for layer, value in residuals.items()}
    with torch.no_grad(), adding(models.generator.module, final):
        images = models.images(z, 0)
    shares = {layer: (mean_squares(final[layer]) / squares[layer]).sqrt() for layer in final}
    return InvertedPhotos(z, final, shares, from_latents, images)


@dataclass(frozen=True)
class PhotoLoss:
    """How far images are from photos: pixels, and the segmenter's probabilities where it has some."""

    models: Models
    photos: Tensor
    concepts: tuple[int, ...]
    """Numbers of the concepts that are compared."""
    probable: Tensor | None
    """(n, k, h, w) their probabilities in the photos; None for a segmenter without probabilities."""

    @classmethod
    def of(cls, models: Models, photos: Tensor) -> PhotoLoss:
        """The loss for some photos."""
        if not hasattr(models.segmenter, "probabilities"):
            return cls(models, photos, (), None)
        with torch.no_grad():
            numbers, pixels = torch.unique(models.labels(photos), return_counts=True)
            order = torch.argsort(pixels, descending=True, stable=True)
            concepts = tuple(int(number) for number in numbers[order] if number)[:MOST_CONCEPTS]
            probable = models.probabilities(photos, concepts) if concepts else None
        return cls(models, photos, concepts, probable)

    def __call__(self, images: Tensor) -> Tensor:
        """The mean over photos."""
        pixels = (images - self.photos).abs().mean()
        if self.probable is None:
            return pixels
        return pixels + (self.models.probabilities(images, self.concepts) - self.probable).abs().mean()


def nearest_samples(models: Models, photos: Tensor, seed: int) -> Tensor:
    """(n, *latent_shape) for each photo the latent whose image is nearest, of `STARTS` samples of a seed."""
    wanted = functional.adaptive_avg_pool2d(photos, COARSE).flatten(1)
    latents, coarse = [], []
    with torch.no_grad():
        for first in range(0, STARTS, BATCH):
            z = models.latents(seed, first, BATCH)
            latents.append(z)
            coarse.append(functional.adaptive_avg_pool2d(models.images(z, first), COARSE).flatten(1))
    distances = torch.cdist(wanted, torch.cat(coarse), p=1)
    return torch.cat(latents)[distances.argmin(1)].clone()


def descend(
    values: Sequence[Tensor], rate: float, steps: int, loss: Callable[[], Tensor], progress: Callable[[int], None]
) -> None:
    """Follow the gradient of a loss by Adam, with a rate that falls to 0 at the end."""
    optimizer = torch.optim.Adam(list(values), rate)
    for step in range(steps):
        left = (steps - step) / max(1.0, COOLING * steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, left)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss())
        optimizer.step()
        progress(step + 1)


def mean_squares(values: Tensor) -> Tensor:
    """(n, …) -> (n,) the mean square of each row."""
    return values.flatten(1).square().mean(1)


def label_agreement(models: Models, images: Tensor, photos: Tensor) -> Tensor:
    """(n,) the share of pixels whose labels are the same, all slots together."""
    with torch.no_grad():
        return (models.labels(images) == models.labels(photos)).flatten(1).float().mean(1)


def signal_to_noise(images: Tensor, photos: Tensor) -> Tensor:
    """(n,) peak signal-to-noise ratio in dB of images in [-1, 1]."""
    error = (images.clamp(-1, 1) - photos).square().flatten(1).mean(1)
    return 10 * torch.log10(4 / error.clamp_min(1e-10))
