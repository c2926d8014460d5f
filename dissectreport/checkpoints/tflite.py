"""TensorFlow Lite files, read as data: the operations of a network in their order, and its weights.

    graph = read_tflite(path)
    graph.weights["conv/kernel"], graph.steps[0].operation      # an array; such as CONV_2D

A file is a FlatBuffer, whose tables say where each field lies; only the fields that are used are read. Its layout is
that of TensorFlow's schema.fbs, version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport import files
from dissectreport.errors import WeightsError

OPERATIONS: Mapping[int, str] = {
    0: "ADD",
    1: "AVERAGE_POOL_2D",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    14: "LOGISTIC",
    18: "MUL",
    19: "RELU",
    23: "RESIZE_BILINEAR",
    32: "CUSTOM",
    117: "HARD_SWISH",
}
"""Operations that are known, by their numbers in the schema."""
KINDS: Mapping[int, str] = {0: "<f4", 1: "<f2", 2: "<i4"}
"""Types of numbers that are known."""
LARGEST = 100_000_000
"""Bytes of a file."""


@dataclass(frozen=True)
class TfliteStep:
    """One operation."""

    operation: str
    """Its name in the schema, or that of a custom operation."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    strides: tuple[int, int]
    """Down and across, of convolutions and pools."""
    is_padded: bool
    """Whether a convolution keeps the size, but for its strides."""


@dataclass(frozen=True)
class TfliteGraph:
    """A network."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: tuple[TfliteStep, ...]
    weights: Mapping[str, NDArray[Any]]
    """By name, as they are stored: (out, height, width, in) for convolutions."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of every tensor."""


def read_tflite(path: Path) -> TfliteGraph:
    """The network in a file; a WeightsError says what is wrong with it, or which operation is not known."""
    try:
        content = files.read(path, LARGEST, links=True)
        if content[4:8] != b"TFL3":
            raise WeightsError(f"{path} is no TensorFlow Lite file")
        return _graph(_Table.root(content))
    except (OSError, struct.error, ValueError, IndexError) as problem:
        raise WeightsError(f"{path} cannot be read as a TensorFlow Lite file: {problem}") from problem


@dataclass(frozen=True)
class _Table:
    """A table of a FlatBuffer: where it begins in the content."""

    content: bytes
    at: int

    @classmethod
    def root(cls, content: bytes) -> _Table:
        """The outermost table."""
        return cls(content, _number(content, 0, "I"))

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """A number in a field."""
        at = self._field(field)
        return _number(self.content, at, kind) if at else default

    def table(self, field: int) -> _Table | None:
        """A table in a field."""
        at = self._field(field)
        return _Table(self.content, at + _number(self.content, at, "I")) if at else None

    def tables(self, field: int) -> list[_Table]:
        """A vector of tables."""
        first, count = self._vector(field)
        return [_Table(self.content, at + _number(self.content, at, "I")) for at in range(first, first + 4 * count, 4)]

    def numbers(self, field: int, kind: str) -> NDArray[Any]:
        """A vector of numbers."""
        first, count = self._vector(field)
        return np.frombuffer(self.content, kind, count, first) if count else np.zeros(0, kind)

    def text(self, field: int) -> str:
        """A text in a field."""
        return self.numbers(field, "u1").tobytes().decode("utf-8", "replace")

    def _field(self, number: int) -> int:
        """Where a field lies; 0 where it is missing."""
        layout = self.at - _number(self.content, self.at, "i")
        entry = 4 + 2 * number
        if entry >= _number(self.content, layout, "H"):
            return 0
        offset = _number(self.content, layout + entry, "H")
        return self.at + offset if offset else 0

    def _vector(self, field: int) -> tuple[int, int]:
        """Where the first element of a vector lies, and how many there are."""
        at = self._field(field)
        if not at:
            return 0, 0
        start = at + _number(self.content, at, "I")
        return start + 4, _number(self.content, start, "I")


def _number(content: bytes, at: int, kind: str) -> int:
    if at < 0:
        raise ValueError("an offset leads out of the file")
    return int(struct.unpack_from("<" + kind, content, at)[0])


def _graph(model: _Table) -> TfliteGraph:
    """The first network of a model."""
    network = model.tables(2)[0]
    tensors, buffers = network.tables(0), model.tables(4)
    names = [f"{number} {tensor.text(3)}" for number, tensor in enumerate(tensors)]
    codes = [_operation(code) for code in model.tables(1)]
    shapes = {name: _shape(tensor) for name, tensor in zip(names, tensors, strict=True)}
    weights = {}
    for name, tensor in zip(names, tensors, strict=True):
        stored = buffers[tensor.number(2, "I")].numbers(0, "u1")
        if len(stored):
            weights[name] = _array(stored, tensor, shapes[name])

    def named(table: _Table, field: int) -> tuple[str, ...]:
        return tuple(names[number] for number in table.numbers(field, "<i4").tolist() if number >= 0)

    steps = tuple(
        _step(codes[one.number(0, "I")], named(one, 1), named(one, 2), one.table(4)) for one in network.tables(3)
    )
    return TfliteGraph(named(network, 1), named(network, 2), steps, weights, shapes)


def _shape(tensor: _Table) -> tuple[int, ...]:
    return tuple(tensor.numbers(0, "<i4").tolist())


def _array(stored: NDArray[np.uint8], tensor: _Table, shape: tuple[int, ...]) -> NDArray[Any]:
    kind = KINDS.get(tensor.number(1, "b"))
    if kind is None:
        raise WeightsError(
            f"a tensor has numbers of type {tensor.number(1, 'b')}; known are {', '.join(KINDS.values())}"
        )
    return np.frombuffer(stored.tobytes(), kind).reshape(shape)


def _operation(code: _Table) -> str:
    number = max(code.number(0, "b"), code.number(3, "i"))
    if number not in OPERATIONS:
        raise WeightsError(
            f"operation {number} of TensorFlow Lite is not known; known are {', '.join(OPERATIONS.values())}"
        )
    return code.text(1) if OPERATIONS[number] == "CUSTOM" else OPERATIONS[number]


def _step(operation: str, inputs: tuple[str, ...], outputs: tuple[str, ...], options: _Table | None) -> TfliteStep:
    """A step; one with an activation function of its own, or with dilation, is refused."""
    strided = options if operation in ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D") else None
    activation = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "AVERAGE_POOL_2D": 5, "ADD": 0, "MUL": 0}.get(operation)
    if options is not None and activation is not None and options.number(activation, "b"):
        raise WeightsError(f"{operation} with activation function {options.number(activation, 'b')} is not known")
    if strided is None:
        return TfliteStep(operation, inputs, outputs, (1, 1), True)
    strides = (strided.number(2, "i", 1), strided.number(1, "i", 1))
    return TfliteStep(operation, inputs, outputs, strides, strided.number(0, "b") == 0)
