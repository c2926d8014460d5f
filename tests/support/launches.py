"""What an accelerator would be asked to do, counted on the processor, and how often the program would wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dissectreport.segmenters import unet
from dissectreport.worker import binning, counting, whole_counts

VIEWS = {
    *("view", "_unsafe_view", "reshape", "transpose", "permute", "expand", "slice", "select", "unsqueeze", "squeeze"),
    *("detach", "alias", "as_strided", "split", "unbind", "empty", "empty_like", "new_empty", "lift_fresh", "unfold"),
}
"""Operations that start nothing on an accelerator."""
WAITS = {"_local_scalar_dense", "nonzero", "bincount", "_unique2", "masked_select", "equal"}
"""Operations whose result the program needs before it can go on, besides copies."""
COPIES = ("cpu", "tolist")


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts launches and waits."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launches, self.waits = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.overloadpacket.__name__
        self.launches += name not in VIEWS
        self.waits += name in WAITS
        return func(*args, **(kwargs or {}))


def as_on_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting and labelling take the way that they take on an accelerator."""
    for module in (binning, counting, whole_counts):
        monkeypatch.setattr(module, "is_processor", lambda device: False)
    monkeypatch.setattr(unet, "images_together", len)


def counting_copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one with every copy of a tensor for which the program waits."""
    copies: list[str] = []
    for name in COPIES:
        method = getattr(torch.Tensor, name)

        def counting(tensor: torch.Tensor, method=method, name=name) -> object:  # type: ignore[no-untyped-def]
            copies.append(name)
            return method(tensor)

        monkeypatch.setattr(torch.Tensor, name, counting)
    return copies


@contextmanager
def operations(monkeypatch: pytest.MonkeyPatch) -> Iterator[Operations]:
    """Counts the launches and waits of what is done inside, copies included."""
    with monkeypatch.context() as patch:
        copies = counting_copies(patch)
        with Operations() as counted:
            yield counted
        counted.waits += len(copies)
