"""Tensors of every family in shapes that no network of it has: one clear line, whatever the family's code expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.checkpoints.stylegan_pickles import PickledNetwork
from dissectreport.errors import WeightsError
from dissectreport.models.families.base import NetworkTensors, Sampling
from dissectreport.models.families.dcgan import DCGAN
from dissectreport.models.families.opening import open_found
from dissectreport.models.families.recognition import find

FOLDER = Path(__file__).parent / "fixtures" / "families"
FILES = {
    "stylegan2ada_32.pkl": "G_ema",
    "stylegan3t_32.pkl": "G_ema",
    "rosinality_train_32.pt": "g_ema",
    "biggan_ajbrock_G_ema.pth": "",
}
Weights = dict[str, Tensor]


def tensors_of(file: str) -> Weights:
    """The tensors of the network in a fixture."""
    content = open_model_file(FOLDER / file).content
    part = content[FILES[file]] if FILES[file] else content
    return dict(part.tensors if isinstance(part, PickledNetwork) else part)


def largest(tensors: Mapping[str, Tensor]) -> str:
    """The name of the largest tensor."""
    return max(tensors, key=lambda name: tensors[name].numel())


def changed(tensors: Weights, change: Callable[[Tensor], Tensor]) -> Weights:
    """The tensors with another largest one."""
    return {**tensors, largest(tensors): change(tensors[largest(tensors)])}


CHANGES: dict[str, Callable[[Weights], Weights]] = {
    "flat": lambda tensors: {name: value.flatten() for name, value in tensors.items()},
    "numbers": lambda tensors: {name: torch.tensor(1.0) for name in tensors},
    "turned": lambda tensors: {n: v.transpose(0, 1) if v.ndim > 1 else v for n, v in tensors.items()},
    "one is empty": lambda tensors: changed(tensors, lambda value: value[:0]),
    "one is flat": lambda tensors: changed(tensors, torch.Tensor.flatten),
    "one is too short": lambda tensors: changed(tensors, lambda value: value[:-1]),
    "the first half": lambda tensors: dict(list(tensors.items())[: len(tensors) // 2]),
    "the second half": lambda tensors: dict(list(tensors.items())[len(tensors) // 2 :]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("file", FILES)
def test_what_does_not_fit_is_one_clear_line(file: str, change: str, tmp_path: Path) -> None:
    torch.save(CHANGES[change](tensors_of(file)), tmp_path / "odd.pt")
    with pytest.raises(WeightsError, match=r"does not fit: |of no known family") as refused:
        open_found(find(open_model_file(tmp_path / "odd.pt")), Sampling())
    assert "\n" not in str(refused.value)
    assert "do not fit each other" not in str(refused.value), "the family itself says what is wrong"


def test_code_of_a_family_that_fails_is_one_line_too(tmp_path: Path) -> None:
    found = find(open_model_file(FOLDER / "biggan_ajbrock_G_ema.pth"))

    def failing(tensors: NetworkTensors, sampling: Sampling) -> DCGAN:
        raise RuntimeError("shape '[1, 4]' is invalid\nfor input of size 3")

    odd = replace(found, family=replace(found.family, make=failing))
    with pytest.raises(WeightsError, match=r"do not fit each other \(shape '\[1, 4\]' is invalid\)") as refused:
        open_found(odd, Sampling())
    assert "\n" not in str(refused.value)
