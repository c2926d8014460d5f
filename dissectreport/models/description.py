"""A generator described by a TOML file: which network, which weights, what it takes, what it returns.

    network = "./net.py:Generator"        # or "package.module:function", or family = "progressive gan"
    weights = "generator.pt"              # relative to this file
    latent = { shape = [100], distribution = "uniform" }
    layers = ["block1", "block2"]

`KEYS` lists all keys; docs/own-gan.md explains them. The network's code is imported and run; weights are read as data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dissectreport import structured
from dissectreport.errors import BadOption, UnknownName
from dissectreport.models.families.image_classifier import LAST_STRIDE
from dissectreport.models.families.registry import FAMILIES

KEYS = {
    "name": "the model's name on pages; by default the file's name",
    "task": "classify, for a network that computes a score for every class of images",
    "classes": "the names of the classes in the order of the scores, or a file with one name per line",
    "network": "the function or class that makes the network: ./file.py:Name, or package.module:Name",
    "family": f"an architecture that is recognised from its weights: {', '.join(FAMILIES)}",
    "arguments": "keyword arguments for the network's function",
    "weights": "the file of weights, relative to this file, or several; without it, the function loads its own",
    "sha256": "the SHA-256 of the weights, or its first digits; checked",
    "part": "the key of the weights in their file, such as g_ema",
    "prefix": "the prefix of all names of the weights, such as generator.",
    "ignore": "patterns of names in the file that the network does not need, such as *.running_mean",
    "psi": "the truncation of a family, from 0 to 1 (none)",
    "cutoff": "the number of layers that psi truncates; by default all",
    "label": "the classes that a family generates; by default all",
    "noise": "the noise of a StyleGAN2: const (a fixed pattern) or none",
    "last_stride": "the stride of layer4 in a ResNet: 2, or 1 for wideresnet18 of Places365",
    "latent": "its one latent: 128, [128], or { shape = …, distribution = … }",
    "inputs": "a list of all arguments, if there is more than one latent",
    "output": "{ take = …, range = [black, white], channels = [red, green, blue] }",
    "layers": "the layers that a build measures by default",
    "segmenter": "the segmenter that a build uses by default",
    "masks": "a folder of masks, in place of a segmenter; or { folder = …, images = …, names = … }",
    "reference": "a folder of real images",
    "images": "{ folder = …, size = [height, width], mean = …, std = …, channels = …, labels = …, validation = … } for "
    "a network that takes images; with output, it redraws them, unless its task is classify",
    "facts": "further facts for the report: licence, paper, dataset …",
}
SAMPLING_KEYS = ("psi", "cutoff", "label", "noise")
CLASSIFY = "classify"
"""The task of a classifier; a network without a task makes images or redraws them."""
IMAGES_KEYS = ("folder", "size", "mean", "std", "channels", "labels", "validation", "validation_labels")
OF_CLASSIFIERS = IMAGES_KEYS[5:]
"""Keys of images that only a classifier has."""
OUTPUT_KEYS = ("take", "range", "channels")
MASK_KEYS = ("folder", "images", "names")


@dataclass(frozen=True)
class WeightFile:
    """A file of weights."""

    path: Path
    sha256: str = ""
    """Its SHA-256, or its first digits; '' if the description gives none."""
    prefix: str = ""
    """What the names of its tensors begin with in the network."""


@dataclass(frozen=True)
class Description:
    """The content of a description file. Its methods check the kind of a value, and raise a BadOption."""

    path: Path
    content: Mapping[str, Any]

    def text(self, key: str) -> str:
        """A string; '' if the key is missing."""
        return str(self._value(key, str, "a text", ""))

    def table(self, key: str) -> dict[str, Any]:
        """A table; {} if the key is missing."""
        return dict(self._value(key, dict, "a table", {}))

    def names(self, key: str) -> tuple[str, ...]:
        """A list of strings; () if the key is missing."""
        return tuple(str(name) for name in self._value(key, list, "a list of names", []))

    def file(self, key: str) -> Path | None:
        """A path, relative to the file's folder; None if the key is missing."""
        return self._path(self.text(key)) if self.text(key) else None

    def weight_files(self) -> tuple[WeightFile, ...]:
        """The files of weights: of a text, of a list, or of a table from what names begin with to files."""
        files, digests = self._by_prefix("weights"), self._by_prefix("sha256")
        if not files.keys() >= digests.keys():
            raise self.problem(
                "sha256 has the form of weights: one text, or a list or a table with a text for each file"
            )
        return tuple(
            WeightFile(self._path(file), digests.get(key, ""), key if isinstance(key, str) else "")
            for key, file in files.items()
        )

    def _by_prefix(self, key: str) -> dict[str | int, str]:
        """The texts of a table by their keys, which end with a dot; those of a list, or a single one, by number."""
        given = self.content.get(key, [])
        values: dict[str | int, Any]
        if isinstance(given, dict):
            values = {name if name.endswith(".") else f"{name}.": text for name, text in given.items()}
        else:
            values = dict(enumerate(given if isinstance(given, list) else [given]))
        if not all(isinstance(text, str) for text in values.values()) or (key in self.content and not values):
            form = "a text, a list of texts, or a table such as { 'decoder.' = 'decoder.pt' }"
            raise self.problem(f"{key} must be {form}, not {given!r}")
        return {name: text for name, text in values.items() if text}

    def _path(self, name: str) -> Path:
        return self.path.parent / Path(name).expanduser()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.text("name") or self.path.stem

    def _value(self, key: str, kind: type, noun: str, default: object) -> Any:
        value = self.content.get(key, default)
        if not isinstance(value, kind):
            raise self.problem(f"{key} must be {noun}, not {value!r}")
        return value

    def problem(self, line: str) -> BadOption:
        """An error that begins with the file's name."""
        return BadOption(f"{self.path.name}: {line}")

    def check_keys(self, keys: Iterable[str], known: Iterable[str], of: str = "") -> None:
        """Raise an UnknownName for the first key that is not known."""
        for key in keys:
            if key not in known:
                raise UnknownName.of(f"key {of}in {self.path.name}:", key, known)


def _check_values(description: Description) -> None:
    """Refuse what is given but says nothing: without its weights, a network would be measured untrained."""
    for key, value in description.content.items():
        values = value if isinstance(value, list) and value else [value]
        if any(one == [] or (isinstance(one, str) and not one.strip(" ,")) for one in values):
            raise description.problem(f"{key} is empty; give a value, or remove the line")


def read_description(path: Path) -> Description:
    """The description in a file; raises an UnknownName or a BadOption if it cannot be used."""
    try:
        content = structured.read_toml(path)
    except OSError as problem:
        raise UnknownName(f"no generator {path}: the file cannot be read ({problem.strerror})") from problem
    except structured.Malformed as problem:
        raise BadOption(f"{path} is not TOML: {problem}") from problem
    description = Description(path, content)
    description.check_keys(content, KEYS)
    _check_values(description)
    network, family = description.text("network"), description.text("family")
    if bool(network) == bool(family):
        raise description.problem("give either network (./file.py:Name) or family (" + ", ".join(FAMILIES) + ")")
    if family and family not in FAMILIES:
        raise UnknownName.of(f"family in {path.name}:", family, FAMILIES)
    if family and len(description.weight_files()) != 1:
        raise description.problem("a family is recognised from its weights; add weights = … with one file")
    check_task(description)
    for key in SAMPLING_KEYS:
        if key in content and not family:
            raise description.problem(f"{key} belongs to a family; describe what the network takes in inputs instead")
    if LAST_STRIDE in content and family != "resnet":
        raise description.problem(f"{LAST_STRIDE} belongs to the family resnet; leave it out")
    return description


def check_task(description: Description) -> None:
    """Refuse an unknown task, a classifier without images, and keys of classifiers in other descriptions."""
    task, content = description.text("task"), description.content
    if task not in ("", CLASSIFY):
        raise description.problem(f'task is {task!r}; it is "{CLASSIFY}", or left out for a network that makes images')
    if task and "images" not in content:
        raise description.problem(
            'a classifier reads images; add images = { folder = "photos", size = [224, 224] }, with a sub-folder for '
            "each class"
        )
    own = [f"{key} of images" for key in OF_CLASSIFIERS if key in description.table("images")]
    own = ["classes", *own] if "classes" in content else own
    if not task and not description.text("family") and own:
        raise description.problem(f'{own[0]} belongs to a classifier; add task = "{CLASSIFY}"')
