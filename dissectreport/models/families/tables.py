"""The tables of tensors in a checkpoint, by the names that networks have without wrappers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from dissectreport.checkpoints.averages import named_averages
from dissectreport.checkpoints.model_files import ModelFile
from dissectreport.checkpoints.names import shown, unwrapped
from dissectreport.checkpoints.norms import plain_weights
from dissectreport.checkpoints.parts import state_dicts
from dissectreport.checkpoints.plain_data import as_tensor
from dissectreport.checkpoints.stylegan_pickles import PickledNetwork
from dissectreport.checkpoints.weight_files import check_size


class TensorTable(NamedTuple):
    """A table of tensors in a file."""

    part: str
    """Its key, such as a.b; '' for the top."""
    tensors: Mapping[str, Tensor]
    settings: Mapping[str, Any]
    """With which the network was made, where the file says it."""
    kind: str = ""
    """The class of the network, where the file says it."""
    pickled: PickledNetwork | None = None
    """The network as the file describes it, if it does."""

    def settings_at(self, prefix: str) -> Mapping[str, Any]:
        """With which the network was made whose tensors' names begin with a prefix."""
        return self.settings if self.pickled is None else self.pickled.settings_at(prefix)

    def others(self, prefix: str) -> str:
        """A tensor that shows that a described network is more than its part with a prefix; '' if there is none."""
        if self.pickled is None:
            return ""
        return next(
            (f"{shown(self.kind)} has {shown(name)}" for name in self.tensors if not name.startswith(prefix)), ""
        )


def tables_of(file: ModelFile) -> Iterator[TensorTable]:
    """Every table of tensors in a file, except those of optimizers.

    Names have no steps of wrappers, and weights have no norms. An average without names has those of its network.
    """
    for part, network in _pickled(file.content, "", set()):
        yield TensorTable(part, network.tensors, network.settings, network.class_name, network)
    tables = {part: _tensors_in(table) for part, table in state_dicts(file.content).items()}
    for part, tensors in (*named_averages(file.content, tables).items(), *tables.items()):
        check_size(tensors, file.path)
        yield TensorTable(part, plain_weights({unwrapped(name): value for name, value in tensors.items()}), {})


def joined_parts(file: ModelFile) -> Iterator[TensorTable]:
    """All tables of a file as one, for a network whose parts were saved one by one."""
    tables = [table for table in tables_of(file) if table.pickled is None]
    if len(tables) > 1 and all(table.part for table in tables):
        yield TensorTable("", {f"{t.part}.{name}": value for t in tables for name, value in t.tensors.items()}, {})


def _tensors_in(table: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors in a table, by name."""
    tensors = {str(name): as_tensor(value) for name, value in table.items()}
    return {name: value for name, value in tensors.items() if value is not None}


def _pickled(content: Mapping[str, Any], before: str, seen: set[int]) -> Iterator[tuple[str, PickledNetwork]]:
    """The networks that a file describes, with their keys, at any depth; in tables that were not `seen`."""
    seen.add(id(content))
    for key, value in content.items():
        part = f"{before}.{key}" if before else str(key)
        if isinstance(value, PickledNetwork):
            yield part, value
        elif isinstance(value, Mapping) and id(value) not in seen:
            yield from _pickled(value, part, seen)
