"""Find generators, segmenters and feature networks by name; those of this package are plug-ins like any other.

    generator("scenes_pgan")               an installed entry point of the group dissectreport.generators
    segmenter("words:dome,tower")          an entry point with an argument, after the colon
    generator("package.module:function")   an importable function; it is called without arguments
    generator("./file.py:function")        a function in a file
    generator("./mine.toml")               a network that a TOML file describes (models/description.py)
    generator("ffhq.pkl:psi=0.7")          a checkpoint of a known family, with settings (models/families)
    generator("church_pgan", "mine.pth")   any of them, called with `weights=` for a file of weights
    segmenter("scenes+colour")             several segmenters as one

Only the code that a name refers to is imported and run.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.checkpoints.downloads import downloads_folder
from dissectreport.errors import (
    BadOption,
    DissectReportError,
    FeaturesError,
    ModelError,
    SegmenterError,
    UnknownName,
    answered,
)
from dissectreport.run.addresses import DESCRIPTION, ModelAddress, checkpoint_of, split_names, unquoted_path
from dissectreport.run.surroundings import surroundings_kept
from dissectreport.structured import parse_json
from dissectreport.vocabulary import Vocabulary

if TYPE_CHECKING:
    from dissectreport.features.base import FeatureNetwork
    from dissectreport.models.base import Generator
    from dissectreport.segmenters.base import Segmenter

HERE = Path(__file__).parent


@dataclass(frozen=True)
class PluginGroup:
    """A kind of plug-in."""

    entry_points: str
    """The group of entry points in which packages declare it."""
    kind: str
    """What it is called in messages."""
    members: tuple[str, ...]
    """The attributes and methods that each must have."""
    error: type[DissectReportError]
    """Raised if a plug-in cannot be made, or lacks a member."""
    catalogue: Path
    """What is known about those of this package."""


GENERATORS = PluginGroup(
    "dissectreport.generators",
    "generator",
    (
        *("name", "identity", "latent_shape", "image_size", "layers", "default_layers", "facts", "module"),
        *("__call__", "to", "untrained", "training_like_images"),
    ),
    ModelError,
    HERE / "models" / "catalogue.toml",
)
SEGMENTERS = PluginGroup(
    "dissectreport.segmenters",
    "segmenter",
    ("name", "identity", "vocabulary", "__call__", "confidence", "to"),
    SegmenterError,
    HERE / "segmenters" / "catalogue.toml",
)
FEATURES = PluginGroup(
    "dissectreport.features",
    "feature network",
    ("name", "identity", "dimension", "published", "__call__", "to"),
    FeaturesError,
    HERE / "features" / "catalogue.toml",
)


@dataclass(frozen=True)
class PluginInfo:
    """What is known about a plug-in without loading it; '' if unknown."""

    name: str
    title: str
    state: str = ""
    """embedded, installed, downloadable, from a hub, or --weights if the user must give a file."""
    size: str = ""
    licence: str = ""
    licence_note: str = ""


def generator(name: str, weights: str = "") -> Generator:
    """The generator of this name, with weights from the file `weights` if one is given.

    Raises an UnknownName, or a ModelError if it cannot be made or is not a `Generator`.
    """
    address = ModelAddress.read(name)
    made = _generator(address, weights)
    if not address.directions:
        return made
    from dissectreport.models.directions import with_directions  # imports torch

    return answered(
        ModelError, f"{address.model} cannot be given directions", lambda: with_directions(made, address.directions)
    )


def _generator(address: ModelAddress, weights: str) -> Generator:
    """The generator at an address, without directions."""
    name, settings = address.name, address.settings
    if name.endswith(DESCRIPTION):
        made = _described(Path(name), weights, settings)
    elif address.model not in names(GENERATORS) and (path := address.checkpoint) is not None:
        made = _recognised(path, settings, weights)
    elif settings and name in names(GENERATORS) and (function := _sampled(name, settings)) is not None:
        made = _called(GENERATORS, name, function, weights)
    elif settings:
        made = _reading(name, settings, weights)
    else:
        return cast("Generator", _load(GENERATORS, name, weights))
    return cast("Generator", _checked(GENERATORS, address.model, made))


def _sampled(name: str, settings: str) -> object:
    """The function of a declared name, bound to how its network is sampled; None where it takes no such setting.

    The import is local because it imports torch.
    """
    function = _by_entry_point(GENERATORS, name)
    if not callable(function) or "sampling" not in inspect.signature(function).parameters:
        return None
    from dissectreport.models.families.loading import settings_of

    chosen = settings_of(settings)
    if chosen.images or chosen.validation:
        raise BadOption(f"{name} reads no photographs; leave out {settings}")
    return partial(function, chosen.sampling)


def _reading(name: str, settings: str, weights: str) -> object:
    """The network of a declared name that reads the photographs of folders, which are all that settings may name."""
    values = dict(pair.partition("=")[::2] for pair in settings.split(","))
    if not values.keys() <= {"images", "validation"} or name not in names(GENERATORS):
        raise BadOption(f"{settings} are settings of checkpoints, and {name} is none; leave them out")
    function, folders = _by_entry_point(GENERATORS, name), {key: unquoted_path(value) for key, value in values.items()}
    for key, folder in folders.items():
        if not callable(function) or key not in inspect.signature(function).parameters:
            raise BadOption(f"{name} reads no photographs; leave out --{key} {folder}")
    assert callable(function), "it has the parameters"
    return _called(GENERATORS, name, partial(function, **folders), weights)


def _recognised(path: Path, settings: str, weights: str) -> object:
    """The generator in a checkpoint of a known family. The import is local because it imports torch."""
    from dissectreport.models.families import loading

    if weights:
        raise BadOption(f"{path} has its own weights; leave out --weights {weights}")
    chosen = loading.settings_of(settings)
    return answered(
        ModelError,
        f"{path} cannot be opened",
        lambda: loading.load(path, chosen.sampling, images=chosen.images, validation=chosen.validation),
    )


def _described(path: Path, weights: str, settings: str) -> object:
    """The generator that a TOML file describes. The import is local because it imports torch."""
    from dissectreport.models import described_model

    if settings:
        raise BadOption(f"write {settings.replace(',', ', ')} into {path}: a description has its own settings")

    return described_model.load(path, partial(_at_address, GENERATORS), weights)


def segmenter(name: str) -> Segmenter:
    """The segmenter of this name; names joined by + are merged into one segmenter.

    Raises an UnknownName, or a SegmenterError if it cannot be made or is not a `Segmenter`.
    """
    parts = split_names(name)
    if len(parts) == 1:
        return cast("Segmenter", _load(SEGMENTERS, name))
    if any(not part or (part[0] in "./~" and ":" not in part) for part in parts):
        raise SegmenterError(
            f"+ joins segmenters, so {name!r} means {', '.join(map(repr, parts))}; "
            "write names as in scenes+colour, and rename a file with a + in its path"
        )
    from dissectreport.segmenters.merged import merged

    return merged([cast("Segmenter", _load(SEGMENTERS, part)) for part in parts])


def features(name: str, weights: str = "") -> FeatureNetwork:
    """The feature network of this name, with weights from the file `weights` if one is given.

    Raises an UnknownName, or a FeaturesError if it cannot be made or is not a `FeatureNetwork`.
    """
    return cast("FeatureNetwork", _load(FEATURES, name, weights))


def names(group: PluginGroup) -> list[str]:
    """The names that installed packages declare, sorted."""
    return sorted({point.name for point in _declared(group)})


def list_plugins(group: PluginGroup) -> list[PluginInfo]:
    """All declared plug-ins: first those of this package in the order of its catalogue, then others sorted by name."""
    catalogue = read_catalogue(group.catalogue)
    declared = {point.name: point for point in sorted(_declared(group), key=lambda point: point.name)}
    ours = [entry for name, entry in catalogue.items() if name in declared]
    others = [point for name, point in declared.items() if name not in catalogue]
    return [
        *(PluginInfo(e.name, e.title, e.state(), e.size(), e.licence, e.licence_note) for e in ours),
        *(PluginInfo(point.name, f"from {point.dist.name}" if point.dist else "") for point in others),
    ]


def downloads() -> Path:
    """The folder of downloaded weights."""
    return downloads_folder()


def _declared(group: PluginGroup) -> tuple[EntryPoint, ...]:
    return _entry_points(group.entry_points, tuple(sys.path))


@lru_cache(maxsize=16)
def _entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points that packages on `path` declare; reading the metadata of every package takes some 30 ms."""
    return tuple(entry_points(group=group))


def _load(group: PluginGroup, name: str, weights: str = "") -> object:
    head, colon, argument = name.partition(":")
    if not colon:
        function = _by_entry_point(group, name)
    elif head in names(group):
        function = _with_argument(group, head, _by_entry_point(group, head), argument)
    else:
        function = _at_address(group, name)
    return _checked(group, name, _called(group, name, function, weights))


def _with_argument(group: PluginGroup, name: str, function: object, argument: str) -> object:
    """The function of an entry point, bound to the argument after the colon."""
    if not callable(function):
        return function
    try:
        inspect.signature(function).bind(argument)
    except TypeError:
        raise group.error(
            f"{group.kind} {name!r} takes no argument, but {argument!r} was given; write only {name}"
        ) from None
    return partial(function, argument)


def _by_entry_point(group: PluginGroup, name: str) -> object:
    """What the entry point of this name refers to; an error if two packages declare it."""
    points = {point.value: point for point in _declared(group) if point.name == name}
    if not points:
        raise _unknown(group, name)
    if len(points) > 1:
        raise group.error(
            f"two packages declare a {group.kind} {name!r}: {' and '.join(sorted(points))}; "
            "uninstall one, or give an address, package.module:function"
        )
    (point,) = points.values()
    return _imported(group, name, point.load)


def _unknown(group: PluginGroup, name: str) -> DissectReportError:
    known = names(group)
    if not known:
        return UnknownName(
            f"no {group.kind} {name!r}: no names are declared, because dissectreport is not installed; "
            "run pip install -e . in its folder, or give an address, package.module:function"
        )
    if os.path.isdir(os.path.expanduser(name)):  # noqa: PTH111, PTH112 - a name may be too long for a file
        return UnknownName(f"no {group.kind} {name!r}: the folder has no file of weights")
    return UnknownName.of(group.kind, name, known)


def _at_address(group: PluginGroup, address: str) -> object:
    """What "package.module:function" or "./file.py:function" refers to."""
    module_name, _, function = address.rpartition(":")
    if (path := checkpoint_of(module_name)) is not None:
        from dissectreport.models.families import loading

        raise BadOption(f"{function!r} is no setting of {path}; {loading.HOW_TO_WRITE}, or use options such as --psi")
    if not module_name or not function.isidentifier():
        raise UnknownName(
            f"no {group.kind} {address!r}; an address is package.module:function or ./file.py:function, "
            f"and names with an argument begin with one of {', '.join(names(group))}"
        )
    module = _imported(group, address, lambda: _module(group, address, module_name))
    if not hasattr(module, function):
        raise UnknownName.of(f"function in {module_name}:", function, [key for key in vars(module) if key[0] != "_"])
    return getattr(module, function)


def _module(group: PluginGroup, address: str, name: str) -> ModuleType:
    if name.endswith(".py"):
        return _module_of_file(group, address, Path(name))
    return importlib.import_module(name)


def _module_of_file(group: PluginGroup, address: str, path: Path) -> ModuleType:
    """The module in a file, registered in sys.modules, which dataclasses and pickle need."""
    if not path.is_file():
        raise UnknownName(f"no {group.kind} {address!r}; there is no file {path} in {Path.cwd()}")
    whole = path.resolve()
    name = f"dissectreport_file_{path.stem}_{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None, "a path that ends in .py has a loader"
    assert specification.loader is not None, "a path that ends in .py has a loader"
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    with _beside(whole.parent):
        specification.loader.exec_module(module)
    return module


_FOLDERS: set[Path] = set()
"""Folders of files that were loaded."""


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """While a file runs, what it imports is looked for in its own folder first, as when Python runs the file.

    Modules of the same name that a file in another folder imported do not count. Later imports look there last, so that
    a file called like a module of Python does not take its place in worker processes.
    """
    strangers = {name: module for name, module in sys.modules.items() if _folder_of(module) in _FOLDERS - {folder}}
    for name in strangers:
        del sys.modules[name]
    _FOLDERS.add(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    # Files of research code often parse the command line when they are imported; this one is not theirs.
    words, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = words
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        sys.modules.update(strangers)


def _folder_of(module: ModuleType) -> Path | None:
    """The folder in which a module, or the package that it is a part of, lies; None for others."""
    top = sys.modules.get(module.__name__.partition(".")[0], module)
    file = getattr(top, "__file__", None)
    if not isinstance(file, str) or top.__name__.startswith("dissectreport_file_"):
        return None
    return Path(file).parent.parent if Path(file).name == "__init__.py" else Path(file).parent


def _imported(group: PluginGroup, name: str, load: Callable[[], object]) -> object:
    """The result of `load`; any exception becomes an error of one line."""
    with surroundings_kept():
        return answered(group.error, f"{group.kind} {name!r} cannot be imported", load)


def _called(group: PluginGroup, name: str, function: object, weights: str) -> object:
    if not callable(function):
        raise group.error(f"{group.kind} {name!r} is a {type(function).__name__}; it should be a function")
    if weights and not _takes_weights(function):
        raise BadOption(f"{group.kind} {name!r} takes no file of weights; leave out --weights {weights}")
    make = partial(function, weights=Path(weights).expanduser()) if weights else function
    with surroundings_kept():
        return answered(group.error, f"{group.kind} {name!r} cannot be made", make)


def _takes_weights(function: Callable[..., object]) -> bool:
    try:
        return "weights" in inspect.signature(function).parameters
    except ValueError:  # Classes of extension modules may have no signature.
        return False


def _checked(group: PluginGroup, name: str, plugin: object) -> object:
    """The plug-in, if it has all members, a vocabulary where it is a segmenter, and facts that are JSON."""
    missing = [member for member in group.members if not hasattr(plugin, member)]
    if missing:
        hint = "; describe a network in a TOML file: docs/own-gan.md" if hasattr(plugin, "state_dict") else ""
        raise group.error(
            f"{name!r} returned a {type(plugin).__name__}, which is not a {group.kind}: it has no "
            f"{', '.join(missing)}{hint}"
        )
    for member in ("name", "identity"):
        value = getattr(plugin, member)
        if not isinstance(value, str) or not value.strip():
            raise group.error(f"the {member} of {name!r} must be a text, not {value!r}")
    vocabulary = getattr(plugin, "vocabulary", None)
    if group is SEGMENTERS and not isinstance(vocabulary, Vocabulary):
        raise group.error(f"the vocabulary of {name!r} is a {type(vocabulary).__name__}; make it with Vocabulary.of")
    try:
        parse_json(json.dumps(getattr(plugin, "facts", {})))
    except (TypeError, ValueError) as problem:
        raise group.error(f"the facts of {name!r} must be plain JSON values: {problem}") from problem
    return plugin
