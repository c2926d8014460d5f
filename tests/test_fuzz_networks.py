"""Files of networks, and what lies beside them: whatever they hold, a value or one error of one line."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from torch import Tensor, nn

from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.checkpoints.shards import parts_of
from dissectreport.checkpoints.tflite import read_tflite
from dissectreport.checkpoints.weight_files import read_card, read_checkpoint
from dissectreport.models.families import loading
from dissectreport.models.inverted import FORMAT, read_inverted
from dissectreport.models.planted import load as planted
from dissectreport.segmenters.tflite_network import TfliteNetwork
from tests.support.fuzzing import Reader, repacked, tried, try_reader
from tests.support.mutations import NASTY, changed, changed_json, damaged
from tests.support.tflite_files import written

DEEP = Path(__file__).parent / "fixtures" / "families" / "biggan_deep_hf"


def saved(save: Callable[[Path], object], folder: Path) -> bytes:
    """The bytes of a file that a function writes."""
    path = folder / "saved"
    save(path)
    return path.read_bytes()


# --- programs and pickles -------------------------------------------------------------------------------------------


def small_network() -> nn.Sequential:
    """The generator of a DCGAN of 8 x 8 pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.ConvTranspose2d(4, 6, 4, bias=False), nn.BatchNorm2d(6), nn.ReLU()),
            *(nn.ConvTranspose2d(6, 3, 4, 2, 1, bias=False), nn.Tanh()),
        )


def script() -> bytes:
    """A program of TorchScript."""
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(small_network()), stream)
    return stream.getvalue()


class Call:
    """What a pickle calls when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.made = function, arguments

    def __reduce__(self) -> Any:
        """The call."""
        return self.made


def nvidia_pickle() -> bytes:
    """A small network as NVIDIA's programs pickle it."""
    name = "_reconstruct_persistent_obj"
    modules = {name: types.ModuleType(name) for name in ("torch_utils", "torch_utils.persistence")}
    function = types.FunctionType((lambda meta: meta).__code__, globals(), name)
    function.__module__, function.__qualname__ = "torch_utils.persistence", name
    setattr(modules["torch_utils.persistence"], name, function)
    state: dict[str, Any] = {"_parameters": {"weight": nn.Parameter(torch.ones(2, 3))}, "_buffers": {}, "_modules": {}}
    state["_init_kwargs"] = {"z_dim": 4, "size": np.array([1, 2])}
    meta = {"type": "class", "version": 6, "module_src": "", "class_name": "Generator", "state": state}
    with patch.dict(sys.modules, modules):
        return pickle.dumps({"training_set_kwargs": None, "G_ema": Call(function, meta)}, 4)


# --- tensors that are nearly those of a known network ---------------------------------------------------------------


@st.composite
def odd_tensors(draw: DrawFn) -> bytes:
    """The weights of a small network in which some tensors have other names, sizes or types."""
    tensors = {f"main.{name}": value for name, value in small_network().state_dict().items()}
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(tensors)))
        value = tensors.pop(name)
        new = draw(st.sampled_from((name, name.replace("0", "1"), f"module.{name}", *NASTY)))
        tensors[new] = draw(st.sampled_from(CHANGES))(value)
    stream = io.BytesIO()
    torch.save(draw(st.sampled_from((tensors, {"state_dict": tensors}, {"g": tensors, "step": 3}))), stream)
    return stream.getvalue()


CHANGES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda value: value,
    lambda value: value[..., :1].clone() if value.ndim else value,
    lambda value: value.reshape(-1)[:0].clone(),
    lambda value: value.reshape(-1)[0].clone(),
    lambda value: value[None].clone(),
    lambda value: value.to(torch.complex64),
    lambda value: value.to(torch.int64),
    lambda value: value * torch.nan,
    lambda value: value.half(),
    lambda value: value.expand(7, *value.shape),
    lambda value: value.double().to_sparse() if value.ndim else value,
    lambda value: value.to("meta"),
)
"""What happens to a tensor."""


def open_network(path: Path) -> None:
    """The generator in a checkpoint, sampled once."""
    generator = loading.load(path)
    with torch.no_grad():
        generator(torch.zeros(1, *generator.latent_shape))


# --- tables beside weights ------------------------------------------------------------------------------------------

PARTS = {
    "metadata": {"total_size": 4},
    "weight_map": {"a": "model-00001-of-00002.bin", "b": "model-00002-of-00002.bin"},
}
CARD = {"sha256": "ab" * 32, "licence": "MIT", "facts": {"fid": 3.5}}
CONFIG = json.loads((DEEP / "config.json").read_text())


def open_with_config(path: Path) -> None:
    """A network whose settings stand in a file beside it."""
    for weights in (file for file in DEEP.iterdir() if file.name != "config.json"):
        shutil.copy(weights, path.parent / weights.name)
    loading.load(path.parent)


@st.composite
def odd_photos(draw: DrawFn) -> bytes:
    """The file of an inverted photo whose table of tensors is changed."""
    header = {
        "__metadata__": {"format": FORMAT, "model": "planted", "identity": "i"},
        "latent": {"dtype": "F32", "shape": [1, 4], "data_offsets": [0, 16]},
        "photo": {"dtype": "U8", "shape": [2, 2, 3], "data_offsets": [16, 28]},
        "residual.features": {"dtype": "F32", "shape": [1], "data_offsets": [28, 32]},
    }
    content = json.dumps(draw(changed(header))).encode()
    return len(content).to_bytes(8, "little") + content + draw(st.binary(min_size=32, max_size=32))


def use_photo(path: Path) -> None:
    """The photo, on a generator of other weights too."""
    photo = read_inverted(path)
    with photo.on(planted(), other_weights=True):
        pass
    with photo.on(planted()):
        pass


READERS = (
    Reader("program.pt", st.deferred(lambda: repacked(script())), read_checkpoint),
    Reader("network.pkl", st.deferred(lambda: damaged(nvidia_pickle())), open_model_file),
    Reader("network.pth", odd_tensors(), open_network),
    Reader("model.bin.index.json", changed_json(PARTS), parts_of),
    Reader("card.json", changed_json(CARD), partial(read_card, remedy="download it again")),
    Reader("deep/config.json", changed_json(CONFIG), open_with_config),
    Reader("photo.safetensors", odd_photos(), use_photo),
)


@tried(READERS)
@given(data=st.data())
def test_a_file_of_a_network(reader: Reader, tmp_path: Path, data: st.DataObject) -> None:
    try_reader(reader, tmp_path, data.draw(reader.contents))


def tflite(folder: Path) -> SearchStrategy[bytes]:
    """A damaged TensorFlow Lite file."""
    return damaged(saved(written, folder))


TFLITE = (Reader("network.tflite", st.nothing(), lambda path: TfliteNetwork(read_tflite(path))),)


@tried(TFLITE)
@given(data=st.data())
def test_a_tensorflow_lite_file(reader: Reader, tmp_path: Path, data: st.DataObject) -> None:
    try_reader(reader, tmp_path, data.draw(tflite(tmp_path)))
