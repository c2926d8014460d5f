"""Checkpoints of published families: what the original programs compute, and what is said about other files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import firwin
from scipy.special import j1
from torch import Tensor

from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.models.families import stylegan2, stylegan2_rosinality, stylegan3
from dissectreport.models.families.base import FamilyNetwork, NetworkTensors, Sampling
from dissectreport.models.families.recognition import find, open_found

FOLDER = Path(__file__).parent / "fixtures" / "families"
EXPECTED: Mapping[str, Any] = json.loads((FOLDER / "expected.json").read_text())
FILES = sorted(EXPECTED)
TOLERANCE = 5e-6
"""Of the largest value; measured are 2e-6."""


def arrays(file: str) -> dict[str, np.ndarray]:
    """What the original program computed for a file."""
    with np.load(FOLDER / EXPECTED[file]["images"], allow_pickle=False) as content:
        return dict(content)


def network(file: str, sampling: Sampling) -> FamilyNetwork:
    """The network in a file."""
    opened = open_found(find(open_model_file(FOLDER / file)), sampling).module
    assert isinstance(opened, FamilyNetwork)
    return opened


def difference(ours: Tensor, theirs: np.ndarray) -> float:
    """The largest difference, as a share of the largest value."""
    assert tuple(ours.shape) == theirs.shape
    return float(np.abs(ours.detach().numpy() - theirs).max() / np.abs(theirs).max())


def arguments(theirs: Mapping[str, np.ndarray]) -> tuple[Tensor, ...]:
    """Latents and labels."""
    return tuple(torch.from_numpy(theirs[name]) for name in ("z", "labels") if name in theirs)


def drawn(file: str, sampling: Sampling) -> Tensor:
    """The images of a file's latents and labels."""
    with torch.no_grad():
        images: Tensor = network(file, sampling)(*arguments(arrays(file)))
    return images


def sampling_in(theirs: Mapping[str, np.ndarray]) -> Sampling:
    """Truncation as in a file of results."""
    cutoff = int(theirs["cutoff"])
    return Sampling(float(theirs["psi"]), None if cutoff < 0 else cutoff)


def our_name(file: str, name: str) -> str:
    """A module's name here, by that in the original program."""
    if file.startswith("rosinality"):
        inner = f"{name}.weight" if name.endswith("modulation") else f"{name}.conv.weight"
        name = stylegan2_rosinality.official_name(inner).removesuffix(".weight")
    return name.removeprefix("synthesis.").removeprefix("generator.").replace("affine", "style")


# --- the numbers of the original programs -----------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES)
def test_images_are_those_of_the_original_program(file: str) -> None:
    theirs = arrays(file)
    assert difference(drawn(file, sampling_in(theirs)), theirs["images"]) < TOLERANCE


@pytest.mark.parametrize("file", [file for file in FILES if "images_full" in arrays(file)])
def test_images_without_truncation_are_those_of_the_original_program(file: str) -> None:
    assert difference(drawn(file, Sampling()), arrays(file)["images_full"]) < TOLERANCE


@pytest.mark.parametrize("file", [file for file in FILES if "images_no_noise" in arrays(file)])
def test_images_without_noise_are_those_of_the_original_program(file: str) -> None:
    theirs = arrays(file)
    images = drawn(file, replace(sampling_in(theirs), noise="none"))
    assert difference(images, theirs["images_no_noise"]) < TOLERANCE


@pytest.mark.parametrize("psi", [0.41, 0.58, 1.0])
def test_statistics_of_a_biggan_deep_follow_the_truncation(psi: float) -> None:
    theirs = arrays("biggan_deep_hf")
    assert difference(drawn("biggan_deep_hf", Sampling(psi)), theirs[f"images_t{psi}"]) < TOLERANCE


@pytest.mark.parametrize("file", FILES)
def test_layers_and_styles_are_those_of_the_original_program(file: str) -> None:
    theirs = arrays(file)
    ours = network(file, sampling_in(theirs))
    kept: dict[str, Tensor] = {}
    for kind in ("layer", "style_layer"):
        if kind in theirs:
            module = ours.get_submodule(our_name(file, str(theirs[kind])))
            module.register_forward_hook(lambda _m, _a, output, kind=kind: kept.__setitem__(kind, output))
    with torch.no_grad():
        ours(*arguments(theirs))
    for kind, activation in (("layer", "activation"), ("style_layer", "style_activation")):
        if kind in theirs:
            assert difference(kept[kind], theirs[activation]) < TOLERANCE


@pytest.mark.parametrize("file", [file for file in FILES if "ws" in arrays(file)])
def test_styles_are_truncated_as_in_the_original_program(file: str) -> None:
    theirs = arrays(file)
    ours = network(file, sampling_in(theirs))
    with torch.no_grad():
        assert difference(ours.mapping(*arguments(theirs)), theirs["ws"]) < TOLERANCE


@pytest.mark.parametrize("file", FILES)
def test_every_layer_of_the_original_program_can_be_measured(file: str) -> None:
    ours = network(file, Sampling())
    named_here = {our_name(file, name): shape for name, shape in EXPECTED[file]["units"].items()}
    z = torch.zeros(2, ours.latent_size)
    labels = torch.eye(2, ours.classes) if ours.classes else None
    shapes: dict[str, tuple[int, ...]] = {}
    for name in ours.unit_layers:
        hook = lambda _m, _a, output, name=name: shapes.__setitem__(name, tuple(output.shape[1:]))  # noqa: E731
        ours.get_submodule(name).register_forward_hook(hook)
    with torch.no_grad():
        ours(*[value for value in (z, labels) if value is not None])
    assert shapes == {name: tuple(shape) for name, shape in named_here.items()}
    assert set(ours.default_layers) <= set(ours.unit_layers)


# --- made-up weights with published results ---------------------------------------------------------------------


def filled(ours: FamilyNetwork, extra: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Weights by a rule, under the names of the original program; `extra` has tensors that networks here lack."""
    state = {ours.file_name(name): value for name, value in ours.state_dict().items()} | dict(extra or {})
    tensors: dict[str, Tensor] = {}
    for number, key in enumerate(sorted(state)):
        if not state[key].is_floating_point() or key.endswith(("_filter", "transform")):
            tensors[key] = state[key]
            continue
        count = torch.arange(state[key].numel(), dtype=torch.float64)
        value = torch.sin(1.3 * number + 0.7 * count).float().view(state[key].shape)
        if key.endswith("noise_strength"):
            value = torch.full_like(value, 0.1)
        elif key.endswith("magnitude_ema"):
            value = 1 + 0.5 * value
        elif key.endswith(("fc0.weight", "fc1.weight")):
            value = value * 100
        tensors[key] = value
    return tensors


def latent_rows(length: int) -> Tensor:
    """Two latents by a rule."""
    return torch.sin(0.9 * torch.arange(2 * length, dtype=torch.float64) + 0.3).float().view(2, length)


def numbers_of(ours: FamilyNetwork) -> list[float]:
    """Mean, standard deviation, first, middle and last value of the images of two latents, with labels 1 and 3."""
    labels = [torch.eye(ours.classes)[[1, 3]]] if ours.classes else []
    with torch.no_grad():
        images = ours(latent_rows(ours.latent_size), *labels).flatten()
    return [float(v) for v in (images.mean(), images.std(), images[0], images[images.numel() // 2], images[-1])]


STYLEGAN2 = stylegan2.StyleGAN2Structure(latent=8, classes=0, w=8, mapping_layers=2, channels=(16, 16, 16, 8))
RESAMPLING = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


@pytest.mark.parametrize(
    ("structure", "numbers"),
    [
        (STYLEGAN2, [0.291769, 3.934733, 3.456520, 2.209418, -8.028522]),
        (replace(STYLEGAN2, classes=5), [-1.616111, 1.657359, -1.277627, -1.327693, 0.249420]),
        (replace(STYLEGAN2, architecture="resnet"), [0.844256, 1.176030, 2.696649, 0.204661, 1.235795]),
        (replace(STYLEGAN2, architecture="orig"), [-0.657292, 1.012170, -2.761919, -0.873484, 0.416115]),
    ],
    ids=["skip", "labels", "resnet", "orig"],
)
def test_stylegan2_of_every_architecture(structure: stylegan2.StyleGAN2Structure, numbers: list[float]) -> None:
    sampling = Sampling(psi=0.7, cutoff=3)
    bare = stylegan2.StyleGAN2(structure, sampling)
    blocks = [
        name
        for name, part in bare.named_modules()
        if isinstance(part, stylegan2.StyledBlock | stylegan2.StyledConvolution)
    ]
    blocks += [name for name, part in bare.named_modules() if isinstance(part, stylegan2.Shortcut)]
    filters = {f"synthesis.{name}.resample_filter": RESAMPLING for name in blocks}
    ours = stylegan2.from_tensors(NetworkTensors(filled(bare, filters)), sampling)
    assert ours.structure == structure
    assert numbers_of(ours) == pytest.approx(numbers, abs=2e-4)


def stylegan3_filter(size: int, before: stylegan3.Band, rate: int, radial: bool) -> Tensor:
    """The low-pass filter that the original program designs."""
    width = before.half_width * 2
    if not radial:
        return torch.from_numpy(firwin(size, cutoff=before.cutoff, width=width, fs=rate)).float()
    at = (np.arange(size) - (size - 1) / 2) / rate
    radius = np.hypot(*np.meshgrid(at, at))
    kernel = j1(2 * before.cutoff * np.pi * radius) / (np.pi * radius)
    from scipy.signal import kaiser_atten, kaiser_beta
    from scipy.signal.windows import kaiser

    window = kaiser(size, kaiser_beta(kaiser_atten(size, width / (rate / 2))))
    kernel = kernel * np.outer(window, window)
    return torch.from_numpy(kernel / kernel.sum()).float()


def stylegan3_structure(count: int, classes: int, base: int, most: int, radial: bool) -> stylegan3.StyleGAN3Structure:
    """The structure of a network of 32 px, as the original program derives it."""
    bands = stylegan3.schedule(count, 32)
    channels = [min(round(base / 2 / band.cutoff), most) for band in bands]
    channels[-1] = 3
    layers = []
    for number, band in enumerate(bands):
        before, last = bands[max(0, number - 1)], number == count
        made = stylegan3.LayerStructure(
            name=f"L{number}_{band.size}_{channels[number]}",
            channels_in=channels[max(0, number - 1)],
            channels_out=channels[number],
            kernel=1 if radial or last else 3,
            before=before,
            after=band,
            last=last,
        )
        up, down = made.working_rate // before.rate, made.working_rate // band.rate
        critical = before if number else band
        flat = radial and band.rate != band.size
        shapes = {
            "up_shape": (6 * up,) if up > 1 else (),
            "down_shape": ((6 * down,) * (2 if flat else 1)) if down > 1 else (),
        }
        del critical
        layers.append(replace(made, **({} if last else shapes)))
    return stylegan3.StyleGAN3Structure(8, classes, 8, 2, 32, channels[0], tuple(layers))


@pytest.mark.parametrize(
    ("structure", "numbers"),
    [
        (stylegan3_structure(14, 0, 256, 16, False), [-0.308103, 0.120409, -0.469934, -0.378468, -0.113649]),
        (stylegan3_structure(6, 5, 256, 16, False), [-0.217247, 0.235652, 0.118260, 0.058209, -0.481969]),
        (stylegan3_structure(6, 5, 512, 32, True), [-1.185920, 2.251195, -2.908652, -3.400595, 2.158941]),
    ],
    ids=["T", "T, labels", "R, labels"],
)
def test_stylegan3_of_both_kinds(structure: stylegan3.StyleGAN3Structure, numbers: list[float]) -> None:
    sampling = Sampling(psi=0.7)
    bare = stylegan3.StyleGAN3(structure, sampling)
    tensors = filled(bare)
    for layer in structure.layers:
        for kind, shape, band in (("up", layer.up_shape, layer.before), ("down", layer.down_shape, layer.after)):
            if shape:
                design = stylegan3_filter(shape[0], band, layer.working_rate, len(shape) == 2)
                tensors[f"synthesis.{layer.name}.{kind}_filter"] = design
    ours = stylegan3.from_tensors(NetworkTensors(tensors), sampling)
    assert ours.structure == structure
    assert numbers_of(ours) == pytest.approx(numbers, abs=2e-5)
