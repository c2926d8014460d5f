"""A network as an ONNX file.

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

import torch
from torch import Tensor, nn

from dissectreport.errors import ExportError, check_machine
from dissectreport.onnx_files.operations import translations
from dissectreport.onnx_files.rewriting import rewrite
from dissectreport.onnx_files.small_weights import replace_values

OPSET = 20


@dataclass(frozen=True)
class Exported:
    """A network as an ONNX file."""

    content: bytes
    inputs: tuple[str, ...]
    """The inputs that the network really uses."""


def export(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], what: str) -> Exported:
    """The module as an ONNX file that takes inputs of these names and shapes.

    Weights are in single precision. The same weights give the same bytes.
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
                custom_translation_table=dict(translations()),
            )
        except Exception as error:
            check_machine(error)
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
    """The model in faster operations, without notes about its source, and without unused inputs."""
    rewrite(model)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    replace_values(graph.input, [one for one in graph.input if one.name in used])
    return Exported(model.SerializeToString(deterministic=True), tuple(one.name for one in graph.input))
