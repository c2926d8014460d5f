"""Open a file or a folder that somebody calls a model: pickles of NVIDIA's programs, and all other weight files.

opened = open_model_file(Path("ffhq.pkl"))
opened.content["G_ema"]            # a PickledNetwork; in other files a table of tensors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dissectreport.checkpoints.file_type import REMEDY, checked_file_type
from dissectreport.checkpoints.names import first_of
from dissectreport.checkpoints.shards import parts_of
from dissectreport.checkpoints.stylegan_pickles import is_stylegan_pickle, read_networks
from dissectreport.checkpoints.weight_files import checked_sha256, read_checkpoint
from dissectreport.errors import WeightsError
from dissectreport.run.addresses import CONFIG, is_weights
from dissectreport.structured import Malformed, read_json

USUAL = re.compile(
    r"(?P<before>.*?)(diffusion_pytorch_model|pytorch_model|model)"
    r"(?P<variant>\.(?!safetensors|bin|index)\w+)?(-\d{5}-of-\d{5})?\.(safetensors|bin)(\.index(\.\w+)?\.json)?"
)
"""The names that libraries give to weights beside a config.json: whole, in parts, or in half precision."""
INNER = ("vae", "first_stage_model", "generator")
"""Folders within a pipeline that have a network of a known family."""


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
    """What a file holds, or a folder with weights; a WeightsError if it cannot be read.

    `sha256` is the file's expected SHA-256, or the first digits of it; '' if unknown.
    """
    file = weights_in(path) if path.is_dir() else path
    config = _config_beside(file)
    if not parts_of(file) and checked_file_type(file, remedy) == "pickle" and is_stylegan_pickle(file):
        digest = checked_sha256(file, sha256, remedy)
        return ModelFile(file, digest, read_networks(file, remedy), config)
    checkpoint = read_checkpoint(file, sha256, remedy)
    return ModelFile(file, checkpoint.sha256, checkpoint.content, config)


def weights_in(folder: Path) -> Path:
    """The file of weights in a folder, or in that of the autoencoder of a pipeline.

    Whole files come before parts, and full precision before half; a WeightsError lists what there is if it is not
    clear which file is meant.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file() and is_weights(file.name))
    usual = {file: match for file in files if (match := USUAL.fullmatch(file.name))}
    if usual:
        return min(usual, key=lambda file: _rank(usual[file], file.name))
    inner = [folder / name for name in INNER if (folder / name).is_dir()]
    if len(files) == 1:
        return files[0]
    if not files and inner:
        return weights_in(inner[0])
    named = f"several files of weights ({first_of(file.name for file in files)})" if files else "no file of weights"
    raise WeightsError(f"the folder {folder} has {named}; give the file of weights itself")


def _rank(match: re.Match[str], name: str) -> tuple[bool, bool, bool, str]:
    """What sorts full precision before half, whole files before parts, and safetensors before pickles."""
    return match["variant"] is not None, "-of-" in name, ".safetensors" not in name, name


def _config_beside(file: Path) -> Mapping[str, Any]:
    """The content of config.json, or of NAME-config.json where the weights are NAME-pytorch_model.bin."""
    match = USUAL.fullmatch(file.name)
    beside = file.with_name(f"{match['before']}{CONFIG}") if match else None
    return _read_config(beside) if beside is not None and beside.is_file() else {}


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except (OSError, Malformed) as problem:
        raise WeightsError(f"{path} cannot be read: {problem}") from problem
    if not isinstance(content, dict):
        raise WeightsError(f"{path} is no table of settings")
    return content
