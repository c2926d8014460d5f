"""A generator described by a small TOML file: which network, which weights, what goes in, what comes out.

    network = "./net.py:Generator"        # or "package.module:function", or family = "progressive gan"
    weights = "generator.pt"              # beside the file
    latent = { shape = [100], distribution = "uniform" }
    layers = ["block1", "block2"]

Every key is listed in `KEYS`; docs/own-gan.md explains them. The network's code is run, as importing it would;
its weights are read as data.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dissectreport.checkpoints.files import CURE, read_checkpoint
from dissectreport.checkpoints.fitting import fit, tensors_at
from dissectreport.checkpoints.looks import digest_of
from dissectreport.errors import BadOption, ModelError, UnknownName, answered
from dissectreport.models import proggan_variants
from dissectreport.models.folders import open_folder
from dissectreport.models.inputs import Argument, Constant, Inputs, Labels, Noise
from dissectreport.models.layers import readable, refusal, usual
from dissectreport.models.outputs import Output
from dissectreport.models.reading import ImageReader
from dissectreport.models.wrap import Called, NetworkGenerator
from dissectreport.networks.hooks import ModuleTrace, trace_modules
from dissectreport.networks.latents import latents

FAMILIES: Mapping[str, Callable[[Mapping[str, Tensor]], nn.Module]] = {
    "progressive gan": proggan_variants.from_state_dict
}
"""Architectures that are recognised from their weights alone."""

KEYS = {
    "name": "what pages call it; the file's name by default",
    "network": "the function or class that makes the network: ./file.py:Name, or package.module:Name",
    "family": f"an architecture that the weights alone tell: {', '.join(FAMILIES)}",
    "arguments": "keywords for the network's function",
    "weights": "the file of weights, beside this one; without it the function brings its own",
    "sha256": "the SHA-256 of the weights, or its beginning; checked",
    "part": "where the weights lie in their file, such as g_ema",
    "prefix": "what the names of the weights begin with there, such as module.",
    "latent": "its one latent: 128, [128], or { shape = …, distribution = … }",
    "inputs": "all that the network is called with, in order, where that is more than one latent",
    "output": "{ take = …, range = [black, white], channels = [red, green, blue] }",
    "layers": "the layers that a build reads",
    "segmenter": "the segmenter that a build uses",
    "reference": "a folder of real images",
    "images": "{ folder = …, size = [height, width], mean = …, std = … } for a network that reads images",
    "facts": "what else pages should tell: licence, paper, dataset …",
}


@dataclass(frozen=True)
class Description:
    """A checked file: only known keys, each of the right kind."""

    path: Path
    given: Mapping[str, Any]

    def words(self, key: str) -> str:
        """A text, '' where it is left out."""
        return str(self._of(key, str, "a text", ""))

    def table(self, key: str) -> dict[str, Any]:
        """A table, {} where it is left out."""
        return dict(self._of(key, dict, "a table", {}))

    def names(self, key: str) -> tuple[str, ...]:
        """A list of texts, () where it is left out."""
        given = self._of(key, list, "a list of names", [])
        return tuple(str(name) for name in given)

    def place(self, key: str) -> Path | None:
        """A path, counted from the file's own folder."""
        return self.path.parent / Path(self.words(key)).expanduser() if self.words(key) else None

    def _of(self, key: str, kind: type, noun: str, default: object) -> Any:
        value = self.given.get(key, default)
        if not isinstance(value, kind):
            raise self.problem(f"{key} must be {noun}, not {value!r}")
        return value

    def problem(self, line: str) -> BadOption:
        """One line about the file."""
        return BadOption(f"{self.path.name}: {line}")


def described(path: Path) -> Description:
    """The file, read and checked for what no network is needed to see."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise UnknownName(f"no generator {path}: the file cannot be read ({problem.strerror})") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise BadOption(f"{path} is not TOML: {problem}") from problem
    for key in given:
        if key not in KEYS:
            raise UnknownName.of(f"key in {path.name}:", key, KEYS)
    found = Description(path, given)
    if bool(found.words("network")) == bool(found.words("family")):
        raise found.problem("say either network (./file.py:Name) or family (" + ", ".join(FAMILIES) + ")")
    if found.words("family") and found.words("family") not in FAMILIES:
        raise UnknownName.of(f"family in {path.name}:", found.words("family"), FAMILIES)
    if found.words("family") and not found.words("weights"):
        raise found.problem("a family is recognised from its weights; say weights = …")
    return found


@dataclass(frozen=True)
class Maker:
    """Makes the network that a file describes, with its weights or with random ones."""

    plan: Description
    find: Callable[[str], object]
    """What an address such as package.module:function refers to."""
    weights: Path | None
    """The file that is read, or None where the function brings its own."""

    def network(self) -> nn.Module:
        """The network with its weights."""
        if self.weights is None:
            return self.bare()
        # Another file than the one that is described has another checksum.
        sha256 = self.plan.words("sha256") if self.weights == self.plan.place("weights") else ""
        cure = f"give the file whose sha256 {self.plan.path.name} tells" if sha256 else CURE
        checkpoint = read_checkpoint(self.weights, sha256, cure)
        tensors = tensors_at(checkpoint.content, self.plan.words("part"), self.plan.words("prefix"))
        if self.plan.words("family"):
            return FAMILIES[self.plan.words("family")](tensors)
        network = self.bare()
        fit(network, tensors, type(network).__name__)
        return network

    def bare(self) -> nn.Module:
        """What the function makes by itself."""
        address = self.address
        function = self.find(address)
        if not callable(function):
            raise self.plan.problem(
                f"network {address!r} is a {type(function).__name__}; it should be a function or class"
            )
        arguments = self.plan.table("arguments")
        who = (
            f"{self.plan.path.name}: {self.plan.words('network')} could not be made with {arguments or 'no arguments'}"
        )
        made = answered(ModelError, who, lambda: function(**arguments))
        if not isinstance(made, nn.Module):
            raise self.plan.problem(
                f"network {address!r} gave a {type(made).__name__}; it should give a torch.nn.Module"
            )
        return made

    @property
    def remade(self) -> Callable[[int], nn.Module] | None:
        """Makes the network anew, or None where its function may bring trained weights, or only weights tell it."""
        return self._untrained if self.weights and self.plan.words("network") else None

    def _untrained(self, seed: int) -> nn.Module:
        """The same architecture with the random weights that its own code gives it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.bare()

    @property
    def address(self) -> str:
        """The network's address, ./file.py counted from the description's folder."""
        given = self.plan.words("network")
        place, colon, name = given.rpartition(":")
        return f"{self.plan.path.parent / place}:{name}" if place.endswith(".py") else f"{place}{colon}{name}"

    def code(self) -> str:
        """The SHA-256 of what weights do not tell: function and arguments, and the file with the code if there is one.

        '' where the weights tell everything.
        """
        if self.plan.words("family"):
            return ""
        place = self.address.rpartition(":")[0]
        file = digest_of(Path(place)) if place.endswith(".py") else ""
        told = [self.plan.words("network"), self.plan.table("arguments"), file]
        return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()


def load(path: Path, find: Callable[[str], object], weights: str = "") -> NetworkGenerator | ImageReader:
    """The generator that a file describes; `find` gives what an address such as package.module:function refers to.

    `weights` is a file that replaces the one that is described.
    """
    plan = described(path)
    maker = Maker(plan, find, Path(weights).expanduser() if weights else plan.place("weights"))
    network = answered(ModelError, f"{path.name}: the network cannot be given its weights", maker.network)
    network.requires_grad_(False).eval()
    return reader(plan, maker, network) if "images" in plan.given else generator(plan, maker, network)


def generator(plan: Description, maker: Maker, network: nn.Module) -> NetworkGenerator:
    """The generator that makes images with a network."""
    inputs, output = inputs_of(plan), output_of(plan)
    z = latents(0, 0, 2, inputs.latent_shape)
    who = (
        f"{plan.path.name}: the network failed on two inputs ({inputs.words()}); say in latent or inputs what it takes"
    )
    parts, images = answered(ModelError, who, lambda: trace_modules(Called(network, inputs, output), z))
    size = (int(images.shape[2]), int(images.shape[3]))
    return NetworkGenerator(
        name=plan.words("name") or plan.path.stem,
        module=network,
        image_size=size,
        layers=readable(parts),
        default_layers=layers_of(plan, parts) or usual(parts, size),
        remade=maker.remade,
        reference=plan.place("reference"),
        facts={"inputs": inputs.words(), **facts_of(plan)},
        code=maker.code(),
        inputs=inputs,
        output=output,
    )


def reader(plan: Description, maker: Maker, network: nn.Module) -> ImageReader:
    """The network that reads the images of a folder."""
    for key in ("latent", "inputs", "output", "reference"):
        if key in plan.given:
            raise plan.problem(f"a network that reads images has no {key}; leave it out, or leave out images")
    given = plan.table("images")
    for key in given:
        if key not in READING:
            raise UnknownName.of(f"key of images in {plan.path.name}:", key, READING)
    size = whole_numbers("size", given.get("size", []))
    if not isinstance(given.get("folder"), str) or len(size) != 2:
        raise plan.problem('images needs a folder and a size: images = { folder = "photos", size = [224, 224] }')
    bare = ImageReader(
        name=plan.words("name") or plan.path.stem,
        module=network,
        folder=open_folder(plan.path.parent / Path(given["folder"]).expanduser(), (size[0], size[1])),
        layers=tuple(name for name, _ in network.named_modules() if name),
        default_layers=(),
        mean=numbers("mean", given.get("mean", [])),
        std=numbers("std", given.get("std", [])),
        remade=maker.remade,
        facts=facts_of(plan),
        code=maker.code(),
    )
    z = bare.folder.first(2)
    who = f"{plan.path.name}: the network failed on images of {size[0]} x {size[1]}"
    parts, _ = answered(ModelError, who, lambda: trace_modules(bare, z))
    return replace(bare, layers=readable(parts), default_layers=layers_of(plan, parts) or usual(parts, bare.image_size))


READING = ("folder", "size", "mean", "std")


def layers_of(plan: Description, parts: Sequence[ModuleTrace]) -> tuple[str, ...]:
    """The layers that the file names, () for none."""
    named, seen = plan.names("layers"), {part.name: part for part in parts}
    for layer in named:
        if layer not in seen:
            raise UnknownName.of(f"layer that can be read in {plan.path.name}:", layer, readable(parts))
        if not seen[layer].units:
            raise plan.problem(f"layer {layer!r} {refusal(seen[layer])}; choose a layer inside it, or another")
    return named


def facts_of(plan: Description) -> dict[str, Any]:
    """What pages tell about the model, in plain JSON values."""
    named = {"family": plan.words("family"), "segmenter": beside(plan.path.parent, plan.words("segmenter"))}
    told: dict[str, Any] = json.loads(json.dumps(plan.table("facts"), default=str))
    return {key: value for key, value in named.items() if value} | told


def beside(folder: Path, segmenter: str) -> str:
    """A segmenter's name, the relative paths in it (./folder, file.py:function) counted from a folder.

    >>> beside(Path("models"), "colour+./mine.py:load+ade20k:./weights+words:dome")
    'colour+models/./mine.py:load+ade20k:models/./weights+words:dome'
    """
    if folder == Path():
        return segmenter
    return re.sub(r"(^|[+:=])(?=\.{1,2}/|[^+:=/~][^+:=]*\.py:)", lambda found: f"{found[1]}{folder}/", segmenter)


def inputs_of(plan: Description) -> Inputs:
    """What the network is called with: `latent` for one, `inputs` for several."""
    if ("latent" in plan.given) == ("inputs" in plan.given):
        raise plan.problem("say what goes in: latent = 128 (or its shape, or a table), or inputs = [ … ] for several")
    try:
        if "latent" in plan.given:
            return Inputs((argument(plan.given["latent"]),))
        given = plan.given["inputs"]
        if not isinstance(given, list):
            raise plan.problem(f"inputs must be a list, not {given!r}")
        return Inputs(tuple(argument(one) for one in given))
    except (TypeError, BadOption) as problem:
        line = str(problem).removeprefix(f"{plan.path.name}: ")
        raise plan.problem(line) from problem


KINDS: dict[str, tuple[Callable[..., Argument], tuple[str, ...]]] = {
    "shape": (Noise, ("shape", "distribution", "scale", "low", "high", "bound", "name")),
    "classes": (Labels, ("classes", "encoding", "only", "name")),
    "value": (Constant, ("value", "name")),
}
"""By the key that tells them, the kinds of input and their keys."""


def argument(given: object) -> Argument:
    """One input: a number or a shape for a normal latent, or a table."""
    if isinstance(given, int) and not isinstance(given, bool):
        return Noise((given,))
    if isinstance(given, list):
        return Noise(whole_numbers("shape", given))
    if not isinstance(given, dict):
        raise BadOption(f"an input is a number, a shape, or a table, not {given!r}")
    kind = next((key for key in KINDS if key in given), "")
    if not kind:
        raise BadOption(f"an input has shape = … (noise), classes = … (a label) or value = … (a constant), not {given}")
    make, keys = KINDS[kind]
    for key in given:
        if key not in keys:
            raise BadOption(f"an input with {kind} has no {key!r}; it may have {', '.join(keys)}")
    return make(**{key: READ[key](key, value) if key in READ else value for key, value in given.items()})


def whole_numbers(key: str, given: object) -> tuple[int, ...]:
    """A whole number or a list of them, as a tuple."""
    listed = given if isinstance(given, list) else [given]
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in listed):
        raise BadOption(f"{key} must be a whole number or a list of them, not {given!r}")
    return tuple(listed)


def numbers(key: str, given: object) -> tuple[float, ...]:
    """A list of numbers, as a tuple."""
    if not isinstance(given, list) or not all(isinstance(value, int | float) for value in given):
        raise BadOption(f"{key} must be a list of numbers, not {given!r}")
    return tuple(float(value) for value in given)


def one(kind: tuple[type, ...], noun: str, key: str, given: Any) -> Any:
    """A value of a kind."""
    if not isinstance(given, kind) or isinstance(given, bool):
        raise BadOption(f"{key} must be {noun}, not {given!r}")
    return given


NUMBER, TEXT = partial(one, (int, float), "a number"), partial(one, (str,), "a text")
READ: Mapping[str, Callable[[str, object], Any]] = {
    **dict.fromkeys(("shape", "only"), whole_numbers),
    **dict.fromkeys(("scale", "low", "high", "bound"), NUMBER),
    **dict.fromkeys(("distribution", "encoding", "name"), TEXT),
    "classes": partial(one, (int,), "a whole number"),
}
"""How the values of an input's keys are read, where not every value will do."""


def output_of(plan: Description) -> Output:
    """How what the network returns is read."""
    given = plan.table("output")
    for key in given:
        if key not in ("take", "range", "channels"):
            raise UnknownName.of(f"key of output in {plan.path.name}:", key, ("take", "range", "channels"))
    ends = given.get("range", [-1, 1])
    if not (isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends)):
        raise plan.problem(f"range must be what is black and what is white, like [-1, 1] or [0, 255], not {ends!r}")
    channels = whole_numbers("channels", given["channels"]) if "channels" in given else ()
    take = one((str, int), "a key or a place", "take", given["take"]) if "take" in given else None
    return Output(take, channels, float(ends[0]), float(ends[1]), "range" in given)
