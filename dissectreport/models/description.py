"""A generator described by a TOML file: which network, which weights, what it takes, what it returns.

    network = "./net.py:Generator"        # or "package.module:function", or family = "progressive gan"
    weights = "generator.pt"              # relative to this file
    latent = { shape = [100], distribution = "uniform" }
    layers = ["block1", "block2"]

`KEYS` lists all keys; docs/own-gan.md explains them. The network's code is imported and run; weights are read as data.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dissectreport import structured
from dissectreport.checkpoints import reporting
from dissectreport.checkpoints.file_type import REMEDY
from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.checkpoints.names import StateDict
from dissectreport.checkpoints.parts import Place, places_of
from dissectreport.checkpoints.state_dicts import load_exactly, load_from, select_tensors
from dissectreport.checkpoints.weight_files import read_checkpoint
from dissectreport.errors import BadOption, DissectReportError, ModelError, UnknownName, WeightsError, answered
from dissectreport.files import sha256
from dissectreport.models.classifier import ClassesGiven, as_classifier, given_names
from dissectreport.models.families.base import FamilyNetwork, Sampling
from dissectreport.models.families.image_classifier import LAST_STRIDE
from dissectreport.models.families.opening import OpenedNetwork, open_found
from dissectreport.models.families.recognition import Found, find
from dissectreport.models.families.registry import FAMILIES
from dissectreport.models.image_folder import open_folder
from dissectreport.models.image_model import FolderImageModel, RedrawingModel
from dissectreport.models.inputs import Argument, ClassLabels, Constant, Inputs, Noise
from dissectreport.models.layers import default_layers, measurable_layers, why_not_measurable
from dissectreport.models.network_generator import NetworkCall, NetworkGenerator
from dissectreport.models.outputs import OutputFormat
from dissectreport.models.own_code import check_parts, checked_network, has_sizes
from dissectreport.models.proposals import latent_line, output_line
from dissectreport.networks.hooks import ModuleTrace, trace_modules
from dissectreport.networks.latents import latents
from dissectreport.run.addresses import quoted_path
from dissectreport.segmenters import masks

KEYS = {
    "name": "the model's name on pages; by default the file's name",
    "task": "classify, for a network that gives images a score for every class",
    "classes": "the names of the classes in the order of the scores, or a file with a name a line",
    "network": "the function or class that makes the network: ./file.py:Name, or package.module:Name",
    "family": f"an architecture that is recognised from its weights: {', '.join(FAMILIES)}",
    "arguments": "keyword arguments for the network's function",
    "weights": "the file of weights, relative to this file, or several; without it, the function loads its own",
    "sha256": "the SHA-256 of the weights, or its first digits; checked",
    "part": "the key of the weights in their file, such as g_ema",
    "prefix": "what all names of the weights begin with, such as generator.",
    "ignore": "patterns of names in the file that the network does not need, such as *.running_mean",
    "psi": "the truncation of a family, from 0 to 1 (none)",
    "cutoff": "the number of layers that psi truncates; by default all",
    "label": "the classes of a family that are drawn; by default all",
    "noise": "the noise of a StyleGAN2: const (a fixed pattern) or none",
    "last_stride": "the stride of layer4 in a ResNet: 2, or 1 for wideresnet18 of Places365",
    "latent": "its one latent: 128, [128], or { shape = …, distribution = … }",
    "inputs": "a list of all arguments, if there is more than one latent",
    "output": "{ take = …, range = [black, white], channels = [red, green, blue] }",
    "layers": "the layers that a build measures by default",
    "segmenter": "the segmenter that a build uses by default",
    "masks": "a folder of masks, in place of a segmenter; or { folder = …, images = …, names = … }",
    "reference": "a folder of real images",
    "images": "{ folder = …, size = [height, width], mean = …, std = …, labels = … } for a network that takes images; "
    "with output, it redraws them, unless its task is classify",
    "facts": "further facts for the report: licence, paper, dataset …",
}
SAMPLING_KEYS = ("psi", "cutoff", "label", "noise")
CLASSIFY = "classify"
"""The task of a classifier; a network without a task makes images or redraws them."""
IMAGES_KEYS = ("folder", "size", "mean", "std", "labels")
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


def _say_average(content: Mapping[str, Any], network: nn.Module, given: Place) -> None:
    """Say that a file has the moving average of the network that is read from it, if another part was named."""
    places = [] if given.averaged else places_of(content, network.state_dict(keep_vars=True))
    if places and places[0].averaged:
        reporting.say(f"the weights have a moving average too, which makes better images: set {places[0]}")


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
    labels = "labels" in description.table("images")
    if not task and not description.text("family") and ("classes" in content or labels):
        key = "classes" if "classes" in content else "labels of images"
        raise description.problem(f'{key} belongs to a classifier; add task = "{CLASSIFY}"')


@dataclass(frozen=True)
class NetworkBuilder:
    """Makes the network that a file describes, with its weights or with random ones."""

    description: Description
    resolve: Callable[[str], object]
    """Imports what an address such as package.module:function refers to."""
    weights: tuple[WeightFile, ...]
    """The files of weights; () if the function loads its own."""

    def trained(self) -> nn.Module:
        """The network with its weights."""
        if not self.weights:
            return self.without_weights()
        if self.recognised:
            return self.recognised.module
        contents = [self._content(file) for file in self.weights]
        text = self.description.text
        place, ignore = Place(text("part"), text("prefix")), self.description.names("ignore")
        network = self.without_weights()
        if len(contents) == 1 and not self.weights[0].prefix:
            load_from(network, contents[0], place, type(network).__name__, ignore)
            _say_average(contents[0], network, place)
        else:
            joined = self._joined([select_tensors(content, place.part, place.prefix) for content in contents])
            load_exactly(network, joined, type(network).__name__, ignore)
        return network

    def _content(self, file: WeightFile) -> Mapping[str, Any]:
        return read_checkpoint(file.path, file.sha256, self._remedy(file)).content

    def _remedy(self, file: WeightFile) -> str:
        return f"give the file with the sha256 of {self.description.path.name}" if file.sha256 else REMEDY

    def _joined(self, tensors: Sequence[StateDict]) -> StateDict:
        """The tensors of several files; a WeightsError if two files have the same name."""
        joined, versions = dict[str, Tensor](), dict[str, Any]()
        origin = dict[str, str]()
        for file, table in zip(self.weights, tensors, strict=True):
            for name, value in table.items():
                if (whole := file.prefix + name) in joined:
                    first, second = origin[whole], file.path.name
                    raise WeightsError(
                        f"{first} and {second} both have {whole}; say which part of the network each belongs to: "
                        f"weights = {{ 'first.' = '{first}', 'second.' = '{second}' }}"
                    )
                joined[whole], origin[whole] = value, file.path.name
            versions |= {(file.prefix + name).rstrip("."): value for name, value in (table.versions or {}).items()}
        return StateDict.of(joined, versions or None)

    def without_weights(self) -> nn.Module:
        """What the function returns, uncompiled."""
        function, name = self.resolve(self.address), f"network {self.address!r}"
        if not callable(function):
            raise self.description.problem(f"{name} is a {type(function).__name__}; it should be a function or class")
        arguments = self.description.table("arguments")
        who = (
            f"{self.description.path.name}: {self.description.text('network')} failed with "
            f"{f'arguments {arguments}' if arguments else 'no arguments'}"
        )
        returned = answered(ModelError, who, lambda: function(**arguments))
        return checked_network(returned, f"{self.description.path.name}: {name}")

    @cached_property
    def recognised(self) -> OpenedNetwork | None:
        """The network of a family, recognised in its file; None for other networks."""
        description = self.description
        family = description.text("family")
        if not family:
            return None
        (weights,) = self.weights
        file = open_model_file(weights.path, weights.sha256, self._remedy(weights))
        place = Place(description.text("part"), description.text("prefix"))
        found = find(file, place, family, description.names("ignore"))
        return open_found(with_stride(found, description), sampling_of(description))

    @property
    def reinitialise(self) -> Callable[[int], nn.Module] | None:
        """Makes the network with random weights; None if the function may load trained weights."""
        if self.recognised:
            return self.recognised.reinitialise
        return self._random if self.weights and self.description.text("network") else None

    def _random(self, seed: int) -> nn.Module:
        """The network with the random weights that its own code gives it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.without_weights()
            if not has_sizes(network):
                self._run_once(network)
            return network

    def _run_once(self, network: nn.Module) -> None:
        """Run a network, so that lazy modules learn their sizes."""
        network.eval()
        with torch.no_grad():
            if "images" in self.description.content:
                network(torch.zeros(2, 3, *self.description.table("images")["size"]))
                return
            inputs = inputs_of(self.description)
            positional, keywords = inputs.arguments_from(latents(0, 0, 2, inputs.latent_shape))
            network(*positional, **keywords)

    @property
    def address(self) -> str:
        """The network's address; ./file.py is relative to the description's folder."""
        module, colon, name = self.description.text("network").rpartition(":")
        file = self.description.path.parent / module
        return f"{file}:{name}" if module.endswith(".py") else f"{module}{colon}{name}"

    def code_digest(self) -> str:
        """The SHA-256 of what images depend on besides the weights: address, arguments, and the file with the code.

        '' for a family, which its weights determine.
        """
        if self.description.text("family"):
            return ""
        module = self.address.rpartition(":")[0]
        file = sha256(Path(module), links=True) if module.endswith(".py") else ""
        parts = [self.description.text("network"), self.description.table("arguments"), file]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def load(path: Path, resolve: Callable[[str], object], weights: str = "") -> NetworkGenerator | FolderImageModel:
    """The generator that a file describes.

    `resolve` imports what an address such as package.module:function refers to. `weights` is a file that replaces the
    described one.
    """
    description = read_description(path)
    # The checksum belongs to the described file; a file that replaces it has another.
    files = (WeightFile(Path(weights).expanduser()),) if weights else description.weight_files()
    builder = NetworkBuilder(description, resolve, files)
    network = answered(ModelError, f"{path.name}: the weights cannot be loaded into the network", builder.trained)
    network.requires_grad_(False).eval()
    make = image_model if "images" in description.content else generator
    return make(description, builder, network)


def generator(description: Description, builder: NetworkBuilder, network: nn.Module) -> NetworkGenerator:
    """The generator of a network that makes images; it is run on two latents to find its layers and image size."""
    known = builder.recognised
    if known and known.inputs is None:
        raise description.problem(
            f'a {known.title} reads photographs; add images = {{ folder = "photos", size = [256, 256] }}'
        )
    own = not {"latent", "inputs"} & set(description.content)
    if own and known is None:
        _check_latent(description, network)
    inputs = known.inputs if known and known.inputs and own else inputs_of(description)
    output = known.output if known and "output" not in description.content else output_of(description)
    modules, images = _traced(description, network, inputs, output)
    check_parts(network, modules)
    size = (int(images.shape[2]), int(images.shape[3]))
    labelled = labelled_samples(description)
    units, default = measurable_layers(modules), default_layers(modules, size)
    if known and isinstance(network, FamilyNetwork):
        units, default = known.layers, known.default_layers
    return NetworkGenerator(
        name=description.name,
        module=network,
        image_size=size,
        layers=units,
        default_layers=described_layers(description, modules) or default,
        # Masks are of this network's samples; there are none of an untrained one.
        reinitialise=None if labelled else builder.reinitialise,
        max_samples=labelled,
        reference=description.file("reference"),
        facts={"inputs": inputs.describe(), **recognised_facts(known), **facts_of(description)},
        code=builder.code_digest(),
        inputs=inputs,
        output=output,
    )


def _check_latent(description: Description, network: nn.Module) -> None:
    """Raise a BadOption with the line that a description without a latent needs, if it can be inferred."""
    line = latent_line(network)
    if line:
        raise description.problem(f"describe what the network takes: set {line}")


def _traced(
    description: Description, network: nn.Module, inputs: Inputs, output: OutputFormat
) -> tuple[tuple[ModuleTrace, ...], Tensor]:
    """The parts of a network that run on two latents, and its images; an error says which line would do."""
    z = latents(0, 0, 2, inputs.latent_shape)
    call = NetworkCall(network, inputs, output)
    try:
        return trace_modules(call, z)
    except DissectReportError as problem:
        positional, keywords = inputs.arguments_from(z)
        returned = answered(ModelError, description.path.name, lambda: network(*positional, **keywords))
        line = output_line(returned)
        raise type(problem)(f"{problem}; set {line}" if line else str(problem)) from problem
    except (Exception, SystemExit):  # a user's network may fail in any way
        line = latent_line(network)
        advice = f"set {line}" if line else "describe in latent or inputs what it takes"
        who = f"{description.path.name}: the network failed on two inputs ({inputs.describe()}); {advice}"
        return answered(ModelError, who, lambda: trace_modules(call, z))


def image_model(description: Description, builder: NetworkBuilder, network: nn.Module) -> FolderImageModel:
    """The model of a network that takes images; it is run on two images to find its layers.

    With `output`, and for an autoencoder of a known family, it is one that redraws them.
    """
    known = builder.recognised
    classifies = description.text("task") == CLASSIFY or (known is not None and known.classifies)
    if known and known.inputs is not None:
        raise description.problem(f"a {known.title} draws images of its own; remove images")
    for key in ("latent", "inputs", "reference"):
        if key in description.content:
            raise description.problem(f"a network that takes images has no {key}; remove it, or remove images")
    images = description.table("images")
    description.check_keys(images, IMAGES_KEYS, "of images ")
    size = whole_numbers("size", images.get("size", []))
    if not isinstance(images.get("folder"), str) or len(size) != 2:
        raise description.problem('images needs a folder and a size: images = { folder = "photos", size = [224, 224] }')
    folder = description.path.parent / Path(images["folder"]).expanduser()
    redraws = not classifies and (known is not None or "output" in description.content)
    output = known.output if known and "output" not in description.content else output_of(description)
    model = (partial(RedrawingModel, output=output) if redraws else FolderImageModel)(
        name=description.name,
        module=network,
        folder=open_folder(folder, (size[0], size[1])),
        layers=tuple(name for name, _ in network.named_modules() if name),
        default_layers=(),
        mean=numbers("mean", images.get("mean", list(known.mean) if known else [])),
        std=numbers("std", images.get("std", list(known.std) if known else [])),
        reinitialise=builder.reinitialise,
        facts={**recognised_facts(known), **facts_of(description)},
        code=builder.code_digest(),
    )
    z = open_folder(folder, (size[0], size[1])).first(2)
    who = f"{description.path.name}: the network failed on images of {size[0]} x {size[1]}"
    modules, redrawn = answered(ModelError, who, lambda: trace_modules(model, z))
    check_parts(network, modules)
    if redrawn.shape != z.shape:
        raise description.problem(
            f"the network makes images of {redrawn.shape[2]} x {redrawn.shape[3]} of those of {size[0]} x {size[1]}; "
            "give a size at which both are the same"
        )
    units, default = measurable_layers(modules), default_layers(modules, model.image_size)
    if known:
        units, default = known.layers, known.default_layers
    model = replace(model, layers=units, default_layers=described_layers(description, modules) or default)
    return as_classifier(model, classes_of(description), description.path.name) if classifies else model


def classes_of(description: Description) -> ClassesGiven:
    """What the file says about the classes of a classifier."""
    content, images, who = description.content, description.table("images"), description.path.name
    table = images.get("labels")
    if table is not None and not isinstance(table, str):
        raise description.problem(f"labels must be the name of a CSV file of file and class, not {table!r}")
    output = description.table("output")
    description.check_keys(output, ("take",), "of the output of a classifier ")
    return ClassesGiven(
        given_names(content["classes"], description.path.parent, who) if "classes" in content else (),
        description.path.parent / Path(table).expanduser() if table is not None else None,
        of_type((str, int), "a key or an index", "take", output["take"]) if "take" in output else None,
    )


def described_layers(description: Description, modules: Sequence[ModuleTrace]) -> tuple[str, ...]:
    """The layers that the file names, checked; () for none."""
    named, by_name = description.names("layers"), {module.name: module for module in modules}
    for layer in named:
        if layer not in by_name:
            raise UnknownName.of(f"measurable layer in {description.path.name}:", layer, measurable_layers(modules))
        if not by_name[layer].units:
            raise description.problem(
                f"layer {layer!r} {why_not_measurable(by_name[layer])}; choose a layer inside it, or another"
            )
    return named


def recognised_facts(known: OpenedNetwork | None) -> dict[str, Any]:
    """What a recognised network says about itself; nothing for other networks."""
    return {} if known is None else {"recognised": known.line, "sampling": known.sampling}


def with_stride(found: Found, description: Description) -> Found:
    """A network with the stride that a description gives, which no tensor shows; unchanged where it gives none."""
    if LAST_STRIDE not in description.content:
        return found
    settings = {**found.network.settings, LAST_STRIDE: description.content[LAST_STRIDE]}
    return replace(found, network=replace(found.network, settings=settings))


def sampling_of(description: Description) -> Sampling:
    """How images are drawn from a network of a family: psi, cutoff, label and noise."""
    content = description.content
    try:
        cutoff = whole_numbers("cutoff", content["cutoff"]) if "cutoff" in content else (None,)
        return Sampling(
            psi=float(NUMBER("psi", content.get("psi", 1.0))),
            cutoff=cutoff[0],
            labels=whole_numbers("label", content["label"]) if "label" in content else (),
            noise=TEXT("noise", content.get("noise", "const")),
        )
    except BadOption as problem:
        raise description.problem(str(problem)) from problem


def facts_of(description: Description) -> dict[str, Any]:
    """The facts for the report, as plain JSON values."""
    segmenter = masks_of(description) or relative_to(description.path.parent, description.text("segmenter"))
    named = {"family": description.text("family"), "segmenter": segmenter}
    facts: dict[str, Any] = structured.parse_json(json.dumps(description.table("facts"), default=str))
    return {key: value for key, value in named.items() if value} | facts


def masks_of(description: Description) -> str:
    """The segmenter of the masks that the file names; '' for none."""
    given = description.content.get("masks")
    if given is None:
        return ""
    if "segmenter" in description.content:
        raise description.problem("masks take the place of a segmenter; remove one of them")
    table = {"folder": given} if isinstance(given, str) else given
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise description.problem(f"masks must be a folder, or {{ folder = …, images = …, names = … }}, not {given!r}")
    description.check_keys(table, MASK_KEYS, "of masks ")
    if "folder" not in table:
        raise description.problem("masks needs a folder")
    images = description.table("images").get("folder")
    own = {"images": images, **table} if isinstance(images, str) else table
    places = {key: description.path.parent / Path(own[key]).expanduser() for key in MASK_KEYS if key in own}
    paths = {key: quoted_path(place, safe="/") for key, place in places.items()}
    settings = [f"{key}={path}" for key, path in paths.items() if key != "folder"]
    return ",".join([f"masks:{paths['folder']}", *settings])


def labelled_samples(description: Description) -> int | None:
    """How many samples of a generator somebody labelled; None where it has a segmenter."""
    name = masks_of(description)
    return len(masks.load(name.partition(":")[2]).layout.entries) if name else None


def relative_to(folder: Path, segmenter: str) -> str:
    """A segmenter's name in which relative paths (./folder, file.py:function) are prefixed by a folder.

    >>> relative_to(Path("models"), "colour+./mine.py:load+ade20k:./weights+words:dome")
    'colour+models/./mine.py:load+ade20k:models/./weights+words:dome'
    """
    if folder == Path():
        return segmenter
    return re.sub(r"(^|[+:=])(?=\.{1,2}/|[^+:=/~][^+:=]*\.py:)", lambda match: f"{match[1]}{folder}/", segmenter)


def inputs_of(description: Description) -> Inputs:
    """What the network is called with: `latent` for one argument, `inputs` for several."""
    content = description.content
    if ("latent" in content) == ("inputs" in content):
        raise description.problem(
            "describe what the network takes: latent = 128 (or its shape, or a table), or inputs = [ … ] for several"
        )
    try:
        if "latent" in content:
            return Inputs((argument(content["latent"]),))
        if not isinstance(content["inputs"], list):
            raise description.problem(f"inputs must be a list, not {content['inputs']!r}")
        return Inputs(tuple(map(argument, content["inputs"])))
    except (TypeError, BadOption) as problem:
        line = str(problem).removeprefix(f"{description.path.name}: ")
        raise description.problem(line) from problem


KINDS: dict[str, tuple[Callable[..., Argument], tuple[str, ...]]] = {
    "shape": (Noise, ("shape", "distribution", "scale", "low", "high", "bound", "name")),
    "classes": (ClassLabels, ("classes", "encoding", "only", "name")),
    "value": (Constant, ("value", "name")),
}
"""The kinds of input, by the key that marks them, and the keys that each may have."""


def argument(value: object) -> Argument:
    """One input: a number or a shape for a standard normal latent, or a table."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Noise((value,))
    if isinstance(value, list):
        return Noise(whole_numbers("shape", value))
    if not isinstance(value, dict):
        raise BadOption(f"an input is a number, a shape, or a table, not {value!r}")
    kind = next((key for key in KINDS if key in value), "")
    if not kind:
        raise BadOption(f"an input has shape = … (noise), classes = … (a label) or value = … (a constant), not {value}")
    make, keys = KINDS[kind]
    for key in value:
        if key not in keys:
            raise BadOption(f"an input with {kind} has no {key!r}; it may have {', '.join(keys)}")
    return make(**{key: READERS[key](key, entry) if key in READERS else entry for key, entry in value.items()})


def whole_numbers(key: str, value: object) -> tuple[int, ...]:
    """A whole number or a list of them, as a tuple."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, int) and not isinstance(item, bool) for item in values):
        raise BadOption(f"{key} must be a whole number or a list of them, not {value!r}")
    return tuple(values)


def numbers(key: str, values: object) -> tuple[float, ...]:
    """A list of numbers, as a tuple."""
    if not isinstance(values, list) or not all(isinstance(item, int | float) for item in values):
        raise BadOption(f"{key} must be a list of numbers, not {values!r}")
    return tuple(float(item) for item in values)


def of_type(types: tuple[type, ...], noun: str, key: str, value: Any) -> Any:
    """The value, if it is of one of the types."""
    if not isinstance(value, types) or isinstance(value, bool):
        raise BadOption(f"{key} must be {noun}, not {value!r}")
    return value


NUMBER, TEXT = partial(of_type, (int, float), "a number"), partial(of_type, (str,), "a text")
READERS: Mapping[str, Callable[[str, object], Any]] = {
    **dict.fromkeys(("shape", "only"), whole_numbers),
    **dict.fromkeys(("scale", "low", "high", "bound"), NUMBER),
    **dict.fromkeys(("distribution", "encoding", "name"), TEXT),
    "classes": partial(of_type, (int,), "a whole number"),
}
"""Check and convert the values of an input's keys; other keys take any value."""


def output_of(description: Description) -> OutputFormat:
    """How to get images from what the network returns."""
    table = description.table("output")
    description.check_keys(table, OUTPUT_KEYS, "of output ")
    ends = table.get("range", [-1, 1])
    if not (isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends)):
        raise description.problem(
            f"range must be the values of black and white, such as [-1, 1] or [0, 255], not {ends!r}"
        )
    channels = whole_numbers("channels", table["channels"]) if "channels" in table else ()
    take = of_type((str, int), "a key or an index", "take", table["take"]) if "take" in table else None
    return OutputFormat(take, channels, float(ends[0]), float(ends[1]), "range" in table)
