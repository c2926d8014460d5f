"""Open a file or a folder that somebody calls a model: pickles of NVIDIA's programs, and all other weight files.

opened = open_model_file(Path("ffhq.pkl"))
opened.content["G_ema"]            # a PickledNetwork; in other files a table of tensors
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dissectreport.checkpoints.file_type import checked_file_type
from dissectreport.checkpoints.stylegan_pickles import is_stylegan_pickle, read_networks
from dissectreport.checkpoints.weight_files import REMEDY, checked_sha256, read_checkpoint
from dissectreport.errors import WeightsError
from dissectreport.run.addresses import CONFIG
from dissectreport.structured import Malformed, read_json

WEIGHTS = (
    "pytorch_model.bin",
    "model.safetensors",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
)
"""The files of weights that a folder with a config.json may have."""


@dataclass(frozen=True)
class ModelFile:
    """What a file or folder of weights holds."""

    path: Path
    """The file of weights."""
    sha256: str
    content: Mapping[str, Any]
    """Tensors by name, tables of them, or networks."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The content of the config.json beside it; {} if there is none."""


def open_model_file(path: Path, sha256: str = "", remedy: str = REMEDY) -> ModelFile:
    """What a file holds, or a folder with a config.json; a WeightsError if it cannot be read.

    `sha256` is the file's expected SHA-256, or the first digits of it; '' if unknown.
    """
    file = _weights_in(path) if path.is_dir() else path
    config = _config_beside(file)
    if checked_file_type(file, remedy) == "pickle" and is_stylegan_pickle(file):
        digest = checked_sha256(file, sha256, remedy)
        return ModelFile(file, digest, read_networks(file, remedy), config)
    checkpoint = read_checkpoint(file, sha256, remedy)
    return ModelFile(file, checkpoint.sha256, checkpoint.content, config)


def _weights_in(folder: Path) -> Path:
    """The file of weights in a folder with a config.json."""
    there = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    if not there:
        raise WeightsError(f"the folder {folder} has none of {', '.join(WEIGHTS)}; give the file of weights itself")
    return there[0]


def _config_beside(file: Path) -> Mapping[str, Any]:
    """The content of config.json, or of NAME-config.json where the weights are NAME-pytorch_model.bin."""
    for name in WEIGHTS:
        beside = file.with_name(file.name.replace(name, CONFIG))
        if file.name.endswith(name) and beside.is_file():
            return _read_config(beside)
    return {}


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except (OSError, Malformed) as problem:
        raise WeightsError(f"{path} cannot be read: {problem}") from problem
    if not isinstance(content, dict):
        raise WeightsError(f"{path} is no table of settings")
    return content
