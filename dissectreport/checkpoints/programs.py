"""The weights in files of programs: TorchScript and torch.export. The program is not run.

    tensors_of_script(Path("generator.pt"))      # as torch.jit.load(…).state_dict(), without torch.jit.load
    tensors_of_export(Path("generator.pt2"))     # as torch.export.load(…).state_dict, without torch.export.load

torch.jit.load compiles the code in a file, and torch.export.load unpickles objects beside the graph. Here only the
tables of tensors are read, as from any other file of weights.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dissectreport.checkpoints.names import shown
from dissectreport.checkpoints.pickled_tensors import (
    Budget,
    Foreign,
    PickledStorage,
    PickledTensor,
    checked_tensor,
    pickled_tensor,
)
from dissectreport.checkpoints.pickles import check_repetitions_of_torch
from dissectreport.errors import WeightsError
from dissectreport.structured import parse_json

TYPES: Mapping[str, torch.dtype] = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
EXPORTED = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
"""The numbers by which torch.export names types."""
WEIGHTS = "data/weights/"
CONFIG = f"{WEIGHTS}model_weights_config.json"
STATE_DICT = "serialized_state_dict.pt"
"""The file of weights in archives of torch.export before 2.8."""
LARGEST_TABLE = 1 << 26
MAX_DEPTH = 60


def tensors_of_script(path: Path) -> dict[str, Tensor]:
    """The tensors of a TorchScript file, by name; a WeightsError if it has none, or asks for anything else."""
    with zipfile.ZipFile(path) as archive:
        entry = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        root = entry.removesuffix("data.pkl")
        if archive.getinfo(entry).file_size > LARGEST_TABLE:
            raise WeightsError(f"{path} has a table of modules that is too large")
        try:
            scripted = _ScriptReader(archive, root).load()
        except Foreign as problem:
            raise WeightsError(
                f"{path} contains a program (TorchScript) with {shown(str(problem))}, which is not read"
            ) from None
        tensors = dict(_tensors(scripted, "", Budget(path.stat().st_size), 0))
    if not tensors:
        raise WeightsError(
            f"{path} contains a program (TorchScript) whose weights are a part of its code, as after torch.jit.freeze; "
            "give the file that was saved before"
        )
    return tensors


class ScriptedModule:
    """A module of a program: its attributes."""

    def __init__(self) -> None:
        self.state: object = {}

    def __setstate__(self, state: object) -> None:
        """Take over the attributes."""
        self.state = state


class _ScriptReader(pickle.Unpickler):
    """Reads the table of modules of a TorchScript file."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        entry = archive.read(f"{root}data.pkl")
        check_repetitions_of_torch(io.BytesIO(entry))
        super().__init__(io.BytesIO(entry))
        self.archive, self.root = archive, root
        self.storages: dict[str, PickledStorage] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What is put in the place of a name; a Foreign for what is neither a module, a tensor, nor a list."""
        name = f"{module_name}.{global_name}"
        if module_name.partition(".")[0] == "__torch__":
            return type("Module", (ScriptedModule,), {})
        if name in TYPES:
            return TYPES[name]
        known = {
            "collections.OrderedDict": OrderedDict,
            "torch._utils._rebuild_tensor_v2": lambda *arguments: pickled_tensor(*arguments),
        }
        if name in known:
            return known[name]
        if module_name == "torch.jit._pickle":
            return lambda data, *_rest: data
        raise Foreign(name)

    def persistent_load(self, pid: Any) -> PickledStorage:
        """The numbers of a storage: ("storage", type, key, place, elements)."""
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage" or not isinstance(pid[1], torch.dtype):
            raise Foreign("an object outside the file")
        key = str(pid[2])
        if key not in self.storages:
            content = self.archive.read(f"{self.root}data/{key}")
            self.storages[key] = PickledStorage(_numbers(content, pid[1], _order(self.archive, self.root)))
        return self.storages[key]


def _order(archive: zipfile.ZipFile, root: str) -> str:
    """The order of bytes in an archive."""
    name = f"{root}byteorder"
    return archive.read(name).decode("ascii", "replace").strip() if name in archive.namelist() else "little"


def _numbers(content: bytes, kind: torch.dtype, order: str = "little") -> Tensor:
    """(n,) the numbers in bytes; bytes beyond the last whole number are dropped."""
    if order != "little":
        raise WeightsError("its numbers are in the order of another kind of processor (big endian)")
    whole = len(content) - len(content) % kind.itemsize
    return torch.frombuffer(bytearray(content[:whole]), dtype=kind) if whole else torch.empty(0, dtype=kind)


def _tensors(value: object, prefix: str, budget: Budget, depth: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a module and of those within it, by name."""
    state = value.state if isinstance(value, ScriptedModule) else {}
    if depth > MAX_DEPTH or not isinstance(state, dict):
        return
    budget.visit(1 + len(state))
    for name, part in state.items():
        if isinstance(part, PickledTensor):
            tensor = checked_tensor(part, f"{prefix}{name}")
            budget.spend(tensor.numel())
            yield f"{prefix}{name}", tensor
        elif isinstance(part, ScriptedModule):
            yield from _tensors(part, f"{prefix}{name}.", budget, depth + 1)


def tensors_of_export(path: Path) -> dict[str, Tensor]:
    """The tensors of a torch.export file, by name; a WeightsError if it has none that can be read as data."""
    with zipfile.ZipFile(path) as archive:
        ends = {name.partition("/")[2] or name: name for name in archive.namelist()} | {
            name: name for name in archive.namelist()
        }
        if CONFIG in ends:
            return _exported(path, archive, ends)
        if STATE_DICT in ends:
            saved = archive.read(ends[STATE_DICT])
            check_repetitions_of_torch(io.BytesIO(saved))
            content = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
            if isinstance(content, Mapping):
                return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    raise WeightsError(f"{path} contains a program (torch.export) without a table of weights")


def _exported(path: Path, archive: zipfile.ZipFile, ends: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors that the list of weights in an archive names."""
    if archive.getinfo(ends[CONFIG]).file_size > LARGEST_TABLE:
        raise WeightsError(f"{path} has a list of weights that is too large")
    table = parse_json(archive.read(ends[CONFIG])).get("config", {})
    tensors, budget = {}, Budget(path.stat().st_size)
    for name, entry in table.items():
        meta = entry["tensor_meta"]
        file, kind = ends.get(f"{WEIGHTS}{entry['path_name']}"), EXPORTED.get(meta["dtype"])
        if entry.get("use_pickle") or file is None or kind is None:
            raise WeightsError(f"{path} contains a program (torch.export) whose {shown(name)} is no plain tensor")
        shape, strides = (tuple(size["as_int"] for size in meta[key]) for key in ("sizes", "strides"))
        budget.spend(archive.getinfo(file).file_size)
        numbers = _numbers(archive.read(file), kind)
        contiguous = numbers.numel() == math.prod(shape)
        record = PickledTensor(PickledStorage(numbers), meta["storage_offset"]["as_int"], shape, strides)
        tensors[str(name)] = checked_tensor(record, str(name)) if strides or contiguous else numbers
    return tensors
