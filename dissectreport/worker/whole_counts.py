"""Counts by key, and floating-point counts that stay exact."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def pixel_keys(label_sets: Tensor, sets: int, steps: int, wide: bool = False) -> Tensor:
    """(pixels,) number of the label set times `steps`, in the smallest type that holds the keys; int32 where `wide`."""
    small = torch.int16 if sets * steps < 2**15 and not wide else torch.int32
    return (label_sets.flatten().long() * steps).to(small)


def counted(base: Tensor, step: Tensor, length: int) -> Tensor:
    """(length,) how often each key base + step occurs."""
    return torch.bincount(base + step, minlength=length)


def precise(counts: Tensor) -> Tensor:
    """Counts in double precision, on the CPU where the device has none."""
    return (counts.cpu() if counts.device.type == "mps" else counts).double()


def whole(counts: Tensor) -> NDArray[np.int64]:
    """Floating-point counts, converted to integers."""
    return counts.round().to(torch.int64).cpu().numpy()
