"""Changes to images under which the name of a thing stays the same."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor
from torch.nn import functional

# NTSC luminance and two axes of colour; turning the plane of the two turns the hue and keeps the brightness.
YIQ_FROM_RGB = ((0.299, 0.587, 0.114), (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))


def turn_hue(images: Tensor, turns: Tensor, saturation: Tensor) -> Tensor:
    """(n, 3, h, w) with hues turned by (n,) whole turns and colours made (n,) times as strong."""
    forward = torch.tensor(YIQ_FROM_RGB)
    cosine, sine = torch.cos(2 * pi * turns) * saturation, torch.sin(2 * pi * turns) * saturation
    turn = torch.zeros(len(images), 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = cosine
    turn[:, 1, 2], turn[:, 2, 1] = -sine, sine
    matrices = forward.inverse() @ turn @ forward
    return torch.einsum("nij,njhw->nihw", matrices, (images + 1) / 2) * 2 - 1


def brighten(images: Tensor, factor: Tensor) -> Tensor:
    """(n, 3, h, w) with (n,) times the brightness."""
    return (images + 1) * factor.view(-1, 1, 1, 1) - 1


def add_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """(n, 3, h, w) with (n,) times the contrast around each image's mean."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * factor.view(-1, 1, 1, 1)


def soften(images: Tensor, amount: Tensor) -> Tensor:
    """(n, 3, h, w) mixed with a blurred version of themselves, (n,) in [0, 1]."""
    blurred = functional.avg_pool2d(functional.pad(images, (1,) * 4, mode="replicate"), 3, stride=1)
    return torch.lerp(images, blurred, amount.view(-1, 1, 1, 1))


def roughen(images: Tensor, amount: Tensor, random: torch.Generator) -> Tensor:
    """(n, 3, h, w) with noise of (n,) standard deviations."""
    return images + amount.view(-1, 1, 1, 1) * torch.randn(images.shape, generator=random)


def between(low: float, high: float, count: int, random: torch.Generator) -> Tensor:
    """(count,) numbers drawn evenly between two."""
    return low + (high - low) * torch.rand(count, generator=random)


def jitter(images: Tensor, strange: Tensor, random: torch.Generator) -> Tensor:
    """(n, 3, h, w) in [-1, 1], each changed a little, those marked in (n,) `strange` in any hue and light."""
    count = len(images)
    mild_turns, any_turns = between(-0.02, 0.02, count, random), between(-0.5, 0.5, count, random)
    mild_light, any_light = between(0.9, 1.1, count, random), between(0.45, 1.5, count, random)
    saturation = between(0.4, 1.4, count, random)
    images = turn_hue(
        images,
        torch.where(strange, any_turns, mild_turns),
        torch.where(strange, saturation, torch.ones(count)),
    )
    images = brighten(images, torch.where(strange, any_light, mild_light))
    images = add_contrast(images, between(0.8, 1.2, count, random))
    images = soften(images, between(-0.3, 1.0, count, random).clamp(min=0))
    return roughen(images, between(-0.04, 0.08, count, random).clamp(min=0), random).clamp(-1, 1)
