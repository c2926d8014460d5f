"""Fewer samples at a time where a batch does not fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from dissectreport.errors import DissectReportError, ModelError, counted

T = TypeVar("T")


def in_parts(run: Callable[[Tensor, int], T], z: Tensor, first: int) -> list[T]:
    """What `run` gives for latents, the first of which is sample `first`; for halves of them where memory is full.

    A ModelError says that there is too little memory for one sample.
    """
    try:
        return [run(z, first)]
    except torch.OutOfMemoryError as problem:
        if len(z) == 1:
            raise ModelError(
                f"there is too little memory for one sample on this device ({_short(problem)}); "
                "choose fewer layers with --layers, or --device cpu"
            ) from problem
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(z) // 2
    return [*in_parts(run, z[:half], first), *in_parts(run, z[half:], first + half)]


def at_once(run: Callable[[Tensor, int], object], z: Tensor) -> int:
    """How many of some latents fit into memory together: all, or the power of two that halving arrives at."""
    count = len(z)
    while count > 1:
        try:
            run(z[:count], 0)
            return count
        except torch.OutOfMemoryError:
            count //= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return 1


def caution(fitting: int, wanted: int) -> str:
    """What a user should know where batches are smaller than planned; '' where they are not."""
    if fitting >= wanted:
        return ""
    return (
        f"{wanted} samples at a time do not fit into memory: {counted(fitting, 'sample')} at a time will run; the last "
        "digits of activations may differ from those of another machine"
    )


def without_memory_errors(error: type[DissectReportError], ask: Callable[[], T]) -> T:
    """The result of a call, whose error of this type is given back as what it was if memory was full."""
    try:
        return ask()
    except error as problem:
        if isinstance(problem.__cause__, torch.OutOfMemoryError):
            raise problem.__cause__ from None
        raise


def _short(problem: Exception) -> str:
    """The first sentence of an error."""
    return " ".join(str(problem).split()).partition(". ")[0][:120] or type(problem).__name__
