"""A network of a TensorFlow Lite file in torch, with gradients.

network = TfliteNetwork(read_tflite(path))
masks = network(images)                                     # (n, 3, 256, 256) -> (n, 1, 256, 256)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.checkpoints.tflite import TfliteGraph, TfliteStep
from dissectreport.errors import WeightsError

TRANSPOSED = "Convolution2DTransposeBias"
"""MediaPipe's custom operation: a transposed convolution whose kernel is as large as its stride."""


class TfliteNetwork(nn.Module):
    """The network, with one input and one output, both (n, channels, height, width)."""

    def __init__(self, graph: TfliteGraph) -> None:
        super().__init__()
        self.graph = graph
        self._numbers = {name: f"weight{number}" for number, name in enumerate(graph.weights)}
        for name, values in graph.weights.items():
            self.register_buffer(self._numbers[name], torch.from_numpy(values.copy()))
        unknown = [step.operation for step in graph.steps if step.operation not in STEPS]
        if unknown:
            raise WeightsError(f"operation {unknown[0]} of TensorFlow Lite is not known")

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, height, width) of the size that the graph names."""
        values = {name: cast("Tensor", getattr(self, number)) for name, number in self._numbers.items()}
        values[self.graph.inputs[0]] = images
        for step in self.graph.steps:
            given = [values[name] for name in step.inputs]
            values[step.outputs[0]] = STEPS[step.operation](step, given, self.graph.shapes[step.outputs[0]])
        return values[self.graph.outputs[0]]


Shape = tuple[int, ...]


def _convolution(step: TfliteStep, given: list[Tensor], _shape: Shape) -> Tensor:
    images, weight, bias = given
    return functional.conv2d(_padded(step, images, weight.shape[1:3]), weight.permute(0, 3, 1, 2), bias, step.strides)


def _depthwise(step: TfliteStep, given: list[Tensor], _shape: Shape) -> Tensor:
    images, weight, bias = given
    kernel = weight.permute(3, 0, 1, 2)
    padded = _padded(step, images, weight.shape[1:3])
    return functional.conv2d(padded, kernel, bias, step.strides, groups=images.shape[1])


def _padded(step: TfliteStep, images: Tensor, kernel: tuple[int, ...]) -> Tensor:
    """With zeros around it, so that the size is divided by the strides; the larger part is below and on the right."""
    if not step.is_padded:
        return images
    sides: list[int] = []
    for size, length, stride in reversed(list(zip(images.shape[2:], kernel, step.strides, strict=True))):
        total = max(0, (-(-size // stride) - 1) * stride + length - size)
        sides += [total // 2, total - total // 2]
    return functional.pad(images, sides)


def _transposed(_step: TfliteStep, given: list[Tensor], _shape: Shape) -> Tensor:
    images, weight, bias = given
    stride = (weight.shape[1], weight.shape[2])
    return functional.conv_transpose2d(images, weight.permute(3, 0, 1, 2), bias, stride)


def _mean(_step: TfliteStep, given: list[Tensor], shape: Shape) -> Tensor:
    if shape[1:3] != (1, 1):
        raise WeightsError(f"a pool to {shape[1]} x {shape[2]} pixels is not known, only one over the whole map")
    return given[0].mean((2, 3), keepdim=True)


def _resized(_step: TfliteStep, given: list[Tensor], shape: Shape) -> Tensor:
    return functional.interpolate(given[0], (shape[1], shape[2]), mode="bilinear", align_corners=False)


STEPS: Mapping[str, Callable[[TfliteStep, list[Tensor], Shape], Tensor]] = {
    "ADD": lambda _, given, __: given[0] + given[1],
    "MUL": lambda _, given, __: given[0] * given[1],
    "RELU": lambda _, given, __: functional.relu(given[0]),
    "HARD_SWISH": lambda _, given, __: functional.hardswish(given[0]),
    "LOGISTIC": lambda _, given, __: torch.sigmoid(given[0]),
    "DEQUANTIZE": lambda _, given, __: given[0].float(),
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "AVERAGE_POOL_2D": _mean,
    "RESIZE_BILINEAR": _resized,
    TRANSPOSED: _transposed,
}
"""What each operation does."""
