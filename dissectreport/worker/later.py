"""Results that stay on an accelerator until a piece of work ends, which then waits for it once."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Use = Callable[[NDArray[Any]], object]


class Later:
    """Tensors that are copied from the device together, when the block ends, and then used in the order of `take`.

    Some are results and some are checks. If the block fails, what was taken before is used first: an earlier problem
    may be the reason for a later one.

    with Later() as later:
        for batch in batches:
            later.take(pixels_of(batch), rows.append)
    """

    def __init__(self) -> None:
        self._taken: list[tuple[Tensor | None, Use]] = []

    def take(self, values: Tensor, use: Use) -> None:
        """Give `use` the values once they are here."""
        self._taken.append((values.detach().contiguous(), use))

    def then(self, act: Callable[[], object]) -> None:
        """Do something once all that was taken before is here and was used."""
        self._taken.append((None, lambda _: act()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is None or issubclass(kind, Exception):
            self._arrive()

    def _arrive(self) -> None:
        taken, self._taken = self._taken, []
        there = [values.reshape(-1).view(torch.uint8) for values, _ in taken if values is not None]
        here, first = torch.cat(there).cpu().numpy().tobytes() if there else b"", 0
        for values, use in taken:
            if values is None:
                use(NOTHING)
                continue
            kind = TYPES[values.dtype]
            use(np.frombuffer(here, kind, values.numel(), first).reshape(tuple(values.shape)).copy())
            first += values.numel() * np.dtype(kind).itemsize


NOTHING = np.zeros(0)

TYPES: dict[torch.dtype, type[np.generic]] = {
    torch.bool: np.bool_,
    torch.int64: np.int64,
    torch.int32: np.int32,
    torch.float32: np.float32,
}
"""Types of what can be taken."""
