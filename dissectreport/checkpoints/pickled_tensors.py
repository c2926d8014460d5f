"""Tensors and arrays as a pickle describes them: records that are checked before they become tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dissectreport.checkpoints.names import shown
from dissectreport.errors import WeightsError

NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
"""Types of numpy's numbers that a file may have."""


RATIO = 20
"""A file may give this many times as many numbers as it has bytes."""


VISITS = 2_000_000
"""Tables, lists and their values that are looked at, at most."""


class Foreign(Exception):
    """A pickle asks for something that is not allowed."""


class NumpyType:
    """The type of numpy's numbers."""

    def __init__(self, code: object = "", *_options: object) -> None:
        plain = str(code).lstrip("<>=|")
        if plain not in NUMBERS:
            raise Foreign(f"numpy's type {code!r}")
        self.code, self.order = plain, ">" if str(code).startswith(">") else "<"

    def __setstate__(self, state: object) -> None:
        """Version, byte order, and more that only other types have."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise Foreign(f"numpy's byte order {order!r}")
        self.order = str(order)

    def numbers(self, content: bytes | bytearray) -> np.ndarray[Any, np.dtype[Any]]:
        """(n,) the numbers in bytes, in this machine's order."""
        order: Any = self.order
        numbers = np.frombuffer(bytes(content), np.dtype(self.code).newbyteorder(order))
        return numbers.astype(numbers.dtype.newbyteorder("="))


class Budget:
    """How many numbers a file may still give: tensors may share their storage, so they may be more than its bytes."""

    def __init__(self, size: int) -> None:
        self.left, self.visits = RATIO * size, VISITS

    def spend(self, count: int) -> None:
        """Take so many numbers; a WeightsError if they are too many."""
        self.left -= count
        if self.left < 0:
            raise WeightsError("its tensors have far more numbers than the file has bytes; such a file is not loaded")

    def visit(self, count: int) -> None:
        """Count values that are looked at; a WeightsError if a file, which may repeat them, has too many."""
        self.visits -= count
        if self.visits < 0:
            raise WeightsError("its tables and lists are repeated within each other; such a file is not loaded")


class PickledArray:
    """An array of numpy, as the bytes of its numbers."""

    def __init__(self, *_arguments: object) -> None:
        self.parts: tuple[object, object, object, object] = (None, None, (), "C")

    def __setstate__(self, state: object) -> None:
        """Take over (version, shape, type, whether columns come first, bytes); anything else is dropped."""
        if isinstance(state, tuple) and len(state) == 5:
            self.fill(state[4], state[2], state[1], "F" if state[3] else "C")

    def fill(self, content: object, kind: object, shape: object, order: object) -> PickledArray:
        """The same array with bytes, a type, a shape, and F or C for the order of its numbers."""
        self.parts = content, kind, shape, order
        return self

    def tensor(self, budget: Budget) -> Tensor | None:
        """The numbers, if they are plain ones and as many as the shape asks for; None otherwise."""
        content, kind, shape, order = self.parts
        if not (isinstance(kind, NumpyType) and isinstance(content, bytes | bytearray) and whole_numbers(shape)):
            return None
        assert isinstance(shape, tuple), "checked above"
        budget.spend(len(content))
        numbers = kind.numbers(content)
        if numbers.size != math.prod(shape):
            return None
        return torch.from_numpy(numbers.reshape(shape, order="F" if order == "F" else "C").copy())


@dataclass
class PickledStorage:
    """The numbers of one tensor or of several."""

    values: Tensor
    """(elements,) of the storage's type."""

    def __setstate__(self, state: object) -> None:
        """Refused: a storage has all that it needs."""
        raise Foreign("a storage whose state is set")


@dataclass
class PickledTensor:
    """Where a tensor lies in its storage; checked when the tensor is made."""

    storage: object
    offset: object
    shape: object
    strides: object

    def __setstate__(self, state: object) -> None:
        """Refused: a tensor has all that it needs."""
        raise Foreign("a tensor whose state is set")


def pickled_tensor(storage: object, offset: object, shape: object, strides: object, *_rest: object) -> PickledTensor:
    """Where a tensor lies; what else the file says, such as hooks, is dropped."""
    return PickledTensor(storage, offset, shape, strides)


def checked_tensor(value: object, name: str) -> Tensor:
    """The tensor, if it lies within its storage and does not repeat its numbers; a WeightsError otherwise."""
    name = shown(name)
    if not isinstance(value, PickledTensor) or not isinstance(value.storage, PickledStorage):
        raise WeightsError(f"{name} is a {type(value).__name__} instead of a tensor")
    offset, shape, strides = value.offset, value.shape, value.strides
    whole = whole_numbers(shape), whole_numbers(strides)
    if not all(whole) or not whole_numbers((offset,)) or len(shape) != len(strides):  # type: ignore[arg-type]
        raise WeightsError(f"{name} has a shape or strides that are no whole numbers")
    assert isinstance(shape, tuple), "checked above"
    assert isinstance(strides, tuple), "checked above"
    assert isinstance(offset, int), "checked above"
    elements = value.storage.values.numel()
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    count = math.prod(shape)
    if count and (count > elements or last >= elements):
        raise WeightsError(f"{name} of shape {shape} lies outside its {elements} numbers")
    return value.storage.values.as_strided(shape, strides, offset).clone()


def whole_numbers(values: object) -> bool:
    """Whether this is a tuple of whole numbers of at least 0."""
    return isinstance(values, tuple) and all(type(number) is int and number >= 0 for number in values)
