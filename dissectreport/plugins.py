"""Find generators, segmenters and feature networks by name, our own in the same way as anybody's.

    generator("scenes_pgan")               an installed entry point of the group dissectreport.generators
    segmenter("words:dome,tower")          one that takes an argument: what stands behind the colon
    generator("package.module:function")   a function that can be imported; it is called without arguments
    generator("./file.py:function")        a function in a file
    generator("./mine.toml")               a network that a file describes (models/described.py)
    generator("church_pgan", "mine.pth")   any of them with weights from a file: it is called with `weights=`
    segmenter("scenes+colour")             several segmenters as one

Finding a name imports and runs the code that it names; nothing else is run, and nothing is evaluated.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from dissectreport.checkpoints.catalogue import entries
from dissectreport.checkpoints.downloads import folder
from dissectreport.checkpoints.looks import digest_of
from dissectreport.errors import (
    BadOption,
    DissectReportError,
    FeaturesError,
    ModelError,
    SegmenterError,
    UnknownName,
    answered,
)

if TYPE_CHECKING:
    from dissectreport.features.base import FeatureNetwork
    from dissectreport.models.base import Generator
    from dissectreport.segmenters.base import Segmenter

HERE = Path(__file__).parent
TOML = ".toml"


@dataclass(frozen=True)
class Group:
    """One kind of plug-in: where it is declared, what its values have, what is raised when they do not."""

    entry_points: str
    kind: str
    members: tuple[str, ...]
    error: type[DissectReportError]
    catalogue: Path
    """What is known of our own names."""


GENERATORS = Group(
    "dissectreport.generators",
    "generator",
    (
        *("name", "identity", "latent_shape", "image_size", "layers", "default_layers", "facts", "module"),
        *("__call__", "to", "untrained", "drawn"),
    ),
    ModelError,
    HERE / "models" / "zoo.toml",
)
SEGMENTERS = Group(
    "dissectreport.segmenters",
    "segmenter",
    ("name", "identity", "vocabulary", "__call__", "confidence", "to"),
    SegmenterError,
    HERE / "segmenters" / "zoo.toml",
)
FEATURES = Group(
    "dissectreport.features",
    "feature network",
    ("name", "identity", "dimension", "published", "__call__", "to"),
    FeaturesError,
    HERE / "features" / "zoo.toml",
)


@dataclass(frozen=True)
class Listed:
    """A name, and what is known of it without loading anything; '' for what is not."""

    name: str
    title: str
    state: str = ""
    """embedded, installed, downloadable, or --weights where it needs a file."""
    size: str = ""
    licence: str = ""
    licence_note: str = ""


def generator(name: str, weights: str = "") -> Generator:
    """The generator that `name` stands for; its weights are read from the file `weights` if one is given."""
    if name.endswith(TOML):
        return cast("Generator", _checked(GENERATORS, name, _described(Path(name), weights)))
    return cast("Generator", _load(GENERATORS, name, weights))


def _described(path: Path, weights: str) -> object:
    """What a TOML file describes; torch is imported only here, with the models."""
    from dissectreport.models import described

    return described.load(path, partial(_at_address, GENERATORS), weights)


def segmenter(name: str) -> Segmenter:
    """The segmenter that `name` stands for, several joined by + as one."""
    parts = parts_of(name)
    if len(parts) == 1:
        return cast("Segmenter", _load(SEGMENTERS, name))
    if any(not part or (part[0] in "./~" and ":" not in part) for part in parts):
        raise SegmenterError(
            f"+ joins segmenters, so {name!r} is read as {', '.join(map(repr, parts))}; "
            "write scenes+colour, and rename a file that has a + in its path"
        )
    from dissectreport.segmenters.merged import merged

    return merged([cast("Segmenter", _load(SEGMENTERS, part)) for part in parts])


def parts_of(name: str) -> list[str]:
    """The names that + joins in one; a file that has a + in its own name stays whole."""
    place, _, function = name.rpartition(":")
    whole = place.endswith(".py") and "+" not in function and Path(place).is_file()
    return [name] if whole else name.split("+")


def features(name: str, weights: str = "") -> FeatureNetwork:
    """The feature network that `name` stands for; its weights are read from the file `weights` if one is given."""
    return cast("FeatureNetwork", _load(FEATURES, name, weights))


def source_digest(name: str) -> str:
    """The SHA-256 of every file that an address ./file.py:function in `name` names, '' for other names.

    Weights do not tell what a file's code does with them, and the code of an edited file is another model.
    """
    places = [part.rpartition(":")[0] for part in parts_of(name)]
    files = [Path(place) for place in places if place.endswith(".py")]
    return " ".join(map(digest_of, files))


def names(group: Group) -> list[str]:
    """The names that installed packages declare, in alphabetical order."""
    return sorted({point.name for point in _declared(group)})


def listed(group: Group) -> list[Listed]:
    """All that installed packages declare: what is ours in the order of the catalogue, then what is others' by name."""
    known = entries(group.catalogue)
    declared = {point.name: point for point in sorted(_declared(group), key=lambda point: point.name)}
    ours = [entry for name, entry in known.items() if name in declared]
    others = [point for name, point in declared.items() if name not in known]
    return [
        *(Listed(e.name, e.title, e.state(), e.size(), e.licence, e.licence_note) for e in ours),
        *(Listed(point.name, f"from {point.dist.name}" if point.dist else "") for point in others),
    ]


def downloads() -> Path:
    """The folder in which downloads of weights are kept."""
    return folder()


def _declared(group: Group) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group.entry_points))


def _load(group: Group, name: str, weights: str = "") -> object:
    head, colon, argument = name.partition(":")
    if not colon:
        function = _by_entry_point(group, name)
    elif head in names(group):
        function = _with(group, head, _by_entry_point(group, head), argument)
    else:
        function = _at_address(group, name)
    return _checked(group, name, _called(group, name, function, weights))


def _with(group: Group, name: str, function: object, argument: str) -> object:
    """The function of a declared name, given what stands behind the name's colon."""
    if not callable(function):
        return function
    try:
        inspect.signature(function).bind(argument)
    except TypeError:
        raise group.error(
            f"{group.kind} {name!r} takes no argument, and {argument!r} was given; leave out what stands behind {name}"
        ) from None
    return partial(function, argument)


def _by_entry_point(group: Group, name: str) -> object:
    """What the one entry point of this name refers to."""
    found = {point.value: point for point in _declared(group) if point.name == name}
    if not found:
        raise _unknown(group, name)
    if len(found) > 1:
        raise group.error(
            f"two packages declare a {group.kind} {name!r}: {' and '.join(sorted(found))}; "
            "uninstall one, or give the address of the one you mean"
        )
    (point,) = found.values()
    return _imported(group, name, point.load)


def _unknown(group: Group, name: str) -> DissectReportError:
    known = names(group)
    if not known:
        return UnknownName(
            f"no {group.kind} {name!r}: dissectreport is not installed, so no names are declared; "
            "run pip install -e . in its folder, or give package.module:function"
        )
    return UnknownName.of(group.kind, name, known)


def _at_address(group: Group, address: str) -> object:
    """What "package.module:function" or "./file.py:function" refers to."""
    place, _, function = address.rpartition(":")
    if not place or not function.isidentifier():
        raise UnknownName(
            f"no {group.kind} {address!r}; an address is package.module:function or ./file.py:function, "
            f"and before another colon stands one of {', '.join(names(group))}"
        )
    module = _imported(group, address, lambda: _module(group, address, place))
    if not hasattr(module, function):
        raise UnknownName.of(f"function in {place}:", function, [key for key in vars(module) if key[0] != "_"])
    return getattr(module, function)


def _module(group: Group, address: str, place: str) -> ModuleType:
    if place.endswith(".py"):
        return _file(group, address, Path(place))
    return importlib.import_module(place)


def _file(group: Group, address: str, path: Path) -> ModuleType:
    """The module in a file, registered so that dataclasses and pickling of its functions work."""
    if not path.is_file():
        raise UnknownName(f"no {group.kind} {address!r}; there is no file {path} in {Path.cwd()}")
    name = f"dissectreport_file_{path.stem}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None, "a path that ends in .py has a loader"
    assert specification.loader is not None, "a path that ends in .py has a loader"
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    # As when Python runs a file: it may import what lies beside it, now or later.
    if str(path.parent.resolve()) not in sys.path:
        sys.path.insert(0, str(path.parent.resolve()))
    specification.loader.exec_module(module)
    return module


def _imported(group: Group, name: str, load: Callable[[], object]) -> object:
    """What `load` gives; code of others may raise anything, and a person wants one line of it."""
    return answered(group.error, f"{group.kind} {name!r} cannot be imported", load)


def _called(group: Group, name: str, function: object, weights: str) -> object:
    if not callable(function):
        raise group.error(f"{group.kind} {name!r} is a {type(function).__name__}; it should be a function")
    if weights and not _takes_weights(function):
        raise BadOption(f"{group.kind} {name!r} takes no file of weights; leave out --weights {weights}")
    made = partial(function, weights=Path(weights).expanduser()) if weights else function
    return answered(group.error, f"{group.kind} {name!r} cannot be made", made)


def _takes_weights(function: Callable[..., object]) -> bool:
    try:
        return "weights" in inspect.signature(function).parameters
    except ValueError:  # A class of an extension may tell nothing of its parameters.
        return False


def _checked(group: Group, name: str, made: object) -> object:
    missing = [member for member in group.members if not hasattr(made, member)]
    if missing:
        hint = "; describe a network in a TOML file: docs/own-gan.md" if hasattr(made, "state_dict") else ""
        raise group.error(
            f"{name!r} gave a {type(made).__name__}, which is no {group.kind}: it has no {', '.join(missing)}{hint}"
        )
    try:
        json.dumps(getattr(made, "facts", {}))
    except (TypeError, ValueError) as problem:
        raise group.error(f"the facts of {name!r} must be plain JSON values: {problem}") from problem
    return made
