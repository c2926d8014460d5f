"""Checkpoints of published families: what the original programs compute, and what is said about other files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import firwin
from scipy.special import j1
from torch import Tensor
from typer.testing import CliRunner

import dissectreport
from dissectreport import plugins
from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.checkpoints.norms import plain_weights
from dissectreport.cli.app import app
from dissectreport.errors import BadOption, DissectReportError, WeightsError
from dissectreport.models.families import (
    biggan,
    biggan_ajbrock_deep,
    biggan_deep,
    fastgan,
    stylegan2,
    stylegan2_rosinality,
    stylegan3,
)
from dissectreport.models.families.base import FamilyNetwork, NetworkTensors, Sampling, untrained
from dissectreport.models.families.describing import describe
from dissectreport.models.families.loading import load, named, settings_of
from dissectreport.models.families.opening import open_found
from dissectreport.models.families.recognition import find
from dissectreport.networks import hooks
from dissectreport.networks.edits import Edit, editing, run_prefix
from dissectreport.networks.latents import latents
from dissectreport.pipeline.options import Options
from dissectreport.run.addresses import ModelAddress, with_settings

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


# --- BigGAN by the same rule ------------------------------------------------------------------------------------


def spectral_names(ours: FamilyNetwork, ends: tuple[str, ...], without: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors of spectral norm that the original file has beside each weight, with made-up shapes."""
    extra: dict[str, Tensor] = {}
    for name, part in ours.named_modules():
        if isinstance(part, torch.nn.Linear | torch.nn.Conv2d) and name not in without:
            stem, rows = ours.file_name(f"{name}.weight"), part.weight.flatten(1)
            sizes = {"weight_u": (len(rows),), "weight_v": (rows.shape[1],), "u0": (1, len(rows)), "sv0": (1,)}
            extra |= {stem.removesuffix("weight") + end: torch.zeros(sizes[end]) for end in ends}
    return extra


def filled_biggan(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a BigGAN by the rule of `filled`."""
    tensors: dict[str, Tensor] = {}
    for number, key in enumerate(sorted(state)):
        count = torch.arange(state[key].numel(), dtype=torch.float64)
        value = torch.sin(1.3 * number + 0.7 * count).float().view(state[key].shape)
        if key.endswith(("running_vars", "stored_var")):
            value = 1 + 0.5 * value
        elif key.endswith("gamma"):
            value = torch.full_like(value, 0.5)
        elif key.endswith(".gain"):
            value = 1 + 0.3 * value
        tensors[key] = value
    return tensors


DEEP = {
    "z_dim": 8,
    "class_embed_dim": 8,
    "num_classes": 5,
    "channel_width": 4,
    "attention_layer_position": 2,
    "eps": 1e-4,
    "n_stats": 51,
    "layers": [[False, 16, 16], [True, 16, 8], [False, 8, 8], [True, 8, 4], [True, 4, 2], [False, 2, 2], [True, 2, 1]],
}


@pytest.mark.parametrize(
    ("psi", "numbers"),
    [
        (0.4, [0.535045, 0.261803, -0.066381, -0.176313, 0.775256]),
        (0.41, [0.540854, 0.244784, 0.121334, 0.009842, 0.768924]),
    ],
)
def test_biggan_deep_of_seven_blocks(psi: float, numbers: list[float]) -> None:
    settings = {biggan_deep.CONFIG: DEEP}
    bare = biggan_deep.BigGANDeep(
        biggan_deep.structure_of(NetworkTensors({biggan_deep.MARK: torch.zeros(51, 4)}, settings=settings)),
        Sampling(psi),
    )
    state = {bare.file_name(name): value for name, value in bare.state_dict().items()}
    extra = spectral_names(bare, ("weight_u", "weight_v"), ("embeddings",))
    weights = {name.removesuffix("_u") for name in extra if name.endswith("_u")}
    state = {f"{name}_orig" if name in weights else name: value for name, value in (state | extra).items()}
    tensors = filled_biggan(state)
    for name in weights:
        rows = tensors[f"{name}_orig"].flatten(1)
        v = torch.nn.functional.normalize(rows.T @ tensors[f"{name}_u"], dim=0)
        tensors |= {f"{name}_v": v, f"{name}_u": torch.nn.functional.normalize(rows @ v, dim=0)}
    ours = biggan_deep.from_tensors(NetworkTensors(plain_weights(tensors), settings=settings), Sampling(psi))
    assert numbers_of(ours) == pytest.approx(numbers, abs=2e-5)


@pytest.mark.parametrize(
    ("structure", "numbers"),
    [
        (
            biggan.BigGANStructure(12, 5, 6, (16, 16, 16, 16), frozenset({1}), chunk=3),
            [-0.584253, 0.238749, -0.546083, -0.545905, -0.918291],
        ),
        (
            biggan.BigGANStructure(8, 5, 6, (16, 16, 16, 16), frozenset({1}), chunk=0),
            [-0.584363, 0.237587, -0.572955, -0.531631, -0.914985],
        ),
    ],
    ids=["hierarchical", "flat"],
)
def test_biggan_with_and_without_hierarchical_latents(structure: biggan.BigGANStructure, numbers: list[float]) -> None:
    bare = biggan.BigGAN(structure, Sampling())
    state = {**bare.state_dict(), "shared.weight": torch.zeros(structure.classes, structure.shared)}
    tensors = filled_biggan(state | spectral_names(bare, ("u0", "sv0"), ("shared",)))
    ours = biggan.from_tensors(NetworkTensors(tensors), Sampling())
    assert ours.structure == structure
    assert numbers_of(ours) == pytest.approx(numbers, abs=2e-5)


def ajbrock_deep_tensors() -> dict[str, Tensor]:
    """Weights of ajbrock's deep variant by a rule."""
    structure = biggan.BigGANStructure(7, 5, 6, (32, 32, 16, 16, 16, 16, 8), frozenset({3}), chunk=7)
    bare = biggan_ajbrock_deep.AjbrockBigGANDeep(structure, (8, 8, 4, 4, 4, 4), Sampling())
    state = {**bare.state_dict(), "shared.weight": torch.zeros(5, 6)}
    return filled_biggan(state | spectral_names(bare, ("u0", "sv0"), ("shared",)))


def test_biggan_deep_of_the_other_program(tmp_path: Path) -> None:
    tensors = ajbrock_deep_tensors()
    opened = open_found(find(open_model_file(saved(tmp_path, tensors))), Sampling())
    assert opened.line == "BigGAN-deep (ajbrock), 32 px, attention at 16 px, 7 latents, 5 classes"
    assert opened.default_layers == ("blocks.1.0", "blocks.3.0", "blocks.5.0")
    assert isinstance(opened.module, FamilyNetwork)
    assert numbers_of(opened.module) == pytest.approx([0.130995, 0.502864, 0.938088, 0.952089, -0.648062], abs=2e-5)
    for change, words in (
        ({"linear.weight": torch.zeros(512, 9)}, "its first layer on 9; only the variant"),
        ({"blocks.6.0.conv4.weight": torch.zeros(8, 2, 1, 1)}, "it has 7 blocks; there are 2 of each size"),
    ):
        with pytest.raises(WeightsError, match=words):
            load(saved(tmp_path, {**tensors, **change}))


# --- FastGAN by the same rule -------------------------------------------------------------------------------------

FASTGAN = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 2, 256: 2, 512: 2, 1024: 2}


def fastgan_tensors(size: int) -> dict[str, Tensor]:
    """Weights of a FastGAN by a rule, and those of its smaller image."""
    structure = fastgan.FastGANStructure(
        latent=6,
        channels={side: width for side, width in FASTGAN.items() if side <= size},
        twice=frozenset((8, 32, 128, 512)),
        scaled={side: side // 16 for side in (64, 128, 256, 512) if side <= size},
        colours=3,
        kernel=3,
    )
    tensors = filled(fastgan.FastGAN(structure, Sampling()))
    variances = {name: 1 + 0.5 * value for name, value in tensors.items() if name.endswith("running_var")}
    return {**tensors, **variances, "to_128.weight": torch.ones(3, 2, 1, 1)}


@pytest.mark.parametrize(
    ("size", "numbers"),
    [
        (256, [-0.008695, 0.411779, -0.055125, -0.070437, 3.474025]),
        (1024, [0.112893, 0.670134, 0.365345, 0.569595, -0.425505]),
    ],
)
def test_fastgan_of_every_size(size: int, numbers: list[float], tmp_path: Path) -> None:
    path = saved(tmp_path, {"g": {f"module.{name}": value for name, value in fastgan_tensors(size).items()}})
    opened = open_found(find(open_model_file(path)), Sampling(noise="none"))
    assert opened.line == f"FastGAN, {size} px, 6 latents, no labels; reading g"
    assert isinstance(opened.module, FamilyNetwork)
    assert numbers_of(opened.module) == pytest.approx(numbers, abs=2e-5)


def test_an_image_of_two_channels_is_refused(tmp_path: Path) -> None:
    tensors = fastgan_tensors(256)
    path = saved(tmp_path, {**tensors, "to_big.weight": tensors["to_big.weight"][:2]})
    with pytest.raises(WeightsError, match="FastGAN, but does not fit: it makes 2 channels, not images of 1, 3"):
        load(path)


def test_the_noise_of_a_fastgan_is_one_pattern(tmp_path: Path) -> None:
    path = saved(tmp_path, fastgan_tensors(256))
    noisy, again, quiet = load(path), load(path), load(path, Sampling(noise="none"))
    z = latents(1, 0, 2, (6,))
    with torch.no_grad():
        assert torch.equal(noisy(z), again(z))
        assert float((noisy(z) - quiet(z)).abs().max()) > 1e-3
    with pytest.raises(BadOption, match="a FastGAN has no truncation"):
        load(path, Sampling(psi=0.5))


def test_the_average_of_a_fastgan_is_a_list(tmp_path: Path) -> None:
    tensors = fastgan_tensors(256)
    parameters = [value for name, value in tensors.items() if "running_" not in name and "num_" not in name]
    path = saved(tmp_path, {"g": tensors, "d": {}, "g_ema": [value * 1.1 for value in parameters]})
    found = find(open_model_file(path))
    assert found.network.part == "g_ema"
    assert torch.allclose(found.network.tensors["to_big.weight"], tensors["to_big.weight"] * 1.1)


# --- recognition ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_recognised_and_said_in_one_line(file: str) -> None:
    expected = EXPECTED[file]
    generator = load(FOLDER / file)
    line = str(generator.facts["recognised"])
    assert str(generator.facts["family"]) == (expected["family"] or line.partition(",")[0])
    assert f"{expected['resolution']} px" in line
    assert f"{expected['latent']} latents" in line
    assert (f"{expected['classes']} classes" if expected["classes"] else "no labels") in line
    assert generator.image_size == (expected["resolution"], expected["resolution"])
    z = latents(1, 0, 3, generator.latent_shape)
    with torch.no_grad():
        images = generator(z)
        assert torch.allclose(generator(z[:1]), images[:1], atol=1e-4 * float(images.abs().max()))
    assert images.shape == (3, 3, *generator.image_size)


@pytest.mark.parametrize("file", FILES)
def test_an_untrained_network_is_another_one_with_finite_images(file: str) -> None:
    generator = load(FOLDER / file)
    control = generator.untrained(1)
    assert control is not None
    assert control.identity != generator.identity
    with torch.no_grad():
        images = control(latents(1, 0, 2, generator.latent_shape))
    assert bool(torch.isfinite(images).all())
    assert float(images.std()) > 0


def test_a_stylegan2_of_another_program_is_named_with_what_differs(tmp_path: Path) -> None:
    names = ("SE.net.0.weight", "GE.initial_conv.weight", "GE.blocks.0.to_noise1.weight", "GE.blocks.0.conv1.weight")
    torch.save({"GAN": dict.fromkeys(names, torch.zeros(2, 2)), "version": "1.8.9"}, tmp_path / "model_9.pt")
    with pytest.raises(WeightsError, match=r"is a StyleGAN2 of lucidrains' program, .* noise is uniform .* describe"):
        load(tmp_path / "model_9.pt")


def test_settings_make_another_identity_and_name() -> None:
    file = FOLDER / "stylegan2ada_32_labels.pkl"
    models = [
        load(file, sampling) for sampling in (Sampling(), Sampling(0.5), Sampling(labels=(1,)), Sampling(noise="none"))
    ]
    assert len({model.identity for model in models}) == len({model.name for model in models}) == len(models)


def test_all_labels_are_drawn_or_those_that_are_asked_for() -> None:
    file = FOLDER / "stylegan2ada_32_labels.pkl"
    every, one = load(file).inputs, load(file, Sampling(labels=(1,))).inputs
    assert every is not None
    assert one is not None
    z = latents(1, 0, 60, (13,))
    assert set(every.arguments_from(z)[0][1].argmax(1).tolist()) == {0, 1, 2}  # type: ignore[attr-defined]
    assert set(one.arguments_from(z)[0][1].argmax(1).tolist()) == {1}  # type: ignore[attr-defined]


def tensors_of(file: str, part: str = "G_ema") -> dict[str, Tensor]:
    """The tensors of a pickled network."""
    return dict(open_model_file(FOLDER / file).content[part].tensors)


def saved(folder: Path, content: object, name: str = "weights.pt") -> Path:
    """A file of torch.save."""
    torch.save(content, folder / name)
    return folder / name


@pytest.mark.parametrize("wrap", ["bare", "half", "part", "parallel", "lightning", "compiled"])
def test_a_state_dict_is_found_wherever_it_was_saved(tmp_path: Path, wrap: str) -> None:
    tensors, others = tensors_of("stylegan2ada_32.pkl"), tensors_of("stylegan2ada_32.pkl", "G")
    content: object = {
        "bare": tensors,
        "half": {name: value.half() for name, value in tensors.items()},
        "part": {"g": others, "g_ema": tensors, "step": 3},
        "parallel": {f"module.{name}": value for name, value in tensors.items()},
        "lightning": {
            "state_dict": {
                **{f"generator.{name}": value for name, value in others.items()},
                **{f"ema.module.{name}": value for name, value in tensors.items()},
            }
        },
        "compiled": {"model": {f"_orig_mod.{name}": value for name, value in tensors.items()}},
    }[wrap]
    ours, theirs = load(saved(tmp_path, content)), load(FOLDER / "stylegan2ada_32.pkl")
    z = latents(1, 0, 2, (16,))
    with torch.no_grad():
        expected = theirs(z)
        assert torch.allclose(ours(z), expected, atol=float(expected.abs().max()) * (0.02 if wrap == "half" else 1e-6))


def sequence(*channels: int) -> dict[str, Tensor]:
    """The weights of transposed convolutions of 4 x 4 pixels, one after the other."""
    return {f"main.{at}.weight": torch.ones(a, b, 4, 4) for at, (a, b) in enumerate(pairwise(channels))}


def without(tensors: Mapping[str, Tensor], text: str) -> dict[str, Tensor]:
    """The tensors whose names do not contain a text."""
    return {name: value for name, value in tensors.items() if text not in name}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            lambda: tensors_of("stylegan2ada_32.pkl", "D"),
            "is a discriminator of StyleGAN2 or StyleGAN3, not a generator",
        ),
        (lambda: {"d": tensors_of("stylegan3t_32.pkl", "D")}, "is a discriminator of StyleGAN2 or StyleGAN3"),
        (lambda: {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []}, "is the state of an optimizer"),
        (lambda: {"optim": {"state": {}, "param_groups": []}}, "is the state of an optimizer"),
        (lambda: {"optimizer_states": [{"state": {}, "param_groups": []}], "epoch": 3}, "is the state of an optimizer"),
        (lambda: {"epoch": 3}, "has no tensors; it contains epoch"),
        (
            lambda: without(tensors_of("stylegan2ada_32.pkl"), ".b16."),
            r"has a block at 32 px, but no synthesis\.b16\.conv1\.weight",
        ),
        (lambda: without(tensors_of("stylegan2ada_32.pkl"), "b32.conv1.bias"), r"b32\.conv1\.bias is missing"),
        (lambda: without(tensors_of("stylegan3t_32.pkl"), ".L13_"), "has layers synthesis.L0_"),
        (
            lambda: without(without(tensors_of("stylegan3t_32.pkl"), ".L13_"), ".L14_"),
            "layer L4_36_10 has a map of 36 px; in a StyleGAN3 of 52 px with 13 layers",
        ),
        (
            lambda: without(tensors_of("stylegan2ada_32.pkl"), "const"),
            r"the nearest is StyleGAN2, but synthesis\.b4\.const is missing",
        ),
        (
            lambda: {**without(tensors_of("stylegan2ada_32.pkl"), ".const"), "synthesis.b4.seed": torch.zeros(2)},
            r"the nearest is StyleGAN2, which has \d+ of the \d+ names, but not synthesis\.b4\.seed",
        ),
        (lambda: {"main.0.weight": torch.zeros(8, 4, 4, 4)}, "of no known family: the names of its tensors are main.0"),
        (lambda: sequence(8, 4, 4, 5), "the nearest is DCGAN, but its last convolution gives 5 channels"),
        (
            lambda: without(sequence(8, 6, 4, 4, 3), "main.1."),
            r"the nearest is DCGAN, but main\.0 gives 6 channels, but main\.2 takes 4",
        ),
        (
            lambda: {**sequence(8, 4, 4, 3), "main.5.weight": torch.ones(4), "main.5.bias": torch.ones(4)},
            r"main\.5\.running_mean is missing; a DCGAN has batch norm with stored statistics",
        ),
        (
            lambda: without(torch.load(FOLDER / "biggan_ajbrock_G_ema.pth"), "shared.weight"),
            r"shared\.weight is missing: the class embedding",
        ),
        (
            lambda: without(
                torch.load(FOLDER / "rosinality_train_32.pt", weights_only=False)["g_ema"], "to_rgbs.1.bias"
            ),
            r"does not fit: to_rgbs\.1\.bias is missing",
        ),
        (
            lambda: {
                name: value.repeat(32, *[1] * (value.ndim - 1))
                if name.endswith(("torgb.weight", "torgb.bias"))
                else value
                for name, value in tensors_of("stylegan2ada_32.pkl").items()
            },
            "makes 96 channels, not images",
        ),
    ],
)
def test_another_file_is_one_clear_line(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(WeightsError, match=words) as raised:
        load(saved(tmp_path, content()))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("file", "settings", "words"),
    [
        ("stylegan2ada_32_labels.pkl", "label=3", "label 3 is out of range: the classes are 0 to 2"),
        ("stylegan2ada_32.pkl", "label=0", "label 0 was given, but this StyleGAN2 has no labels"),
        ("stylegan2ada_32.pkl", "psi=1.5", "psi is 1.5; truncation is a number from 0"),
        ("stylegan2ada_32.pkl", "psi=nan", "psi is nan"),
        ("stylegan2ada_32.pkl", "psi=0.5,cutoff=9", "cutoff is 9; this StyleGAN2 has 8 layers"),
        ("stylegan2ada_32.pkl", "cutoff=-1", "cutoff is -1"),
        ("stylegan2ada_32.pkl", "noise=random", "noise is 'random'"),
        ("stylegan3t_32.pkl", "noise=none", "adds no noise"),
        ("biggan_ajbrock_G_ema.pth", "cutoff=2", "has no layers to truncate"),
        ("biggan_ajbrock_G_ema.pth", "psi=0", "all latents of a BigGAN would be the same"),
        ("stylegan2ada_32.pkl", "psi=x", "'psi=x' are no settings of a checkpoint"),
        ("stylegan2ada_32.pkl", "psi=1,size=2", "no setting 'size' of a checkpoint"),
        ("stylegan2ada_32.pkl", "size=2", "'size=2' is no setting of .*; write psi=0.7"),
    ],
)
def test_settings_that_do_not_fit_are_one_clear_line(file: str, settings: str, words: str) -> None:
    with pytest.raises(BadOption, match=words):
        plugins.generator(f"{FOLDER / file}:{settings}")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (str(FOLDER / "biggan_deep_hf" / "weights.bin"), "there is no such file"),
        (str(FOLDER.parent.parent / "support"), "the folder has no file of weights"),
        (str(FOLDER.parent), "has several files of weights"),
        (f"{FOLDER / 'mine.toml'}:psi=0.5", "write psi=0.5 into"),
        ("planted:psi=0.5", "psi=0.5 are settings of checkpoints, and planted is none"),
    ],
)
def test_names_that_are_no_checkpoint_are_one_clear_line(name: str, words: str) -> None:
    with pytest.raises(DissectReportError, match=words):
        plugins.generator(name)


def test_a_biggan_deep_needs_its_config(tmp_path: Path) -> None:
    weights = tmp_path / "pytorch_model.bin"
    weights.write_bytes((FOLDER / "biggan_deep_hf" / "pytorch_model.bin").read_bytes())
    with pytest.raises(WeightsError, match=r"put its config\.json beside it"):
        load(weights)
    config = json.loads((FOLDER / "biggan_deep_hf" / "config.json").read_text())
    for wrong, words in (
        ({"z_dim": "12"}, "gives z_dim = '12'"),
        ({"layers": [[1]]}, "layers that are no lists"),
        ({"channel_width": 10**9}, r"gen_z\.weight has shape \(1024, 24\); by its config"),
        ({"layers": [[True, 10**6, 1]]}, "blocks of other than 1 to 16 times"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config | wrong))
        with pytest.raises(WeightsError, match=words):
            load(weights)
    deeper = {"layers": [*config["layers"], [True, 1, 1]]}
    (tmp_path / "config.json").write_text(json.dumps(config | deeper))
    with pytest.raises(WeightsError, match=r"generator\.layers\.6\.\S+ is missing"):
        load(weights)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load(tmp_path).image_size == (32, 32)


# --- names ------------------------------------------------------------------------------------------------------


def test_a_name_is_a_checkpoint_if_it_ends_like_one_or_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    checkpoints = ("ffhq.pkl", "a/b.pth:psi=0.5", f"{tmp_path}/weights", f"{tmp_path}/folder")
    assert all(ModelAddress.read(name).checkpoint is not None for name in checkpoints)
    others = ("scenes_pgan", "mine.toml", "./net.py:load", "package.module:load", "words:a,b", str(tmp_path))
    assert not any(ModelAddress.read(name).checkpoint for name in others)


def test_settings_stand_behind_the_name_and_are_read_again() -> None:
    name = with_settings("ffhq.pkl", 0.7, 8, ("3", "5"), "none")
    assert ModelAddress.read(name) == ModelAddress("ffhq.pkl", "psi=0.7,cutoff=8,label=3+5,noise=none")
    sampling = settings_of(ModelAddress.read(name).settings).sampling
    assert sampling == Sampling(0.7, 8, (3, 5), "none")
    assert named(Path("ffhq.pkl"), sampling) == "ffhq (psi 0.7, cutoff 8, label 3, 5, noise none)"
    assert with_settings("ffhq.pkl", None, None, (), "") == "ffhq.pkl"


# --- descriptions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES)
def test_the_description_of_a_recognised_file_is_a_model(tmp_path: Path, file: str) -> None:
    description = tmp_path / "mine.toml"
    description.write_text(describe(FOLDER / file))
    described, opened = plugins.generator(str(description)), load(FOLDER / file)
    assert described.identity == opened.identity
    assert described.layers == opened.layers
    assert described.default_layers == opened.default_layers
    assert described.name == "mine"


def test_a_description_has_settings(tmp_path: Path) -> None:
    description = tmp_path / "mine.toml"
    text = describe(FOLDER / "stylegan2ada_32_labels.pkl")
    description.write_text(f'{text}psi = 0.5\ncutoff = 3\nlabel = [2]\nnoise = "none"\n')
    sampling = Sampling(0.5, 3, (2,), "none")
    opened = load(FOLDER / "stylegan2ada_32_labels.pkl", sampling)
    assert plugins.generator(str(description)).identity == opened.identity
    description.write_text(f"{text}psi = 2\n")
    with pytest.raises(BadOption, match=r"mine\.toml: psi is 2"):
        plugins.generator(str(description))


def test_the_description_of_another_file_has_what_the_file_shows(tmp_path: Path) -> None:
    content = {"g_ema": {"net.0.weight": torch.zeros(96, 8, 4, 4), "net.1.weight": torch.zeros(8)}}
    text = describe(saved(tmp_path, content))
    assert 'part = "g_ema"' in text
    assert 'prefix = "net."' in text
    assert "latent = 96" in text
    assert "#   net.0.weight (96, 8, 4, 4)" in text
    assert "have names as in" not in describe(saved(tmp_path, {"strange": torch.zeros(96, 8)}))


# --- reading and editing ----------------------------------------------------------------------------------------


def test_margins_are_cut_off_where_units_are_read() -> None:
    generator = load(FOLDER / "stylegan3t_32.pkl")
    z = latents(1, 0, 2, (16,))
    whole: dict[str, Tensor] = {}
    layer = generator.module.get_submodule("L5_52_10")
    handle = layer.register_forward_hook(lambda _m, _a, output: whole.__setitem__("map", output))
    maps = hooks.read(generator, ["L5_52_10", "L13_32_4"], z)
    handle.remove()
    assert maps["L5_52_10"].shape == (2, 10, 32, 32)
    assert torch.equal(maps["L5_52_10"], whole["map"][:, :, 10:-10, 10:-10])
    assert maps["L13_32_4"].shape == (2, 4, 32, 32)
    traces, _ = hooks.trace_modules(generator, z)
    assert {trace.name: trace.shape for trace in traces}["L5_52_10"] == (10, 32, 32)


def test_edits_act_on_the_whole_map_and_patches_within_the_margin() -> None:
    generator = load(FOLDER / "stylegan3t_32.pkl")
    z = latents(1, 0, 2, (16,))
    prefix = run_prefix(generator, "L5_52_10", z)
    assert prefix.size == (32, 32)
    assert prefix.activations.shape == (2, 10, 52, 52)
    with torch.no_grad():
        assert torch.allclose(prefix.images(prefix.activations), generator(z), atol=1e-5)
        with editing(generator.module, "L5_52_10", Edit((3,), 0.0)):
            edited = generator(z)
        assert torch.allclose(prefix.images(Edit((3,))(prefix.activations)), edited, atol=1e-5)
    corners = prefix.inside(torch.tensor([0, 63]))
    assert corners.shape == (2, 1, 52, 52)
    assert corners[0, 0].nonzero().min(0).values.tolist() == [10, 10]
    assert corners[1, 0].nonzero().max(0).values.tolist() == [41, 41]
    assert corners.sum((1, 2, 3)).tolist() == [16, 16]


@pytest.mark.parametrize("file", FILES)
def test_every_layer_can_be_edited(file: str) -> None:
    generator = load(FOLDER / file)
    z = latents(1, 0, 2, generator.latent_shape)
    with torch.no_grad():
        images = generator(z)
        scale = float(images.abs().max())
        for layer in generator.layers[:: max(1, len(generator.layers) // 6)]:
            prefix = run_prefix(generator, layer, z)
            assert torch.allclose(prefix.images(prefix.activations), images, atol=1e-5 * scale)
            changed = prefix.images(Edit((0,), 5.0)(prefix.activations))
            assert float((changed - images).abs().max()) > 0


@pytest.mark.parametrize("file", FILES)
def test_half_precision_draws_the_same_image(file: str) -> None:
    generator = load(FOLDER / file)
    z = latents(1, 0, 2, generator.latent_shape)
    with torch.no_grad():
        single = generator(z)
        with torch.autocast("cpu", torch.bfloat16):
            half = generator(z).float()
    assert float((half - single).abs().mean() / single.std()) < 0.05


def test_untrained_weights_are_those_of_the_seed() -> None:
    ours = network("stylegan2ada_32.pkl", Sampling())
    one, again, other = untrained(ours, 1), untrained(ours, 1), untrained(ours, 2)
    assert torch.equal(one.b4.const, again.b4.const)
    assert not torch.equal(one.b4.const, other.b4.const)
    assert float(one.mapping.w_avg.abs().max()) == 0


# --- the whole way ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_checkpoint_becomes_a_site_that_names_its_family_and_settings(tmp_path: Path) -> None:
    options = Options(
        str(FOLDER / "biggan_ajbrock_G_ema.pth"),
        psi=0.5,
        label=("1", "3"),
        layers=("blocks.1.0",),
        samples=48,
        pilot=16,
        workers=1,
        device="cpu",
        controls=False,
        interventions=False,
        cache=tmp_path / "cache",
    )
    assert options.model.endswith("biggan_ajbrock_G_ema.pth:psi=0.5,label=1+3")
    dissectreport.build(options, tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text()
    assert "biggan_ajbrock_G_ema (psi 0.5, label 1, 3)" in page
    dissection = dissectreport.load("biggan_ajbrock_G_ema (psi 0.5, label 1, 3)", cache=tmp_path / "cache")
    assert list(dissection.layers) == ["blocks.1.0"]
    (methods,) = (tmp_path / "site").rglob("methods.html")
    text = methods.read_text()
    assert "BigGAN (ajbrock), 32 px, 10 latents, 5 classes" in text
    assert "truncated at ±2, only class 1, 3" in text


def test_commands_take_a_checkpoint() -> None:
    file = str(FOLDER / "stylegan2ada_32_labels.pkl")
    listed = CliRunner().invoke(app, ["layers", file, "--label", "1", "--psi", "0.7"])
    assert listed.exit_code == 0
    assert "b16.conv1.style" in listed.stdout
    described = CliRunner().invoke(app, ["describe", file])
    assert described.stdout.startswith("# StyleGAN2, 32 px, 12 latents, 3 classes; reading G_ema")
    refused = CliRunner().invoke(app, ["layers", file, "--label", "7"])
    assert refused.exit_code != 0
    assert "label 7 is out of range: the classes are 0 to 2" in refused.output


@pytest.mark.parametrize("repeats", [1, 10])
def test_an_encoder_file_has_the_generator_under_a_prefix(tmp_path: Path, repeats: int) -> None:
    converted = open_model_file(FOLDER / "rosinality_converted_64.pt").content
    wrapped = {f"decoder.{name}": value for name, value in converted["g_ema"].items()}
    average = converted["latent_avg"]
    average = average.repeat(repeats, 1) if repeats > 1 else average
    file = saved(tmp_path, {"state_dict": {**wrapped, "encoder.input.weight": torch.zeros(2)}, "latent_avg": average})
    ours = open_found(find(open_model_file(file)), Sampling(0.6))
    assert ours.line.endswith("reading decoder")
    theirs = arrays("rosinality_converted_64.pt")
    with torch.no_grad():
        assert difference(ours.module(*arguments(theirs)), theirs["images"]) < TOLERANCE
