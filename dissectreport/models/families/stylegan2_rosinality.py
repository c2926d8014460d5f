"""Checkpoints of rosinality's StyleGAN2 in PyTorch: the same network as `stylegan2` under other names.

The weights of a converted file equal the official ones. A training file has no average w; then it is the mean of the
mapped first 4,096 latents of seed 0.
"""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import Tensor

from dissectreport.checkpoints.names import shown
from dissectreport.errors import WeightsError
from dissectreport.models.families.base import NetworkTensors, Sampling
from dissectreport.models.families.stylegan2 import MARK as OFFICIAL_MARK
from dissectreport.models.families.stylegan2 import StyleGAN2, structure_of, with_noise
from dissectreport.networks.latents import latents

MARK = "input.input"
"""The tensor by which the family is recognised."""
AVERAGE = "latent_avg"
SAMPLES = 4096
"""Latents whose mean is the average w, where the file has none."""
CONSTANT = re.compile(r".*\.(blur|upsample)\.kernel")
OFFICIAL = re.compile(r"(mapping|synthesis)(\.\w+)+")
"""Official names, in a message."""
INNER = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
    "bias": "bias",
}
"""Names within a layer, and the official ones."""


class RosinalityStyleGAN2(StyleGAN2):
    """The network of `stylegan2`, with messages in rosinality's names."""

    title = "StyleGAN2 (rosinality)"


def from_tensors(found: NetworkTensors, sampling: Sampling) -> RosinalityStyleGAN2:
    """The network with these tensors; a WeightsError says what does not fit, by rosinality's names."""
    try:
        return _from_tensors(found, sampling)
    except WeightsError as problem:
        raise WeightsError(OFFICIAL.sub(lambda match: own_name(match[0]), str(problem))) from problem


def _from_tensors(found: NetworkTensors, sampling: Sampling) -> RosinalityStyleGAN2:
    tensors = {official_name(name): value for name, value in found.tensors.items() if not CONSTANT.fullmatch(name)}
    renamed = {name: _reshaped(name, value) for name, value in tensors.items()}
    average = found.settings.get(AVERAGE)
    if isinstance(average, Tensor):
        renamed["mapping.w_avg"] = _one_row(average)
    official = NetworkTensors(renamed)
    # These programs have no clamp.
    structure = replace(structure_of(official), clamp=None, averaged=True)
    network = RosinalityStyleGAN2(structure, sampling)
    known = isinstance(average, Tensor)
    renamed = with_noise(renamed)
    network.take(renamed if known else {**renamed, "mapping.w_avg": torch.zeros(structure.w)})
    if not known:
        network.mapping.w_avg.copy_(average_w(network))
    return network.eval()


def own_name(official: str) -> str:
    """The name of a tensor in rosinality's files, by its official name.

    >>> own_name("synthesis.b16.conv1.weight"), own_name("synthesis.b8.torgb.bias"), own_name("mapping.fc0.bias")
    ('convs.3.conv.weight', 'to_rgbs.0.bias', 'style.1.bias')
    """
    if match := re.fullmatch(r"mapping\.fc(\d+)\.(\w+)", official):
        return f"style.{int(match[1]) + 1}.{match[2]}"
    match = re.fullmatch(r"synthesis\.b(\d+)\.(conv[01]|torgb)\.(.+)", official)
    if match is None:
        return {OFFICIAL_MARK: MARK}.get(official, official)
    power, part, inner = int(match[1]).bit_length() - 1, match[2], match[3]
    if inner == "noise_const":
        return f"noises.noise_{2 * power - 5 + int(part[-1]) if power > 2 else 0}"
    first, later = ("to_rgb1", "to_rgbs") if part == "torgb" else ("conv1", "convs")
    number = power - 3 if part == "torgb" else 2 * (power - 3) + int(part[-1])
    layer = first if power == 2 else f"{later}.{number}"
    ends = {value: key for key, value in INNER.items() if (key == "bias") == (part == "torgb") or value != "bias"}
    return f"{layer}.{ends.get(inner, inner)}"


def _one_row(average: Tensor) -> Tensor:
    """(w,) an average w, which some files repeat for each layer."""
    if average.ndim == 2 and bool((average == average[:1]).all()):
        return average[0]
    return average.flatten()


def average_w(network: StyleGAN2) -> Tensor:
    """(w,) the mean of the mapped first latents of seed 0."""
    z = latents(0, 0, SAMPLES, (network.latent_size,))
    with torch.no_grad():
        return network.mapping.untruncated(z).mean(0)


def official_name(name: str) -> str:
    """The official name of a tensor; a WeightsError if it has none.

    >>> official_name("convs.3.conv.weight"), official_name("to_rgbs.0.bias"), official_name("noises.noise_3")
    ('synthesis.b16.conv1.weight', 'synthesis.b8.torgb.bias', 'synthesis.b16.conv0.noise_const')
    """
    if name == MARK:
        return OFFICIAL_MARK
    if match := re.fullmatch(r"style\.(\d+)\.(weight|bias)", name):
        return f"mapping.fc{int(match[1]) - 1}.{match[2]}"
    if match := re.fullmatch(r"noises\.noise_(\d+)", name):
        number = int(match[1])
        layer = f"b{2 ** ((number + 5) // 2)}.conv{(number + 1) % 2}" if number else "b4.conv1"
        return f"synthesis.{layer}.noise_const"
    layer, inner = _layer_of(name)
    if inner not in INNER:
        raise WeightsError(f"{shown(name)} is no tensor of rosinality's StyleGAN2")
    return f"synthesis.{layer}.{INNER[inner]}"


def _layer_of(name: str) -> tuple[str, str]:
    """The official name of a tensor's layer, and the rest of its own name."""
    if match := re.fullmatch(r"conv1\.(.+)", name):
        return "b4.conv1", match[1]
    if match := re.fullmatch(r"to_rgb1\.(.+)", name):
        return "b4.torgb", match[1]
    if match := re.fullmatch(r"convs\.(\d+)\.(.+)", name):
        return f"b{8 * 2 ** (int(match[1]) // 2)}.conv{int(match[1]) % 2}", match[2]
    if match := re.fullmatch(r"to_rgbs\.(\d+)\.(.+)", name):
        return f"b{8 * 2 ** int(match[1])}.torgb", match[2]
    raise WeightsError(f"{shown(name)} is no tensor of rosinality's StyleGAN2")


def _reshaped(name: str, value: Tensor) -> Tensor:
    """A tensor without the axes of length one that the official programs do not have."""
    if name.endswith(("const", "noise_strength")) or (name.endswith("weight") and value.ndim == 5):
        axes = 3 if name == OFFICIAL_MARK else 2 if name.endswith("noise_const") else 4 if value.ndim == 5 else 0
        before = value.shape[: max(0, value.ndim - axes)]
        return value.reshape(value.shape[len(before) :]) if all(length == 1 for length in before) else value
    return value.flatten() if name.endswith("torgb.bias") else value
