"""An ONNX file as a function, to compare it with the network that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.errors import ExportError, check_machine


class OnnxNetwork:
    """An ONNX file as a function, computed on one thread of the processor.

    Raises an ExportError if ONNX Runtime does not have one of its operations.
    """

    def __init__(self, content: bytes) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = _tried(lambda: InferenceSession(content, options, providers=["CPUExecutionProvider"]))

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs; inputs that the network does not use are ignored."""
        names = [one.name for one in self._session.get_inputs()]
        given = {name: np.ascontiguousarray(inputs[name]) for name in names}
        return list(_tried(lambda: self._session.run(None, given)))


def _tried(work: Callable[[], Any]) -> Any:
    """The result of the runtime; an ExportError where it fails."""
    try:
        return work()
    # The runtime has a class of errors for each code, all of them right below Exception.
    except Exception as error:
        check_machine(error)
        raise ExportError(f"ONNX Runtime cannot run it: {str(error).splitlines()[0][:160]}") from error
