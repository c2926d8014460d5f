"""Which family a checkpoint belongs to, by its content: names and shapes of tensors, and settings in the file.

found = find(open_model_file(Path("ffhq.pkl")))
found.family.title                        # "StyleGAN2"
network = opening.open_found(found, Sampling())
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from dissectreport.checkpoints.model_files import ModelFile, open_model_file
from dissectreport.checkpoints.names import UNUSED, unwrapped
from dissectreport.checkpoints.parts import Place
from dissectreport.checkpoints.state_dicts import matches
from dissectreport.errors import WeightsError
from dissectreport.models.families import (
    autoencoder_tiny,
    biggan_deep,
    dcgan,
    image_classifier,
    stylegan2_rosinality,
)
from dissectreport.models.families.base import NetworkTensors
from dissectreport.models.families.registry import FAMILIES, Family
from dissectreport.models.families.tables import TensorTable, joined_parts, tables_of
from dissectreport.models.families.unknown import not_recognised

ANYWHERE = Place("", "")
WIDE = re.compile(r"wideresnet\d+_places365", re.IGNORECASE)
"""Names of files with a ResNet whose last resolution has stride 1, which its tensors do not show."""


@dataclass(frozen=True)
class Found:
    """A network in a checkpoint, and its family."""

    family: Family
    network: NetworkTensors
    file: ModelFile


def find(file: ModelFile, place: Place = ANYWHERE, family: str = "", ignore: Sequence[str] = ()) -> Found:
    """The network in a file that a build reads: an average of weights if there is one.

    With `place` or `family`, only such networks count; tensors whose names match a pattern of `ignore` are left out. A
    WeightsError says what the file is instead.
    """
    candidates = [
        found
        for found in (*_candidates(file, tables_of(file), ignore), *_candidates(file, joined_parts(file), ignore))
        if (not place.part or found.network.part == place.part)
        and (not place.prefix or found.network.prefix == _with_dot(unwrapped(place.prefix)))
        and (not family or found.family.name == family)
    ]
    if not candidates:
        raise WeightsError(not_recognised(file, place.part, family))
    return min(candidates, key=lambda found: Place(found.network.part, found.network.prefix).rank)


def _with_dot(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith((".", "/")) else f"{prefix}."


def _candidates(file: ModelFile, tables: Iterable[TensorTable], ignore: Sequence[str]) -> Iterator[Found]:
    """Every network of a known family in some tables of a file."""
    for table in tables:
        tensors = _with_other_half(table.tensors, file.path)
        kept = {name: value for name, value in tensors.items() if not matches(name, ignore)}
        for family in FAMILIES.values():
            for prefix in dict.fromkeys(_prefixes(kept, family)):
                own = _own_tensors(kept, family, prefix)
                if family.fits(own):
                    settings = {**table.settings_at(prefix), **_beside(file)}
                    yield Found(family, NetworkTensors(own, table.part, prefix, settings, table.others(prefix)), file)


def _own_tensors(tensors: Mapping[str, Tensor], family: Family, prefix: str) -> Mapping[str, Tensor]:
    """The tensors of a family's network, without those that training programs keep beside it."""
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return family.renamed({name: value for name, value in own.items() if not _is_beside(name, value, family)})


def _is_beside(name: str, value: Tensor, family: Family) -> bool:
    """Whether a tensor is a counter of training, or one that programs of the family keep beside its network."""
    if family.names.fullmatch(name):
        return False
    counts = value.numel() == 1 and ("." not in name or name.rpartition(".")[2] in UNUSED)
    return counts or (family.beside is not None and family.beside.fullmatch(name) is not None)


def _prefixes(tensors: Mapping[str, Tensor], family: Family) -> Iterator[str]:
    for name in tensors:
        for mark in family.marks:
            whole = name.removesuffix(":0")
            prefix = whole.removesuffix(mark)
            # A bare number is a step of a sequence; where that has its usual name, the name is not a prefix.
            bare = mark == dcgan.BARE_MARK and prefix.endswith(dcgan.SEQUENCE)
            if prefix != whole and not bare and (not prefix or prefix.endswith((".", "/"))):
                yield prefix


def _with_other_half(tensors: Mapping[str, Tensor], path: Path) -> Mapping[str, Tensor]:
    """The tensors of both halves, where a file has the decoder of a tiny autoencoder alone."""
    if not autoencoder_tiny.is_decoder_alone(tensors):
        return tensors
    other = path.with_name(path.name.replace("decoder", "encoder"))
    tables = list(tables_of(open_model_file(other))) if other != path and other.is_file() else []
    return autoencoder_tiny.joined(tensors, tables[0].tensors if tables else {})


def _beside(file: ModelFile) -> dict[str, Any]:
    """What files say about a network outside of its own table."""
    average = file.content.get(stylegan2_rosinality.AVERAGE)
    config = {biggan_deep.CONFIG: file.config} if file.config else {}
    wide = {image_classifier.LAST_STRIDE: 1} if WIDE.search(file.path.name) else {}
    return {**({stylegan2_rosinality.AVERAGE: average} if isinstance(average, Tensor) else {}), **config, **wide}
