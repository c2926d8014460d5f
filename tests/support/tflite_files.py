"""Small TensorFlow Lite files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

CODES = {
    "CONV_2D": 3,
    "HARD_SWISH": 117,
    "DEPTHWISE_CONV_2D": 4,
    "AVERAGE_POOL_2D": 1,
    "LOGISTIC": 14,
    "MUL": 18,
    "RESIZE_BILINEAR": 23,
    "DEQUANTIZE": 6,
    "Convolution2DTransposeBias": 32,
}


class Writer:
    """A TensorFlow Lite file, written field by field."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(0)
        self.tensors: list[int] = []
        self.buffers = [self.table({})]
        self.operators: list[int] = []

    def table(self, fields: dict[int, tuple[str, int]]) -> int:
        """A table of fields: a kind (offset, or the name of a number) and a value, by their numbers."""
        self.builder.StartObject(max(fields, default=0) + 1)
        for number, (kind, value) in fields.items():
            if kind == "offset":
                self.builder.PrependUOffsetTRelativeSlot(number, value, 0)
            else:
                getattr(self.builder, f"Prepend{kind}Slot")(number, value, 0)
        return int(self.builder.EndObject())

    def numbers(self, values: NDArray[Any]) -> int:
        return int(self.builder.CreateNumpyVector(values))

    def offsets(self, values: list[int]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependUOffsetTRelative(value)
        return int(self.builder.EndVector())

    def tensor(self, shape: tuple[int, ...], values: NDArray[Any] | None = None) -> int:
        buffer = 0
        if values is not None:
            data = self.numbers(np.frombuffer(values.tobytes(), np.uint8))
            self.buffers.append(self.table({0: ("offset", data)}))
            buffer = len(self.buffers) - 1
        kind = 1 if values is not None and values.dtype == np.float16 else 0
        sides = self.numbers(np.array(shape, np.int32))
        self.tensors.append(self.table({0: ("offset", sides), 1: ("Int8", kind), 2: ("Uint32", buffer)}))
        return len(self.tensors) - 1

    def step(
        self, name: str, inputs: list[int], output: int, options: dict[int, tuple[str, int]] | None = None
    ) -> None:
        given, made = self.numbers(np.array(inputs, np.int32)), self.numbers(np.array([output], np.int32))
        fields = {0: ("Uint32", list(CODES).index(name)), 1: ("offset", given), 2: ("offset", made)}
        if options is not None:
            fields[4] = ("offset", self.table(options))
        self.operators.append(self.table(fields))

    def content(self, first: int, last: int) -> bytes:
        custom = self.builder.CreateString("Convolution2DTransposeBias")
        codes = []
        for number in CODES.values():
            fields = {0: ("Int8", number), 3: ("Int32", number)}
            codes.append(self.table(fields | ({1: ("offset", custom)} if number == 32 else {})))
        ends = [self.numbers(np.array([end], np.int32)) for end in (first, last)]
        parts = [self.offsets(self.tensors), *ends, self.offsets(self.operators)]
        graph = self.offsets([self.table({number: ("offset", part) for number, part in enumerate(parts)})])
        whole = {1: ("offset", self.offsets(codes)), 2: ("offset", graph), 4: ("offset", self.offsets(self.buffers))}
        self.builder.Finish(self.table(whole), file_identifier=b"TFL3")
        return bytes(self.builder.Output())


def weights() -> dict[str, NDArray[Any]]:
    """Weights as they are stored: (out, height, width, in)."""
    random = np.random.default_rng(0)
    shapes = {"first": (4, 3, 3, 3), "first bias": (4,), "each": (1, 3, 3, 4), "each bias": (4,)}
    shapes |= {"last": (1, 2, 2, 4), "last bias": (1,)}
    return {name: random.standard_normal(shape).astype(np.float16) for name, shape in shapes.items()}


def written(path: Path, activation: int = 0) -> Path:
    """A small network with every kind of step that differs from torch's."""
    file = Writer()
    image = file.tensor((1, 8, 8, 3))
    known = {name: file.tensor(value.shape, value) for name, value in weights().items()}
    floats = {name: file.tensor(value.shape) for name, value in weights().items()}
    for name, number in known.items():
        file.step("DEQUANTIZE", [number], floats[name])
    maps = [file.tensor(shape) for shape in ((1, 4, 4, 4), (1, 4, 4, 4), (1, 4, 4, 4), (1, 1, 1, 4), (1, 4, 4, 4))]
    large, sums, mask = file.tensor((1, 8, 8, 4)), file.tensor((1, 16, 16, 1)), file.tensor((1, 16, 16, 1))
    two = {0: ("Int8", 0), 1: ("Int32", 2), 2: ("Int32", 2), 3: ("Int8", activation)}
    file.step("CONV_2D", [image, floats["first"], floats["first bias"]], maps[0], two)
    file.step("HARD_SWISH", [maps[0]], maps[1])
    one = {1: ("Int32", 1), 2: ("Int32", 1), 3: ("Int32", 1)}
    file.step("DEPTHWISE_CONV_2D", [maps[1], floats["each"], floats["each bias"]], maps[2], one)
    file.step("AVERAGE_POOL_2D", [maps[2]], maps[3], {0: ("Int8", 1)})
    file.step("MUL", [maps[2], maps[3]], maps[4], {})
    file.step("RESIZE_BILINEAR", [maps[4]], large)
    file.step("Convolution2DTransposeBias", [large, floats["last"], floats["last bias"]], sums)
    file.step("LOGISTIC", [sums], mask)
    path.write_bytes(file.content(image, mask))
    return path
