"""A recognised network, ready to be sampled, and what is known about it.

network = open_found(find(open_model_file(Path("ffhq.pkl"))), Sampling())
network.line                              # "StyleGAN2, 256 px, config F, 512 latents, no labels; reading G_ema"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from dissectreport.checkpoints.names import shown
from dissectreport.checkpoints.state_dicts import channels_last
from dissectreport.errors import DissectReportError, WeightsError, check_machine
from dissectreport.models import proggan_variants, published
from dissectreport.models.families.base import (
    DEFAULT_SAMPLING,
    FamilyNetwork,
    Make,
    NetworkTensors,
    Sampling,
    evenly,
    untrained,
)
from dissectreport.models.families.image_classifier import ImageClassifier
from dissectreport.models.families.recognition import Found
from dissectreport.models.families.redrawing import RedrawingNetwork
from dissectreport.models.inputs import Inputs
from dissectreport.models.outputs import OutputFormat

CHANNELS = {1: (0, 0, 0), 3: (), 4: (0, 1, 2)}
"""Which channels are red, green and blue, by the number of channels that a network makes."""


@dataclass(frozen=True)
class OpenedNetwork:
    """A network that is ready to be sampled, and what is known about it."""

    module: nn.Module
    inputs: Inputs | None
    """What the network is called with; None where it redraws photographs."""
    output: OutputFormat
    layers: tuple[str, ...]
    default_layers: tuple[str, ...]
    resolution: int
    title: str
    line: str
    """The family, size, latent and labels in words."""
    sampling: str
    """How images are drawn, in words."""
    reinitialise: Callable[[int], nn.Module]
    classifies: bool = False
    """Whether it gives photographs a score for every class; then `inputs` is None too."""
    mean: tuple[float, ...] = ()
    """By which photographs are normalised; () for those in [-1, 1]."""
    std: tuple[float, ...] = ()


def open_found(found: Found, sampling: Sampling) -> OpenedNetwork:
    """The network, ready to be sampled; a WeightsError says what does not fit its family."""
    try:
        _check_numbers(found.network)
        if found.family.make is None:
            return _progressive(found, sampling)
        network = _made(found.family.make, found.network, sampling)
        if network.colours not in CHANNELS:
            raise WeightsError(f"it makes {network.colours} channels, not images of 1, 3 or 4")
    except WeightsError as problem:
        raise WeightsError(
            f"{found.file.path} looks like {found.family.title}{_comma(reading_of(found))}, but does not fit: {problem}"
        ) from problem
    classifies = isinstance(network, ImageClassifier)
    return OpenedNetwork(
        module=channels_last(network),
        inputs=None if isinstance(network, RedrawingNetwork | ImageClassifier) else network.inputs(),
        output=OutputFormat(channels=CHANNELS[network.colours], certain=True),
        layers=network.unit_layers,
        default_layers=network.default_layers,
        resolution=network.resolution,
        title=network.title,
        line="; ".join(filter(None, (network.describe(), reading_of(found)))),
        sampling=network.describe_sampling(),
        reinitialise=lambda seed: untrained(network, seed),
        classifies=classifies,
        mean=network.mean if isinstance(network, ImageClassifier) else (),
        std=network.std if isinstance(network, ImageClassifier) else (),
    )


def _made(make: Make, tensors: NetworkTensors, sampling: Sampling) -> FamilyNetwork:
    """The network of a family; a WeightsError where shapes are such that its code fails."""
    try:
        return make(tensors, sampling)
    except DissectReportError:
        raise
    except Exception as problem:  # Each family checks what it knows of; other shapes may fail in any way.
        check_machine(problem)
        line = shown(str(problem).partition("\n")[0][:120])
        raise WeightsError(f"the shapes of its tensors do not fit each other ({line})") from problem


def _check_numbers(network: NetworkTensors) -> None:
    """Raise a WeightsError for tensors that no network computes with, and for a network that is a part of another."""
    if network.others:
        raise WeightsError(f"{network.others} besides, so it is the network of a program that derives from this family")
    for name, value in ((shown(name), value) for name, value in network.tensors.items()):
        if value.is_quantized or value.is_meta or value.is_complex() or value.layout != torch.strided:
            raise WeightsError(f"{name} is quantized, sparse, complex or without storage; save it as a plain tensor")
        if not value.is_floating_point() and value.numel() > 1:
            raise WeightsError(f"{name} has whole numbers ({value.dtype}); give the weights before they were quantized")
        if not bool(torch.isfinite(value.float()).all()):
            raise WeightsError(f"{name} has values that are not finite; give a file from before training failed")


def reading_of(found: Found) -> str:
    """Which part of the file is read, such as "reading G_ema"; '' for a file with one network."""
    name = ".".join(filter(None, (found.network.part, found.network.prefix.strip("./"))))
    return f"reading {shown(name)}" if name else ""


def _comma(words: str) -> str:
    return f", {words}" if words else ""


def _progressive(found: Found, sampling: Sampling) -> OpenedNetwork:
    """A Progressive GAN, which has neither truncation nor labels."""
    if sampling != DEFAULT_SAMPLING:
        raise WeightsError("a Progressive GAN has no psi, cutoff, label or noise; leave them out")
    network = channels_last(proggan_variants.from_state_dict(found.network.tensors))
    line = f"Progressive GAN, {network.resolution} px, {network.latent_size} latents, no labels"
    return OpenedNetwork(
        module=network,
        inputs=Inputs.normal((network.latent_size,)),
        output=OutputFormat(),
        layers=network.layers,
        default_layers=evenly(network.layers[3::2] or network.layers[-1:]),
        resolution=network.resolution,
        title=found.family.title,
        line="; ".join(filter(None, (line, reading_of(found)))),
        sampling="no truncation",
        reinitialise=lambda seed: published.untrained(network, seed),
    )
