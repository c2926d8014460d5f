"""The model that a description describes: a generator, or a network on the images of a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dissectreport.errors import DissectReportError, ModelError, UnknownName, answered, check_machine
from dissectreport.models.classifier import ClassesGiven, as_classifier, given_names
from dissectreport.models.described_network import NetworkBuilder
from dissectreport.models.described_values import (
    facts_of,
    inputs_of,
    labelled_samples,
    numbers,
    of_type,
    output_of,
    whole_numbers,
)
from dissectreport.models.description import CLASSIFY, IMAGES_KEYS, Description, WeightFile, read_description
from dissectreport.models.families.base import FamilyNetwork
from dissectreport.models.families.opening import OpenedNetwork
from dissectreport.models.image_folder import open_folder
from dissectreport.models.image_model import FolderImageModel, RedrawingModel
from dissectreport.models.inputs import Inputs
from dissectreport.models.layers import default_layers, measurable_layers, why_not_measurable
from dissectreport.models.network_generator import NetworkCall, NetworkGenerator
from dissectreport.models.outputs import OutputFormat
from dissectreport.models.own_code import check_parts
from dissectreport.models.proposals import latent_line, output_line
from dissectreport.networks.hooks import ModuleTrace, trace_modules
from dissectreport.networks.latents import latents
from dissectreport.run.watchdog import call_of


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
        with call_of(f"generator {description.name!r}"):
            return trace_modules(call, z)
    except DissectReportError as problem:
        positional, keywords = inputs.arguments_from(z)
        returned = answered(ModelError, description.path.name, lambda: network(*positional, **keywords))
        line = output_line(returned)
        raise type(problem)(f"{problem}; set {line}" if line else str(problem)) from problem
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # a user's network may fail in any way
        check_machine(failure)
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
        raise description.problem(f"a {known.title} generates images of its own; remove images")
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
        channels=whole_numbers("channels", images.get("channels", [])),
        reinitialise=builder.reinitialise,
        facts={**recognised_facts(known), **facts_of(description)},
        code=builder.code_digest(),
    )
    z = open_folder(folder, (size[0], size[1])).first(2)
    who = f"{description.path.name}: the network failed on images of {size[0]} x {size[1]}"
    with call_of(f"generator {description.name!r}"):
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
    content, who = description.content, description.path.name
    table, others = (
        _named(description, key, "a CSV file of file and class") for key in ("labels", "validation_labels")
    )
    validation = _named(description, "validation", "a folder of images")
    if others is not None and validation is None:
        raise description.problem('validation_labels are those of a folder; add validation = "val" to images')
    output = description.table("output")
    description.check_keys(output, ("take",), "of the output of a classifier ")
    return ClassesGiven(
        given_names(content["classes"], description.path.parent, who) if "classes" in content else (),
        table,
        of_type((str, int), "a key or an index", "take", output["take"]) if "take" in output else None,
        validation=validation,
        validation_table=others,
    )


def _named(description: Description, key: str, what: str) -> Path | None:
    """The file or folder that a key of images names; None where it is left out."""
    value = description.table("images").get(key)
    if value is not None and not isinstance(value, str):
        raise description.problem(f"{key} must be the name of {what}, not {value!r}")
    return None if value is None else description.path.parent / Path(value).expanduser()


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
