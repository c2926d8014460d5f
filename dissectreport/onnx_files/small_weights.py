"""Weights of an ONNX file in fewer bytes: whole numbers of some bits, with a scale for each row.

The graph begins with the operations that make the weights of them. They have no inputs, so that ONNX Runtime computes
them once, when it loads the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WHOLE = 32
"""Bits of weights that stay as they are."""
BITS = (8, 10, 12, 13, 14, 16, WHOLE)
"""Bits of a weight, from the fewest on."""
SMALLEST = 64
"""Weights of fewer numbers stay as they are."""
BYTE = 256


def with_small_weights(content: bytes, bits: int) -> bytes:
    """An ONNX file with weights of so many bits, one of `BITS`, that computes in single precision.

    Weights of more than 8 bits are stored as two tensors of bytes, of which the upper one packs well.
    """
    from onnx import ModelProto

    model = ModelProto.FromString(content)
    stored = [_stored(weight, bits) for weight in model.graph.initializer]
    replace_values(model.graph.initializer, [tensor for tensors, _ in stored for tensor in tensors])
    replace_values(model.graph.node, [*(node for _, nodes in stored for node in nodes), *model.graph.node])
    content = model.SerializeToString(deterministic=True)
    return bytes(content)


def _stored(weight: Any, bits: int) -> tuple[list[Any], list[Any]]:
    """The tensors that are stored in place of a weight, and the nodes that make it of them."""
    from onnx import numpy_helper

    values = numpy_helper.to_array(weight)
    if values.size < SMALLEST:
        return [weight], []
    if values.dtype == np.int64 and values.min() >= 0 and values.max() < BYTE:
        return _as_bytes(weight, values)
    has_rows = values.dtype == np.float32 and values.ndim > 1 and len(values) > 1
    if bits == WHOLE or not has_rows or not np.isfinite(values).all():
        return [weight], []
    numbers, scale = rounded(values, bits)
    return _as_one_byte(weight.name, numbers, scale) if bits <= 8 else _as_two_bytes(weight.name, numbers, scale)


def rounded(values: NDArray[np.float32], bits: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Whole numbers of so many bits, and for each row along the first axis the scale that makes values of them."""
    largest = np.abs(values).max(tuple(range(1, values.ndim)), keepdims=True)
    scale = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(2 ** (bits - 1) - 1)
    return np.rint(values / scale).astype(np.int32), scale


def _as_bytes(weight: Any, values: NDArray[np.int64]) -> tuple[list[Any], list[Any]]:
    from onnx import helper, numpy_helper

    small = numpy_helper.from_array(values.astype(np.uint8), f"{weight.name}.small")
    return [small], [helper.make_node("Cast", [small.name], [weight.name], to=weight.data_type)]


def _as_one_byte(name: str, numbers: NDArray[np.int32], scale: NDArray[np.float32]) -> tuple[list[Any], list[Any]]:
    from onnx import numpy_helper

    tensors = [numpy_helper.from_array(numbers.astype(np.int8), f"{name}.number")]
    tensors.append(numpy_helper.from_array(scale, f"{name}.scale"))
    return tensors, [*_casts(f"{name}.number"), _node("Mul", f"{name}.number.float", f"{name}.scale", name)]


def _as_two_bytes(name: str, numbers: NDArray[np.int32], scale: NDArray[np.float32]) -> tuple[list[Any], list[Any]]:
    from onnx import numpy_helper

    parts = {
        f"{name}.upper": (numbers >> 8).astype(np.int8),
        f"{name}.lower": (numbers & (BYTE - 1)).astype(np.uint8),
        f"{name}.scale": scale,
        f"{name}.upper.scale": scale * np.float32(BYTE),
    }
    nodes = [
        *_casts(f"{name}.upper", f"{name}.lower"),
        _node("Mul", f"{name}.upper.float", f"{name}.upper.scale", f"{name}.upper.value"),
        _node("Mul", f"{name}.lower.float", f"{name}.scale", f"{name}.lower.value"),
        _node("Add", f"{name}.upper.value", f"{name}.lower.value", name),
    ]
    return [numpy_helper.from_array(value, part) for part, value in parts.items()], nodes


def _casts(*names: str) -> Iterator[Any]:
    """Nodes that make numbers in single precision of tensors."""
    from onnx import TensorProto, helper

    for name in names:
        yield helper.make_node("Cast", [name], [f"{name}.float"], to=TensorProto.FLOAT)


def _node(operation: str, first: str, second: str, output: str) -> Any:
    from onnx import helper

    return helper.make_node(operation, [first, second], [output])


def replace_values(field: Any, values: Sequence[Any]) -> None:
    """Put these messages into a repeated field of a message, which may have held them before."""
    kept = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(kept)
