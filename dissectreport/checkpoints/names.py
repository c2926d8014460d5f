"""The names of a network's tensors, as different programs write them.

Wrappers such as DataParallel and torch.compile put steps into names, and weight norm and spectral norm have an old and
a new form. Names that differ in no more than this mean the same tensor.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

WRAPPERS = (
    "module",
    "_orig_mod",
    "_forward_module",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_fpw_module",
)
"""Steps of names that wrappers add: DataParallel, torch.compile, Lightning Fabric, FSDP, activation checkpointing."""
COUNTER = "num_batches_tracked"
"""A counter of batch norm, which old files lack and evaluation does not use."""
EXTRA_STATE = "_extra_state"
"""What a module keeps beside its tensors; the only value of a state dict that is no tensor."""
LONGEST = 200
"""Longer names are cut in messages."""
UNUSED = (COUNTER, "n_averaged")
"""Last steps of names that a file may have and a network may lack: counters of training."""
NEW_NORMS = (
    (re.compile(r"parametrizations\.(\w+)\.original0"), r"\1_g"),
    (re.compile(r"parametrizations\.(\w+)\.original1"), r"\1_v"),
    (re.compile(r"parametrizations\.(\w+)\.original"), r"\1_orig"),
    (re.compile(r"parametrizations\.(\w+)\.0\._(u|v)"), r"\1_\2"),
)
"""The names of torch.nn.utils.parametrizations, and those of the older torch.nn.utils."""


class StateDict(dict[str, Any]):
    """Tensors by name, with the versions of the modules that they came from, which torch's loading rules ask for."""

    _metadata: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, table: Mapping[str, Any], versions: Mapping[str, Any] | None) -> StateDict:
        """A table with the versions of modules by name; None if they are unknown."""
        made = cls(table)
        made._metadata = versions
        return made

    @property
    def versions(self) -> Mapping[str, Any] | None:
        """The versions of modules by name; None if they are unknown."""
        return self._metadata

    def renamed(self, names: Mapping[str, str]) -> StateDict:
        """The same tensors; those in `names` have the name that it gives them, and so have their modules' versions."""
        modules = {module_of(old): module_of(new) for old, new in names.items()}
        versions = {modules.get(name, unwrapped(name)): value for name, value in (self.versions or {}).items()}
        return self.of({names.get(name, name): value for name, value in self.items()}, versions or None)


def versions_of(table: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The versions of modules that torch keeps with a state dict; None if there are none."""
    versions = getattr(table, "_metadata", None)
    return {str(name): value for name, value in versions.items()} if isinstance(versions, Mapping) else None


def module_of(name: str) -> str:
    """The name of the module that a tensor belongs to."""
    return name.rpartition(".")[0]


def unwrapped(name: str) -> str:
    """A name without the steps of wrappers.

    >>> unwrapped("module.main._orig_mod.0.weight")
    'main.0.weight'
    """
    return ".".join(step for step in name.split(".") if step not in WRAPPERS)


def common_name(name: str) -> str:
    """The name that all writers of one tensor share: without wrappers, norms in their old form.

    >>> common_name("module.main.0.parametrizations.weight.original0"), common_name("main.0.weight_g")
    ('main.0.weight_g', 'main.0.weight_g')
    """
    plain = unwrapped(name)
    if "parametrizations." not in plain:
        return plain
    head, _, tail = plain.rpartition("parametrizations.")
    for pattern, old in NEW_NORMS:
        if match := pattern.fullmatch(f"parametrizations.{tail}"):
            return head + match.expand(old)
    return plain


def renamings(given: Iterable[str], expected: Iterable[str]) -> dict[str, str]:
    """The given names that mean an expected tensor of another name, and that name; ambiguous ones are left out."""
    expected, given = set(expected), list(given)
    meanings = Counter(common_name(name) for name in expected)
    by_meaning = {common_name(name): name for name in expected if meanings[common_name(name)] == 1}
    rivals = Counter(common_name(name) for name in given)
    found = {name: by_meaning.get(common_name(name), name) for name in given if rivals[common_name(name)] == 1}
    return {name: new for name, new in found.items() if new != name and name not in expected}


def shown(name: str) -> str:
    """A name for a message of one line, whatever a file calls its tensors."""
    return name if name.isprintable() and len(name) <= LONGEST else ascii(name[:LONGEST])


def first_of(names: Iterable[str], count: int = 3) -> str:
    """The first names, and the number of others."""
    names = [shown(name) for name in names]
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more} more" if more > 0 else "") or "nothing"


def quoted(text: str) -> str:
    """A text as TOML has it."""
    if "'" in text or not text.isprintable():
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return f"'{text}'"
