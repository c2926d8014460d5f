"""Read weight files: .safetensors, .pth of torch.save (old and new format), .npz of named arrays.

    read_tensors(Path("church.pth"), sha256="7e701dd5")     # {name: tensor}, floating-point tensors as float32
    read_checkpoint(Path("stylegan2.pt")).content["g_ema"]  # a file with several networks

Weights are data: no code in a file is ever run. The format is recognised by the bytes of a file, not by its name. A
file that cannot be read raises a WeightsError of one line.
"""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dissectreport import files
from dissectreport.checkpoints import pickles
from dissectreport.checkpoints.file_type import checked_file_type
from dissectreport.errors import WeightsError
from dissectreport.structured import read_json

REMEDY = "give the file of weights itself"
"""What a user can do about a file that cannot be read, unless the caller knows better."""
STATE_DICT = "in the program that wrote it, torch.save(network.state_dict(), 'weights.pth') writes the weights alone"
HARMLESS = re.compile(
    r"collections\.OrderedDict|torch\.([A-Z]\w+|b?float\d*|u?int\d+|bool|device)|torch\._(utils|tensor)\.\w+"
    r"|torch\.nn\.parameter\.\w+|torch\.storage\.[A-Z]\w+"
    r"|argparse\.Namespace|numpy\.dtype|numpy\.dtypes\.\w+|numpy\._?core\.multiarray\.scalar"
)
"""Names that a pickle of tensors, options and numbers imports."""
_NUMBER: Any = np.float64(0).__reduce__()[0]
"""The function that numpy calls when it unpickles a number."""
PLAIN: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(kind)) for kind in "?" + np.typecodes["AllInteger"] + np.typecodes["Float"]),
    *((_NUMBER, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
"""Options and numbers that training programs save with weights, and that torch does not allow by default."""
TENSORFLOW = ("dnnlib.tflib.", "tfutil.")
NVIDIA = ("torch_utils.persistence.", "training.networks", "dnnlib.")


@dataclass(frozen=True)
class Checkpoint:
    """The content of a weight file."""

    path: Path
    sha256: str
    """All 64 digits, in lower case."""
    content: Mapping[str, Any]
    """As it was saved: tensors by name, nested tables of them, numbers and options."""


def read_tensors(path: Path, sha256: str = "", remedy: str = REMEDY) -> dict[str, Tensor]:
    """The tensors of a file with one network, by name; see `tensors_of`."""
    return tensors_of(read_checkpoint(path, sha256, remedy).content)


def read_checkpoint(path: Path, sha256: str = "", remedy: str = REMEDY) -> Checkpoint:
    """The content of a weight file.

    `sha256` is its expected SHA-256, or the first digits of it; '' if unknown. A WeightsError about a damaged or wrong
    file ends with `remedy`.
    """
    kind = checked_file_type(path, remedy)
    digest = files.sha256(path, links=True)
    if not digest.startswith(sha256.lower()):
        raise WeightsError(
            f"{path} is not the file that its card describes (SHA-256 {digest[:12]}…, not {sha256[:12]}…): "
            f"it was changed or truncated, or is another file; {remedy}"
        )
    if path.suffix == ".safetensors" and kind != "safetensors":
        raise WeightsError(f"{path} is not a safetensors file, although its name says so; {remedy}")
    if kind not in READERS:
        raise WeightsError(f"{path} has no format that can be read (.safetensors, .pth of torch.save, .npz); {remedy}")
    content = READERS[kind](path, remedy)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} contains a {type(content).__name__} instead of a table of tensors; {STATE_DICT}")
    return Checkpoint(path, digest, content)


def read_card(path: Path, remedy: str) -> dict[str, Any]:
    """The card of a weight file: the JSON file of the same name, with at least the weight file's `sha256`."""
    try:
        card = read_json(path)
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}; {remedy}") from problem
    except ValueError as problem:
        raise WeightsError(
            f"{path} is not JSON ({problem}), so it gives no sha256 for its weights; {remedy}"
        ) from problem
    if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
        raise WeightsError(f"{path} gives no sha256 for its weights; {remedy}")
    return card


def tensors_of(content: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of one network, by name; floating-point tensors are converted to float32.

    If the content has a table `state_dict`, its tensors are meant.
    """
    inner = content.get("state_dict", content)
    if not isinstance(inner, Mapping):
        raise WeightsError(f"no weights: 'state_dict' is a {type(inner).__name__}; it should be a table of tensors")
    for name, value in inner.items():
        if not isinstance(value, Tensor):
            raise WeightsError(f"no weights: {name!r} is a {type(value).__name__}; it should be a tensor")
    return {str(name): _as_float32(value.detach()) for name, value in inner.items()}


def _as_float32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _safetensors(path: Path, remedy: str) -> object:
    try:
        return load_file(path)
    except SafetensorError as problem:
        raise WeightsError(f"{path} is not a safetensors file, or was truncated ({problem}); {remedy}") from problem


def _zip(path: Path, remedy: str) -> object:
    if not zipfile.is_zipfile(path):
        raise WeightsError(f"{path} was truncated: the directory at its end is missing; {remedy}")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    inner = {name.rpartition("/")[2] for name in names}
    if names and all(name.endswith(".npy") for name in names):
        return _arrays(path, remedy)
    if "constants.pkl" in inner:
        raise WeightsError(f"{path} contains a program (TorchScript), not only weights; {STATE_DICT}")
    if "data.pkl" in inner:
        return _saved_by_torch(path, remedy, lambda: _entry(path, "data.pkl"))
    raise WeightsError(f"{path} is a zip archive of other files: unpack it, and give the file of weights in it")


def _entry(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(entry for entry in archive.namelist() if entry.rpartition("/")[2] == name))


def _pickle(path: Path, remedy: str) -> object:
    return _saved_by_torch(path, remedy, path.read_bytes)


def _saved_by_torch(path: Path, remedy: str, read: Callable[[], bytes]) -> object:
    """What torch.save wrote. `read` returns the bytes of the pickle, which are only inspected, to explain a failure."""
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(PLAIN):
            warnings.simplefilter("ignore")  # It warns of pickles by other programs, which fail anyway.
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # torch documents no type of error for damaged files.
        names = _unsafe(read)
        if names:
            raise WeightsError(_refusal(path, names)) from problem
        line = str(problem).strip().partition("\n")[0][:120]
        raise WeightsError(f"{path} is damaged, or was truncated ({line}); {remedy}") from problem


def _unsafe(read: Callable[[], bytes]) -> list[str]:
    """What a pickle would import besides tensors, options and numbers; nothing if the pickle cannot be parsed."""
    try:
        names = pickles.imported_names(read())
    except (OSError, zipfile.BadZipFile):
        return []
    return [name for name in names if not HARMLESS.fullmatch(name)]


def _refusal(path: Path, names: list[str]) -> str:
    """Why a pickle that imports these names is not loaded, and what to do instead."""
    if any(name.startswith(TENSORFLOW) for name in names):
        return (
            f"{path} is a pickled network of NVIDIA's TensorFlow code ({names[0]}), which is not unpickled; load it in "
            "its own repository, and numpy.savez('weights.npz', **{name: v.eval() for name, v in Gs.vars.items()})"
        )
    if any(name.startswith(NVIDIA) for name in names):
        return (
            f"{path} is a pickled network of NVIDIA's StyleGAN code ({names[0]}), which is not unpickled; in its own "
            "repository load it with legacy.load_network_pkl, and torch.save(data['G_ema'].state_dict(), 'weights.pth')"
        )
    if any(name.startswith("torch.nn.modules.") for name in names):
        return f"{path} contains a whole network ({names[0]}) as Python objects, which are not unpickled; {STATE_DICT}"
    return f"{path} would run {names[0]} when it is loaded; code in weight files is never run; {STATE_DICT}"


def _arrays(path: Path, remedy: str) -> object:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as problem:
        raise WeightsError(f"{path} contains something other than arrays of numbers ({problem}); {remedy}") from problem


READERS: Mapping[str, Callable[[Path, str], object]] = {"safetensors": _safetensors, "zip": _zip, "pickle": _pickle}
