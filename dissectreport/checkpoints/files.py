"""Read tensors from files of weights: .safetensors, .pth of torch.save (old and new), .npz of named arrays.

    read_tensors(Path("church.pth"), sha256="7e701dd5")     # {name: tensor}, in single precision
    read_checkpoint(Path("stylegan2.pt")).content["g_ema"]  # a file that holds several networks

No code is ever unpickled. What a file is, is told from its bytes; whatever cannot be read is refused in one line.
"""

from __future__ import annotations

import argparse
import json
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

from dissectreport.checkpoints import pickles
from dissectreport.checkpoints.looks import digest_of, look_at
from dissectreport.errors import WeightsError

CURE = "give the file of weights itself"
STATE_DICT = "in the program that wrote it, torch.save(network.state_dict(), 'weights.pth') writes the weights alone"
HARMLESS = re.compile(
    r"collections\.OrderedDict|torch\.([A-Z]\w+|b?float\d*|u?int\d+|bool|device)|torch\._(utils|tensor)\.\w+"
    r"|torch\.nn\.parameter\.\w+|torch\.storage\.[A-Z]\w+"
    r"|argparse\.Namespace|numpy\.dtype|numpy\.dtypes\.\w+|numpy\._?core\.multiarray\.scalar"
)
"""What a plain table of tensors, options and numbers is made of."""
_NUMBER: Any = np.float64(0).__reduce__()[0]
"""What numpy makes a number of, from its type and bytes."""
PLAIN: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(kind)) for kind in "?" + np.typecodes["AllInteger"] + np.typecodes["Float"]),
    *((_NUMBER, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
"""Options and numbers that training programs keep beside their weights: data that torch does not know by itself."""
TENSORFLOW = ("dnnlib.tflib.", "tfutil.")
NVIDIA = ("torch_utils.persistence.", "training.networks", "dnnlib.")


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds, and which file it is."""

    path: Path
    sha256: str
    """The whole digest, in lower case."""
    content: Mapping[str, Any]
    """As it was saved: tensors by name, or tables of them, and numbers."""


def read_tensors(path: Path, sha256: str = "", cure: str = CURE) -> dict[str, Tensor]:
    """The tensors of a file that holds one network, by name."""
    return tensors_of(read_checkpoint(path, sha256, cure).content)


def read_checkpoint(path: Path, sha256: str = "", cure: str = CURE) -> Checkpoint:
    """Everything in a file whose SHA-256, or the first digits of it, is `sha256` where that is known.

    `cure` is what a person can do about a file that is broken or another one.
    """
    kind = look_at(path, cure)
    found = digest_of(path)
    if not found.startswith(sha256.lower()):
        raise WeightsError(
            f"{path} is not the file that its card describes (SHA-256 {found[:12]}…, not {sha256[:12]}…): "
            f"it was changed or cut short, or is another; {cure}"
        )
    if path.suffix == ".safetensors" and kind != "safetensors":
        raise WeightsError(f"{path} is no safetensors file, although it is named so; {cure}")
    if kind not in READERS:
        raise WeightsError(f"{path} is of no kind that can be read (.safetensors, .pth of torch.save, .npz); {cure}")
    content = READERS[kind](path, cure)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a table of tensors; {STATE_DICT}")
    return Checkpoint(path, found, content)


def read_card(path: Path, cure: str) -> dict[str, Any]:
    """What is written about weights in the JSON file beside them; `sha256` is that of their file."""
    try:
        card = json.loads(path.read_bytes())
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}; {cure}") from problem
    except ValueError as problem:
        raise WeightsError(
            f"{path} is not JSON ({problem}), so it gives no sha256 for its weights; {cure}"
        ) from problem
    if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
        raise WeightsError(f"{path} gives no sha256 for its weights; {cure}")
    return card


def tensors_of(content: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of one network, by name, those that are no whole numbers in single precision.

    A table under the name `state_dict` is taken for the whole.
    """
    inner = content.get("state_dict", content)
    if not isinstance(inner, Mapping):
        raise WeightsError(f"no weights: 'state_dict' is a {type(inner).__name__}; it should be a table of tensors")
    for name, value in inner.items():
        if not isinstance(value, Tensor):
            raise WeightsError(f"no weights: {name!r} is a {type(value).__name__}; it should be a tensor")
    return {str(name): _single(value.detach()) for name, value in inner.items()}


def _single(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _safetensors(path: Path, cure: str) -> object:
    try:
        return load_file(path)
    except SafetensorError as problem:
        raise WeightsError(f"{path} is no safetensors file, or was cut short ({problem}); {cure}") from problem


def _zip(path: Path, cure: str) -> object:
    if not zipfile.is_zipfile(path):
        raise WeightsError(f"{path} was cut short: the directory at its end is missing; {cure}")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    inner = {name.rpartition("/")[2] for name in names}
    if names and all(name.endswith(".npy") for name in names):
        return _arrays(path, cure)
    if "constants.pkl" in inner:
        raise WeightsError(f"{path} holds a program (TorchScript), not weights alone; {STATE_DICT}")
    if "data.pkl" in inner:
        return _saved_by_torch(path, cure, lambda: _entry(path, "data.pkl"))
    raise WeightsError(f"{path} is a zip archive of other files: unpack it, and give the file of weights in it")


def _entry(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(each for each in archive.namelist() if each.rpartition("/")[2] == name))


def _pickle(path: Path, cure: str) -> object:
    return _saved_by_torch(path, cure, path.read_bytes)


def _saved_by_torch(path: Path, cure: str, read: Callable[[], bytes]) -> object:
    """What torch.save wrote; the pickle that `read` gives is only looked at, to say why it is refused."""
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(PLAIN):
            warnings.simplefilter("ignore")  # It warns of pickles that are not its own, which are refused anyway.
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # Whatever damage leads to: torch promises no kind of error.
        names = _unsafe(read)
        if names:
            raise WeightsError(_refusal(path, names)) from problem
        line = str(problem).strip().partition("\n")[0][:120]
        raise WeightsError(f"{path} is damaged, or was cut short ({line}); {cure}") from problem


def _unsafe(read: Callable[[], bytes]) -> list[str]:
    """What a pickle would import beside what tensors are made of; nothing where not even that can be told."""
    try:
        names = pickles.wanted(read())
    except (OSError, zipfile.BadZipFile):
        return []
    return [name for name in names if not HARMLESS.fullmatch(name)]


def _refusal(path: Path, names: list[str]) -> str:
    """Why a pickle that would import these is not loaded, and what would do."""
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
        return f"{path} holds a whole network ({names[0]}) as Python objects, which are not unpickled; {STATE_DICT}"
    return f"{path} wants to run {names[0]}, and code in weights is never run; {STATE_DICT}"


def _arrays(path: Path, cure: str) -> object:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as problem:
        raise WeightsError(f"{path} holds something that is no array of numbers ({problem}); {cure}") from problem


READERS: Mapping[str, Callable[[Path, str], object]] = {"safetensors": _safetensors, "zip": _zip, "pickle": _pickle}
