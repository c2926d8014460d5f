"""The generators that come with the package: Progressive GANs trained here on drawn scenes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from torch import Tensor, nn

from dissectreport.errors import WeightsError
from dissectreport.models.proggan import ProgressiveGenerator, from_state_dict
from dissectreport.models.wrap import NetworkGenerator

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT_LAYERS = ("layer2", "layer4", "layer6", "layer8", "layer10")


def scenes_pgan() -> NetworkGenerator:
    """Churches under a sky, 128 x 128: the trained generator."""
    return embedded("scenes_pgan", WEIGHTS)


def scenes_pgan_early() -> NetworkGenerator:
    """The same generator early in its training, for comparison."""
    return embedded("scenes_pgan_early", WEIGHTS)


def embedded(name: str, folder: Path) -> NetworkGenerator:
    """The generator of `folder`/`name`.safetensors, checked against the card beside it."""
    card = read_card(folder / f"{name}.json")
    network = as_processors_like(from_state_dict(read_weights(folder / f"{name}.safetensors", str(card["sha256"]))))
    return NetworkGenerator(
        name=name,
        module=network,
        latent_shape=(network.latent_size,),
        image_size=(network.resolution, network.resolution),
        layers=network.layers,
        default_layers=tuple(layer for layer in DEFAULT_LAYERS if layer in network.layers),
        remade=lambda seed: untrained(network.sizes, seed),
        drawings=lambda count: drawn(count, network.resolution),
        facts={"family": "Progressive GAN", "segmenter": "scenes", "sha256": card["sha256"], "card": card},
    )


def read_card(path: Path) -> Mapping[str, Any]:
    """What is written about the weights beside them; `sha256` is that of the file."""
    try:
        card = json.loads(_bytes(path))
    except ValueError as problem:
        raise WeightsError(f"{path} is not JSON: {problem}; reinstall the package") from problem
    if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
        raise WeightsError(f"{path} gives no sha256 for its weights; reinstall the package")
    return card


def read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file with this SHA-256, those of half precision as float32."""
    content = _bytes(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsError(
            f"{path} is not the file that its card describes (SHA-256 {found[:12]}…, not {sha256[:12]}…): "
            "it was changed or cut short; reinstall the package"
        )
    try:
        tensors = parse_safetensors(content)
    except SafetensorError as problem:
        raise WeightsError(f"{path} is no safetensors file: {problem}") from problem
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}; reinstall the package") from problem


def untrained(sizes: tuple[int, ...], seed: int) -> nn.Module:
    """A Progressive GAN of these sizes with random weights."""
    network = ProgressiveGenerator(sizes)
    network.initialise(seed)
    return as_processors_like(network)


def as_processors_like(network: ProgressiveGenerator) -> ProgressiveGenerator:
    """The network with its channels last: it draws twice as fast on a processor."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def drawn(count: int, size: int) -> Tensor:
    """(count, 3, size, size) drawings in [-1, 1] that no network was trained on."""
    from dissectreport.training.drawings import HELD_OUT_SEED, draw_many  # Pillow is needed only here

    pixels: Tensor = torch.from_numpy(np.array(draw_many(HELD_OUT_SEED, range(count), size).image))
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
