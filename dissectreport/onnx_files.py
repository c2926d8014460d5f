"""Networks as ONNX files, for programs that have no torch: exported, made small, and run here to compare them.

exported = export(network, {"latent": z}, ["image"], "the generator")
image = OnnxNetwork(exported.content)({"latent": z.numpy()})[0]
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dissectreport.errors import ExportError

OPSET = 20
SMALLEST = 64
"""Weights of fewer numbers stay as they are."""
HALF_LIMIT = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Exported:
    """A network as an ONNX file."""

    content: bytes
    inputs: tuple[str, ...]
    """The inputs that the network really uses."""


def export(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], what: str) -> Exported:
    """The module as an ONNX file that takes inputs of these names and shapes.

    Weights are kept in half precision, and computed with in single precision. The same weights give the same bytes.
    Raises an ExportError that begins with `what` and names the operation that has no form in ONNX.
    """
    with _quiet():
        try:
            module.eval()(*inputs.values())  # What it computes once and keeps must not be made while it is traced.
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                verbose=False,
                input_names=list(inputs),
                output_names=list(outputs),
                opset_version=OPSET,
            )
        except Exception as error:
            raise ExportError(f"{what} cannot be exported: {_reason(error)}") from error
    assert program is not None, "the exporter returns what it exported"
    return _reduced(program.model_proto)


@contextmanager
def _quiet() -> Iterator[None]:
    """While the block runs, the exporter's log and warnings are not shown; it raises what went wrong."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def _reason(error: BaseException) -> str:
    """What the exporter could not do, in one line: the operation, where it names one."""
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    operation = next(filter(None, (re.search(r"op='([\w.:]+)'", str(cause)) for cause in causes)), None)
    if operation is not None:
        return f"ONNX has no form of the operation {operation[1]}"
    line = next(filter(None, (line.strip() for line in str(causes[-1]).splitlines())), "")
    return f"torch cannot trace it ({type(causes[-1]).__name__}: {line[:160]})"


def _reduced(model: Any) -> Exported:
    """The model without notes about its source, without unused inputs, and with small weights."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    _keep(graph.input, [one for one in graph.input if one.name in used])
    _keep(graph.initializer, [one for one in graph.initializer if one.name in used])
    casts = [cast for weight in graph.initializer for cast in _shrink(weight)]
    _keep(graph.node, [*casts, *graph.node])
    return Exported(model.SerializeToString(deterministic=True), tuple(one.name for one in graph.input))


def _keep(field: Any, values: Sequence[Any]) -> None:
    kept = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(kept)


def _shrink(weight: Any) -> Iterator[Any]:
    """Store a weight in fewer bytes under another name; gives the node that makes the weight of it."""
    from onnx import helper, numpy_helper

    values = numpy_helper.to_array(weight)
    smaller = _smaller(values)
    if values.size < SMALLEST or smaller is None:
        return
    name, kind = weight.name, weight.data_type
    weight.CopyFrom(numpy_helper.from_array(smaller, f"{name}.small"))
    yield helper.make_node("Cast", [f"{name}.small"], [name], to=kind)


def _smaller(values: NDArray[Any]) -> NDArray[Any] | None:
    if values.dtype == np.float32 and np.abs(values).max(initial=0) < HALF_LIMIT:
        return values.astype(np.float16)
    if values.dtype == np.int64 and values.min(initial=0) >= 0 and values.max(initial=0) < 256:
        return values.astype(np.uint8)
    return None


class OnnxNetwork:
    """An ONNX file as a function, computed on one thread of the processor."""

    def __init__(self, content: bytes) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs; inputs that the network does not use are ignored."""
        names = [one.name for one in self._session.get_inputs()]
        return list(self._session.run(None, {name: np.ascontiguousarray(inputs[name]) for name in names}))
