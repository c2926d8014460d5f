"""The generators that come with the package, which were trained on drawings: Progressive GANs and a StyleGAN2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dissectreport.checkpoints.state_dicts import channels_last
from dissectreport.checkpoints.weight_files import read_card, read_tensors
from dissectreport.models.families import base, stylegan2
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.models.proggan import ProgressiveGenerator, from_state_dict

WEIGHTS = Path(__file__).parent / "weights"
REINSTALL = "reinstall the package"
DEFAULT_LAYERS = ("layer2", "layer4", "layer6", "layer8", "layer10")


def scenes_pgan() -> NetworkGenerator:
    """Churches under a sky, 128 x 128: the trained generator."""
    return embedded("scenes_pgan", WEIGHTS)


def scenes_pgan_early() -> NetworkGenerator:
    """The same generator early in training, for comparison."""
    return embedded("scenes_pgan_early", WEIGHTS)


def rooms_pgan() -> NetworkGenerator:
    """Bedrooms, living rooms and dining rooms, 64 x 64."""
    return embedded("rooms_pgan", WEIGHTS)


def scenes64() -> NetworkGenerator:
    """A smaller generator of scenes, 64 x 64, trained for 130 thousand images, as its variants were."""
    return embedded("scenes64", WEIGHTS)


def scenes64_early() -> NetworkGenerator:
    """The same training after 83 thousand images."""
    return embedded("scenes64_early", WEIGHTS)


def scenes64_deviation() -> NetworkGenerator:
    """The variant without pixel norm: GAN Dissection's second of three (section 4.2)."""
    return embedded("scenes64_deviation", WEIGHTS)


def scenes64_plain() -> NetworkGenerator:
    """The variant without pixel norm and without minibatch standard deviation: the first of three."""
    return embedded("scenes64_plain", WEIGHTS)


def embedded(name: str, folder: Path) -> NetworkGenerator:
    """The generator of `folder`/`name`.safetensors, checked against its card."""
    card = read_card(folder / f"{name}.json", REINSTALL)
    tensors = read_tensors(folder / f"{name}.safetensors", card["sha256"], REINSTALL)
    network = channels_last(from_state_dict(tensors, plain=not card.get("pixel_norm", True)))
    subject = str(card.get("subject", "scenes"))
    return NetworkGenerator(
        name=name,
        module=network,
        latent_shape=(network.latent_size,),
        image_size=(network.resolution, network.resolution),
        layers=network.layers,
        default_layers=tuple(layer for layer in DEFAULT_LAYERS if layer in network.layers),
        reinitialise=lambda seed: untrained(network, seed),
        training_like=lambda count: held_out_drawings(count, network.resolution, subject),
        training_like_from=lambda first, count: held_out_drawings(count, network.resolution, subject, first),
        facts={"family": "Progressive GAN", "segmenter": subject, "sha256": card["sha256"], "card": card},
    )


def embedded_style(name: str, folder: Path, sampling: base.Sampling = base.DEFAULT_SAMPLING) -> NetworkGenerator:
    """The StyleGAN2 of `folder`/`name`.safetensors, checked against its card."""
    from dissectreport.models.families.loading import named

    card = read_card(folder / f"{name}.json", REINSTALL)
    tensors = read_tensors(folder / f"{name}.safetensors", card["sha256"], REINSTALL)
    network = channels_last(stylegan2.from_tensors(base.NetworkTensors(tensors), sampling))
    subject = str(card["subject"])
    return NetworkGenerator(
        name=named(Path(name), sampling),
        module=network,
        inputs=network.inputs(),
        image_size=(network.resolution, network.resolution),
        layers=network.unit_layers,
        default_layers=network.default_layers,
        reinitialise=lambda seed: base.untrained(network, seed),
        training_like=lambda count: held_out_drawings(count, network.resolution, subject),
        training_like_from=lambda first, count: held_out_drawings(count, network.resolution, subject, first),
        facts={
            "family": network.title,
            "sampling": network.describe_sampling(),
            "segmenter": subject,
            "sha256": card["sha256"],
            "card": card,
        },
    )


def untrained(trained: ProgressiveGenerator, seed: int) -> nn.Module:
    """A Progressive GAN of the same sizes with random weights."""
    network = ProgressiveGenerator(trained.sizes, plain=trained.plain)
    network.initialise(seed)
    return channels_last(network)


def held_out_drawings(count: int, size: int, subject: str = "scenes", first: int = 0) -> Tensor:
    """(count, 3, size, size) drawings in [-1, 1] that no network was trained on, from number `first` on."""
    from dissectreport.drawings.dataset import HELD_OUT_SEED, draw_many  # Pillow is needed only here

    pixels: Tensor = torch.from_numpy(
        np.array(draw_many(HELD_OUT_SEED, range(first, first + count), size, subject).image)
    )
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
