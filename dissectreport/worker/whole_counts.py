"""Counts by key, and floating-point counts that stay exact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def pixel_keys(label_sets: Tensor, sets: int, steps: int, wide: bool = False) -> Tensor:
    """(pixels,) number of the label set times `steps`, in the smallest type that holds the keys; int32 where `wide`."""
    small = torch.int16 if sets * steps < 2**15 and not wide else torch.int32
    return (label_sets.flatten() * steps).to(small)


def counted(base: Tensor, step: Tensor, length: int) -> Tensor:
    """(units, length) how often each key base + step occurs among each unit's pixels; `step` is (units, pixels)."""
    keys = base + step
    if len(step) > 1:
        keys += beginnings(len(step), length, keys)
    return occurrences(keys.flatten(), len(step) * length).reshape(len(step), length)


def precise(counts: Tensor) -> Tensor:
    """Counts in double precision, on the CPU where the device has none."""
    return (counts.cpu() if counts.device.type == "mps" else counts).double()


def whole(counts: Tensor) -> NDArray[np.int64]:
    """Floating-point counts, converted to integers."""
    return counts.round().to(torch.int64).cpu().numpy()


def is_processor(device: torch.device) -> bool:
    """Whether a device is no accelerator."""
    return device.type == "cpu"


def beginnings(units: int, length: int, like: Tensor) -> Tensor:
    """(units, 1) where each unit's entries begin, if every one has so many, in the type of `like`."""
    return torch.arange(0, units * length, length, dtype=like.dtype, device=like.device)[:, None]


def occurrences(keys: Tensor, length: int) -> Tensor:
    """(length,) how often each of the whole numbers below `length` occurs."""
    if is_processor(keys.device):
        return torch.bincount(keys, minlength=length)
    # Not bincount, which waits for an accelerator twice.
    one = torch.ones((), dtype=torch.int32, device=keys.device)
    return torch.zeros(length, dtype=torch.int32, device=keys.device).index_add_(0, keys, one.expand_as(keys))


def wholes(counts: Sequence[Tensor]) -> list[NDArray[np.int64]]:
    """Several arrays of floating-point counts, converted to integers, and copied from the device together."""
    # On Apple's GPU precise counts lie on the CPU already.
    device = torch.device("cpu") if counts[0].device.type == "mps" else counts[0].device
    flat = torch.cat([part.flatten().to(device) for part in counts]).round().to(torch.int64).cpu().numpy()
    ends = np.cumsum([part.numel() for part in counts])
    return [part.reshape(one.shape) for part, one in zip(np.split(flat, ends[:-1]), counts, strict=True)]
