"""How a model is named: a declared name, the address of code, a description, or a file of weights with settings.

scenes_pgan                     a name that a package declares
./net.py:generator              code
./mine.toml                     a description
ffhq.pkl                        a checkpoint that is recognised by its content
ffhq.pkl:psi=0.7,label=3+5      the same, with settings
taesd_decoder.pth:images=photos an autoencoder, with the folder of photographs that it reconstructs
scenes_pgan:directions=…        any of them, with files of directions of layers, which become layers of their own
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote

from dissectreport.errors import BadOption

DIRECTIONS = "directions="
"""How the setting with files of directions begins."""
DESCRIPTION = ".toml"
"""The end of the name of a file that describes a model."""
CODE = ".py"
CHECKPOINTS = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".safetensors", ".npz", ".ckpt", ".tar", ".pt2")
"""Ends of the names of files of weights."""
INDEX = ".index."
"""A part of the names of lists of files of weights."""
AUTOENCODER = "vae"
"""The folder of the autoencoder within that of a pipeline."""
CONFIG = "config.json"
"""The file that makes a folder a checkpoint."""
SETTINGS = re.compile(r"(?P<file>.+?):(?P<settings>(psi|cutoff|label|noise|images|validation|directions)=[^:/\\]*)")


@dataclass(frozen=True)
class ModelAddress:
    """What the name of a model says."""

    name: str
    """The declared name, the address of code, or the file."""
    settings: str = ""
    """Its settings without directions, such as psi=0.7,label=3+5."""
    directions: tuple[tuple[str, Path], ...] = ()
    """The layers that have directions, with their files."""

    @classmethod
    def read(cls, model: str) -> Self:
        """Read a name.

        >>> ModelAddress.read("ffhq.pkl:psi=0.7,directions=b8%3Da.npz")
        ModelAddress(name='ffhq.pkl', settings='psi=0.7', directions=(('b8', PosixPath('a.npz')),))
        >>> ModelAddress.read("./net.py:generator")
        ModelAddress(name='./net.py:generator', settings='', directions=())
        """
        match = SETTINGS.fullmatch(model)
        if not match:
            return cls(model)
        pairs = match["settings"].split(",")
        files = [
            unquote(file, errors="surrogateescape").partition("=")
            for pair in pairs
            if pair.startswith(DIRECTIONS)
            for file in pair.removeprefix(DIRECTIONS).split("+")
            if file
        ]
        settings = ",".join(pair for pair in pairs if not pair.startswith(DIRECTIONS))
        return cls(match["file"], settings, tuple((layer, Path(file)) for layer, _, file in files))

    @property
    def model(self) -> str:
        """The name without directions."""
        return ":".join(filter(None, (self.name, self.settings)))

    @property
    def checkpoint(self) -> Path | None:
        """The file or folder of weights that is named; None if something else is."""
        return checkpoint_of(self.name)

    @property
    def source(self) -> str:
        """The whole path of the file that is named, wherever it was typed; '' for declared names.

        Settings stay behind the path of a checkpoint, because a model with others is another model. Bytes of a path
        that are not UTF-8 are written as \\xe9. A model with directions is one of its own, by their files.
        """
        place, colon, function = self.name.rpartition(":")
        if colon and place.endswith(CODE) and not self.settings:
            source = f"{_whole(place)}:{function}"
        elif self.name.endswith(DESCRIPTION) or self.checkpoint is not None:
            source = ":".join(filter(None, (_whole(self.name), self.settings)))
        else:
            source = ""
        if not self.directions:
            return source
        files = "+".join(f"{layer}={_whole(file)}" for layer, file in self.directions)
        return f"{source or self.model}:{DIRECTIONS}{files}"


def _whole(path: str | Path) -> str:
    return os.fsencode(Path(path).expanduser().resolve()).decode("utf-8", "backslashreplace")


def source_of(model: str) -> str:
    """The whole path of the file that a model's name refers to, as `ModelAddress.source`."""
    return ModelAddress.read(model).source


def with_settings(
    model: str,
    psi: float | None,
    cutoff: int | None,
    labels: tuple[str, ...],
    noise: str,
    images: Path | None = None,
    directions: tuple[str, ...] = (),
    validation: Path | None = None,
) -> str:
    """The name of a model with settings; those that it has already stay.

    >>> with_settings("ffhq.pkl", 0.7, None, ("3", "5"), "")
    'ffhq.pkl:psi=0.7,label=3+5'
    >>> with_settings("vae.safetensors", None, None, (), "", Path("my/photos"))
    'vae.safetensors:images=my%2Fphotos'
    """
    folder = None if images is None else quoted_path(images)
    values = {
        "psi": psi,
        "cutoff": cutoff,
        "label": "+".join(labels) or None,
        "noise": noise or None,
        "images": folder,
        "validation": None if validation is None else quoted_path(validation),
        "directions": "+".join(map(_quoted_file, directions)) or None,
    }
    words = [f"{name}={value}" for name, value in values.items() if value is not None]
    match = SETTINGS.fullmatch(model)
    name, before = (match["file"], match["settings"]) if match else (model, "")
    settings = ",".join([*([before] if before else []), *words])
    return f"{name}:{settings}" if settings else name


def _quoted_file(text: str) -> str:
    layer, equals, file = text.partition("=")
    if not layer or not file:
        raise BadOption(f"directions are given as LAYER=FILE, such as layer4=directions.safetensors, not {text!r}")
    return _quoted(f"{layer}{equals}{file}", "")


def quoted_path(path: Path, safe: str = "") -> str:
    """A path as the value of a setting, without the characters that separate settings, except those in `safe`."""
    return _quoted(os.fspath(path), safe)


def _quoted(name: str, safe: str) -> str:
    """A name of a file as the value of a setting; a BadOption if no file can have it."""
    try:
        return quote(os.fsencode(name), safe=safe)
    except UnicodeEncodeError as error:
        raise BadOption(f"{name!a} has a character that no name of a file can have; give another name") from error


def unquoted_path(value: str) -> Path:
    """The path that is the value of a setting.

    >>> unquoted_path(quoted_path(Path("my/photos, new"))) == Path("my/photos, new")
    True
    """
    return Path(unquote(value, errors="surrogateescape"))


def is_weights(name: str) -> bool:
    """Whether a file's name is that of weights, or of a list of files of weights.

    >>> is_weights("ffhq.pkl"), is_weights("model.safetensors.index.json"), is_weights("config.json")
    (True, True, False)
    """
    return name.lower().endswith(CHECKPOINTS) or (name.endswith(".json") and INDEX in name)


def checkpoint_of(name: str) -> Path | None:
    """The file or folder of weights that a name without settings refers to; None if it is another kind of name.

    A file counts by the end of its name, or if it is there; a folder counts if it has a file of weights.
    """
    # Functions of os.path, because a name need not be that of a file: it may be too long for one, or begin with "~".
    path = Path(os.path.expanduser(name))  # noqa: PTH111
    if name.endswith((DESCRIPTION, CODE)) or os.path.isdir(path):  # noqa: PTH112
        return path if _has_weights(path) or _has_weights(path / AUTOENCODER) else None
    if name.lower().endswith(CHECKPOINTS):
        return path
    return path if (os.sep in name or path.suffix) and os.path.isfile(path) else None  # noqa: PTH113


def _has_weights(folder: Path) -> bool:
    """Whether there is a config.json or a file of weights in a folder; not in one that cannot be read."""
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except (OSError, ValueError):
        return False
    return CONFIG in names or any(map(is_weights, names))


def split_names(name: str) -> list[str]:
    """The names that are joined by +; the address of an existing file with + in its path is one name."""
    file, _, function = name.rpartition(":")
    is_address = file.endswith(CODE) and "+" not in function and Path(file).is_file()
    return [name] if is_address else name.split("+")
