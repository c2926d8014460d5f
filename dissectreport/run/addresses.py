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
from pathlib import Path
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


def split_settings(model: str) -> tuple[str, str]:
    """What names a model, without its settings, and the settings.

    >>> split_settings("ffhq.pkl:psi=0.7,label=3"), split_settings("./net.py:generator")
    (('ffhq.pkl', 'psi=0.7,label=3'), ('./net.py:generator', ''))
    """
    match = SETTINGS.fullmatch(model)
    return (match["file"], match["settings"]) if match else (model, "")


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
    name, before = split_settings(model)
    settings = ",".join([*([before] if before else []), *words])
    return f"{name}:{settings}" if settings else name


def _quoted_file(text: str) -> str:
    layer, equals, file = text.partition("=")
    if not layer or not file:
        raise BadOption(f"directions are given as LAYER=FILE, such as layer4=directions.safetensors, not {text!r}")
    return _quoted(f"{layer}{equals}{file}", "")


def split_directions(model: str) -> tuple[str, tuple[tuple[str, Path], ...]]:
    """What names a model, without directions, and the layers that have them with their files.

    >>> split_directions("ffhq.pkl:psi=0.7,directions=b8%3Da.npz")
    ('ffhq.pkl:psi=0.7', (('b8', PosixPath('a.npz')),))
    """
    name, settings = split_settings(model)
    pairs = settings.split(",") if settings else []
    others = [pair for pair in pairs if not pair.startswith(DIRECTIONS)]
    files = [
        unquote(file, errors="surrogateescape").partition("=")
        for pair in pairs
        if pair.startswith(DIRECTIONS)
        for file in pair.removeprefix(DIRECTIONS).split("+")
        if file
    ]
    return ":".join([name, *([",".join(others)] if others else [])]), tuple(
        (layer, Path(file)) for layer, _, file in files
    )


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


def checkpoint_of(model: str) -> Path | None:
    """The file or folder of weights that a name refers to; None if it is another kind of name.

    A file counts by the end of its name, or if it is there; a folder counts if it has a file of weights.
    """
    name, _ = split_settings(model)
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
