"""The description of a checkpoint as TOML: complete where its family is recognised, to be completed where it is not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor

from dissectreport.checkpoints.model_files import ModelFile, open_model_file
from dissectreport.errors import WeightsError
from dissectreport.models.families.base import Sampling
from dissectreport.models.families.loading import SEGMENTER, segmenter_for
from dissectreport.models.families.opening import OpenedNetwork, open_found
from dissectreport.models.families.recognition import Found, find
from dissectreport.models.families.tables import TensorTable, tables_of
from dissectreport.models.families.unknown import main_table, nearest, not_recognised

UNTRUNCATED = ("dcgan", "fastgan")
"""Families without truncation."""
PREFIXES = ("module.", "_orig_mod.", "generator.", "netG.", "G.", "g_ema.", "net.", "model.")
"""What all names in files of training programs often begin with."""


def describe(path: Path) -> str:
    """The content of a description for a checkpoint. Raises a WeightsError for a file without tensors."""
    file = open_model_file(path)
    try:
        found = find(file)
    except WeightsError:
        return _to_complete(path, file)
    return _complete(path, found)


def _complete(path: Path, found: Found) -> str:
    """The description of a recognised network."""
    opened = open_found(found, Sampling())
    lines = [
        f"# {opened.line}; {opened.sampling}",
        f"family = {_text(found.family.name)}",
        f"weights = {_text(str(path))}",
        f"sha256 = {_text(found.file.sha256)}",
        *([f"part = {_text(found.network.part)}"] if found.network.part else []),
        *([f"prefix = {_text(found.network.prefix)}"] if found.network.prefix else []),
        f"segmenter = {_text(segmenter_for(found.file))}   # colour needs no weights; ade20k and words:… name objects",
        f"layers = {json.dumps(list(opened.default_layers))}",
    ]
    if found.family.make is not None:
        lines += ["", *_settings(found, opened)]
    return "\n".join(lines) + "\n"


def _settings(found: Found, opened: OpenedNetwork) -> Iterable[str]:
    """The settings of a family, as comments; those of an autoencoder or classifier name its photographs."""
    if opened.inputs is None:
        side = opened.resolution
        does = "classifies" if opened.classifies else "redraws"
        yield f'images = {{ folder = "photos", size = [{side}, {side}] }}   # the photographs that it {does}'
        if found.family.name == "resnet":
            yield "# last_stride = 1   # stride of layer4, for wideresnet18 of Places365; no tensor shows it"
        return
    if found.family.name not in UNTRUNCATED:
        yield "# psi = 0.7        # truncation: 1 for none, towards 0 for typical images"
    if found.family.name.startswith("stylegan"):
        yield "# cutoff = 8       # psi truncates the first 8 layers alone"
    if found.family.name.startswith(("stylegan2", "fastgan")):
        yield '# noise = "none"   # without the fixed noise pattern of the file'
    if opened.inputs.arguments[1:]:
        yield "# label = [3]      # the classes to draw; without it, all classes in turn"


def _to_complete(path: Path, file: ModelFile) -> str:
    """What is known about a network of no known family, and what must be added."""
    tables = list(tables_of(file))
    if not tables:
        raise WeightsError(f"{path} has no tensors, so there is nothing to describe")
    table = main_table(tables)
    prefix = _prefix(list(table.tensors))
    latent = _first_size(table)
    family, unknown = nearest(list(table.tensors))
    fitting = len(table.tensors) - len(unknown)
    lines = [
        f"# {not_recognised(file).partition('; `dissectreport describe')[0]}",
        *([f"# Of its {len(table.tensors)} tensors, {fitting} have names as in {family.title}."] if fitting else []),
        'network = "./net.py:Generator"   # the file and the class of your network',
        f"weights = {_text(str(path))}",
        *([f"part = {_text(table.part)}"] if table.part else []),
        *([f"prefix = {_text(prefix)}"] if prefix else []),
        f"latent = {latent or 128}   # "
        + ("a guess, from the shape of the first weight" if latent else "the length or the shape of its latent"),
        f'segmenter = "{SEGMENTER}"',
        "",
        "# The first tensors:",
        *(f"#   {name} {tuple(value.shape)}" for name, value in list(table.tensors.items())[:8]),
    ]
    return "\n".join(lines) + "\n"


def _prefix(names: Sequence[str]) -> str:
    """The prefix of all names, if it is a usual one."""
    return next((prefix for prefix in PREFIXES[1:] if all(name.startswith(prefix) for name in names)), "")


def _first_size(table: TensorTable) -> int:
    """The number of inputs of the first weight, which often is the length of the latent; 0 if there is none."""
    weights: list[Tensor] = [value for value in table.tensors.values() if value.ndim in (2, 4)]
    if not weights:
        return 0
    # Transposed convolutions have their inputs first, linear layers second.
    return int(weights[0].shape[0] if weights[0].ndim == 4 else weights[0].shape[1])


def _text(value: str) -> str:
    """A TOML string."""
    return json.dumps(value, ensure_ascii=False)
