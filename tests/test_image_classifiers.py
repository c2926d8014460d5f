"""ResNet, VGG-16 and AlexNet from files with the names of torchvision and Places365, against plain functions."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from dissectreport import plugins
from dissectreport.errors import BadOption, WeightsError
from dissectreport.models.classifier import ClassifierModel

Weights = dict[str, Tensor]
CLASSES = 5


def random_weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> Weights:
    """Random tensors under which signals keep about their size; all norms have something to do."""
    random = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in shapes.items():
        value = torch.randn(shape, generator=random)
        if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            value = 1 + 0.3 * value.abs()
        elif len(shape) > 1:
            value = value * (2 / value[0].numel()) ** 0.5
        else:
            value = 0.2 * value
        made[name] = value
    return made


def norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def norm(weights: Weights, name: str, maps: Tensor) -> Tensor:
    """Batch norm by its formula."""
    mean, var, weight, bias = (
        weights[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (maps - mean) / (var + 1e-5).sqrt() * weight + bias


def resnet_shapes(blocks: tuple[int, ...], bottleneck: bool, width: int = 4) -> dict[str, tuple[int, ...]]:
    """The names and shapes of torchvision, with fewer channels."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (width, 3, 7, 7), **norm_shapes("bn1", width)}
    before = width
    for stage, count in enumerate(blocks):
        inside = width * 2**stage
        after = inside * (4 if bottleneck else 1)
        for at in range(count):
            name = f"layer{stage + 1}.{at}"
            sides = ((before, inside, 1), (inside, inside, 3), (inside, after, 1))
            plain = ((before, inside, 3), (inside, inside, 3))
            for number, (into, out, side) in enumerate(sides if bottleneck else plain, 1):
                shapes |= {
                    f"{name}.conv{number}.weight": (out, into, side, side),
                    **norm_shapes(f"{name}.bn{number}", out),
                }
            if not at and (before != after or stage):
                shapes |= {f"{name}.downsample.0.weight": (after, before, 1, 1)}
                shapes |= norm_shapes(f"{name}.downsample.1", after)
            before = after
    return {**shapes, "fc.weight": (CLASSES, before), "fc.bias": (CLASSES,)}


def resnet(weights: Weights, images: Tensor, blocks: tuple[int, ...], bottleneck: bool) -> Tensor:
    """The scores, written out: stride on the 3 x 3 convolution of a bottleneck."""
    maps = functional.relu(norm(weights, "bn1", functional.conv2d(images, weights["conv1.weight"], None, 2, 3)))
    maps = functional.max_pool2d(maps, 3, 2, 1)
    for stage, count in enumerate(blocks):
        for at in range(count):
            name, stride = f"layer{stage + 1}.{at}", 2 if stage and not at else 1
            if bottleneck:
                inner = functional.conv2d(maps, weights[f"{name}.conv1.weight"])
                inner = functional.relu(norm(weights, f"{name}.bn1", inner))
                inner = functional.conv2d(inner, weights[f"{name}.conv2.weight"], None, stride, 1)
                inner = functional.relu(norm(weights, f"{name}.bn2", inner))
                inner = norm(weights, f"{name}.bn3", functional.conv2d(inner, weights[f"{name}.conv3.weight"]))
            else:
                inner = functional.conv2d(maps, weights[f"{name}.conv1.weight"], None, stride, 1)
                inner = functional.relu(norm(weights, f"{name}.bn1", inner))
                inner = functional.conv2d(inner, weights[f"{name}.conv2.weight"], None, 1, 1)
                inner = norm(weights, f"{name}.bn2", inner)
            if f"{name}.downsample.0.weight" in weights:
                maps = functional.conv2d(maps, weights[f"{name}.downsample.0.weight"], None, stride)
                maps = norm(weights, f"{name}.downsample.1", maps)
            maps = functional.relu(inner + maps)
    return functional.linear(maps.mean((2, 3)), weights["fc.weight"], weights["fc.bias"])


VGG = (4, 4, "M", 8, 8, "M", 8, 8, 8, "M", 8, 8, 8, "M", 8, 8, 8, "M")


def vgg_shapes(with_norm: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    before, at = 3, 0
    for step in VGG:
        if step == "M":
            at += 1
            continue
        out = int(step)
        shapes |= {f"features.{at}.weight": (out, before, 3, 3), f"features.{at}.bias": (out,)}
        shapes |= norm_shapes(f"features.{at + 1}", out) if with_norm else {}
        before, at = out, at + (3 if with_norm else 2)
    sizes = {0: (6, 49 * before), 3: (6, 6), 6: (CLASSES, 6)}
    for place, shape in sizes.items():
        shapes |= {f"classifier.{place}.weight": shape, f"classifier.{place}.bias": shape[:1]}
    return shapes


def vgg(weights: Weights, maps: Tensor, with_norm: bool) -> Tensor:
    at = 0
    for step in VGG:
        if step == "M":
            maps, at = functional.max_pool2d(maps, 2), at + 1
            continue
        maps = functional.conv2d(maps, weights[f"features.{at}.weight"], weights[f"features.{at}.bias"], 1, 1)
        maps = functional.relu(norm(weights, f"features.{at + 1}", maps) if with_norm else maps)
        at += 3 if with_norm else 2
    return head(weights, functional.adaptive_avg_pool2d(maps, 7), (0, 3, 6))


def head(weights: Weights, maps: Tensor, places: tuple[int, ...]) -> Tensor:
    values = maps.flatten(1)
    for at in places:
        values = functional.linear(values, weights[f"classifier.{at}.weight"], weights[f"classifier.{at}.bias"])
        values = functional.relu(values) if at != places[-1] else values
    return values


ALEXNET = {0: (64, 3, 11), 3: (8, 64, 5), 6: (8, 8, 3), 8: (8, 8, 3), 10: (4, 8, 3)}


def alexnet_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for at, (out, into, side) in ALEXNET.items():
        shapes |= {f"features.{at}.weight": (out, into, side, side), f"features.{at}.bias": (out,)}
    for at, shape in {1: (6, 144), 4: (6, 6), 6: (CLASSES, 6)}.items():
        shapes |= {f"classifier.{at}.weight": shape, f"classifier.{at}.bias": shape[:1]}
    return shapes


def alexnet(weights: Weights, maps: Tensor) -> Tensor:
    how = {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}
    for at, (stride, padding) in how.items():
        maps = functional.conv2d(
            maps, weights[f"features.{at}.weight"], weights[f"features.{at}.bias"], stride, padding
        )
        maps = functional.relu(maps)
        maps = functional.max_pool2d(maps, 3, 2) if at in (0, 3, 10) else maps
    return head(weights, functional.adaptive_avg_pool2d(maps, 6), (1, 4, 6))


def caffe_shapes() -> dict[str, tuple[int, ...]]:
    """The names of Caffe, with fewer channels; the second, fourth and fifth convolutions have two groups."""
    weights: dict[str, tuple[int, ...]] = {
        "conv1": (8, 3, 11, 11),
        "conv2": (6, 4, 5, 5),
        "conv3": (8, 6, 3, 3),
        "conv4": (8, 4, 3, 3),
        "conv5": (4, 4, 3, 3),
        "fc6": (6, 144),
        "fc7": (6, 6),
        "fc8": (CLASSES, 6),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in weights.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def caffe_alexnet(weights: Weights, maps: Tensor) -> Tensor:
    """The scores, written out: maxima come before responses are normalised."""
    for number, (stride, padding, groups) in enumerate(((4, 0, 1), (1, 2, 2), (1, 1, 1), (1, 1, 2), (1, 1, 2)), 1):
        weight, bias = weights[f"conv{number}.weight"], weights[f"conv{number}.bias"]
        maps = functional.relu(functional.conv2d(maps, weight, bias, stride, padding, groups=groups))
        maps = functional.max_pool2d(maps, 3, 2) if number in (1, 2, 5) else maps
        if number in (1, 2):
            squares = functional.pad(maps**2, (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).mean(-1)
            maps = maps / (1 + 1e-4 * squares) ** 0.75
    values = maps.flatten(1)
    for number in (6, 7, 8):
        values = functional.linear(values, weights[f"fc{number}.weight"], weights[f"fc{number}.bias"])
        values = functional.relu(values) if number < 8 else values
    return values


NETWORKS: Mapping[str, tuple[Mapping[str, tuple[int, ...]], Callable[[Weights, Tensor], Tensor]]] = {
    "ResNet-18": (resnet_shapes((2, 2, 2, 2), False), lambda w, x: resnet(w, x, (2, 2, 2, 2), False)),
    "ResNet-34": (resnet_shapes((3, 4, 6, 3), False), lambda w, x: resnet(w, x, (3, 4, 6, 3), False)),
    "ResNet-50": (resnet_shapes((3, 4, 6, 3), True), lambda w, x: resnet(w, x, (3, 4, 6, 3), True)),
    "ResNet-101": (resnet_shapes((3, 4, 23, 3), True), lambda w, x: resnet(w, x, (3, 4, 23, 3), True)),
    "ResNet-152": (resnet_shapes((3, 8, 36, 3), True), lambda w, x: resnet(w, x, (3, 8, 36, 3), True)),
    "VGG-16": (vgg_shapes(False), lambda w, x: vgg(w, x, False)),
    "VGG-16 with batch norm": (vgg_shapes(True), lambda w, x: vgg(w, x, True)),
    "AlexNet": (alexnet_shapes(), alexnet),
    "AlexNet (Caffe)": (caffe_shapes(), caffe_alexnet),
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(1)
    for number in range(4):
        Image.fromarray(random.integers(0, 255, (250, 240, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


def opened(content: object, folder: Path, photographs: Path) -> ClassifierModel:
    torch.save(content, folder / "net.pth")
    model = plugins.generator(f"{folder / 'net.pth'}:images={str(photographs).replace('/', '%2F')}")
    assert isinstance(model, ClassifierModel)
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_are_those_of_plain_functions(name: str, tmp_path: Path, photographs: Path) -> None:
    shapes, oracle = NETWORKS[name]
    weights = random_weights(shapes)
    model = opened(weights, tmp_path, photographs)
    assert str(model.facts["recognised"]).startswith(f"{name}, {CLASSES} classes")
    images = model.latents(1, 0, 2)
    with torch.no_grad():
        expected = oracle(weights, model.normalised(images))
        found = model.logits(images)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    assert model.labels == {}
    assert model.classes[0] == "class 0"


def test_photographs_are_normalised(tmp_path: Path, photographs: Path) -> None:
    model = opened(random_weights(NETWORKS["AlexNet"][0]), tmp_path, photographs)
    white = torch.ones(1, 3, 224, 224)
    expected = [(1 - mean) / std for mean, std in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)]
    assert model.normalised(white)[0, :, 0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("ResNet-18", lambda name: f"module.{name}"),
        ("AlexNet", lambda name: name.replace("features.", "features.module.")),
    ],
)
def test_names_of_wrappers_are_removed_anywhere(
    name: str, renamed: Callable[[str], str], tmp_path: Path, photographs: Path
) -> None:
    weights = random_weights(NETWORKS[name][0])
    wrapped = {"state_dict": {renamed(key): value for key, value in weights.items()}, "epoch": 90, "arch": "net"}
    model = opened(wrapped, tmp_path, photographs)
    with torch.no_grad():
        images = model.latents(1, 0, 1)
        assert torch.allclose(model.logits(images), NETWORKS[name][1](weights, model.normalised(images)), atol=1e-3)


def test_counters_of_batch_norm_may_be_there_or_not(tmp_path: Path, photographs: Path) -> None:
    weights = random_weights(NETWORKS["ResNet-18"][0])
    counters = {key.replace("running_mean", "num_batches_tracked"): torch.tensor(7) for key in weights if "mean" in key}
    first = opened(weights, tmp_path, photographs).logits(torch.zeros(1, 3, 224, 224))
    assert torch.equal(first, opened(weights | counters, tmp_path, photographs).logits(torch.zeros(1, 3, 224, 224)))


def test_a_vgg_may_have_the_names_of_caffe(tmp_path: Path, photographs: Path) -> None:
    weights = random_weights(NETWORKS["VGG-16"][0])
    stages = [
        f"features.conv{stage}_{at}" for stage, count in enumerate((2, 2, 3, 3, 3), 1) for at in range(1, count + 1)
    ]
    layers = [*stages, "classifier.fc6", "classifier.fc7", "classifier.fc8a"]
    kinds = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    model = opened(dict(zip(kinds, weights.values(), strict=True)), tmp_path, photographs)
    with torch.no_grad():
        images = model.latents(1, 0, 1)
        assert torch.allclose(model.logits(images), vgg(weights, model.normalised(images), False), atol=1e-3)
    assert model.default_layers[-1] == "features.28"


def numbered(name: str) -> str:
    """The name of a tensor of a ResNet-50 in a file that was converted from Torch 7."""
    layer, kind = name.rpartition(".")[::2]
    if layer in ("conv1", "bn1", "fc"):
        return f"{({'conv1': '0', 'bn1': '1', 'fc': '10.1'})[layer]}.{kind}"
    stage, at, inner = layer.split(".", 2)
    inside = ["conv1", "bn1", "", "conv2", "bn2", "", "conv3", "bn3"]
    place = f"0.{inside.index(inner)}" if inner in inside else f"1.{inner[-1]}"
    return f"{int(stage[-1]) + 3}.{at}.0.{place}.{kind}"


def test_the_layers_of_a_resnet_may_be_numbered(tmp_path: Path, photographs: Path) -> None:
    weights = random_weights(NETWORKS["ResNet-50"][0])
    content = {numbered(name): value for name, value in weights.items()}
    assert {"0.weight", "4.0.0.0.0.weight", "7.2.0.0.7.running_var", "5.0.0.1.0.weight", "10.1.bias"} < set(content)
    model = opened(content, tmp_path, photographs)
    assert str(model.facts["recognised"]).startswith(f"ResNet-50, {CLASSES} classes")
    with torch.no_grad():
        images = model.latents(1, 0, 1)
        expected = resnet(weights, model.normalised(images), (3, 4, 6, 3), True)
        assert torch.allclose(model.logits(images), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_groups_of_an_alexnet_that_do_not_fit_are_one_clear_line(tmp_path: Path, photographs: Path) -> None:
    weights = random_weights(caffe_shapes()) | {"conv2.weight": torch.zeros(6, 3, 5, 5)}
    with pytest.raises(WeightsError, match=r"conv2\.weight takes 3 channels and makes 6, but 8 come in"):
        opened(weights, tmp_path, photographs)


def test_the_stride_of_a_wide_resnet_is_told_by_the_name_of_the_file_or_by_a_description(
    tmp_path: Path, photographs: Path
) -> None:
    weights = random_weights(NETWORKS["ResNet-18"][0])
    opened(weights, tmp_path, photographs)
    torch.save(weights, tmp_path / "wideresnet18_places365.pth.tar")
    folder = str(photographs).replace("/", "%2F")
    images = f'images = {{ folder = "{photographs}", size = [224, 224] }}\n'
    text = f'family = "resnet"\nweights = "net.pth"\nsegmenter = "colour"\n{images}'
    sides = {}
    for name, stride in (("wide", "last_stride = 1\n"), ("usual", "")):
        (tmp_path / f"{name}.toml").write_text(stride + text)
        sides[name] = last_side(plugins.generator(str(tmp_path / f"{name}.toml")))
    sides["named"] = last_side(plugins.generator(f"{tmp_path / 'wideresnet18_places365.pth.tar'}:images={folder}"))
    assert sides == {"wide": 14, "usual": 7, "named": 14}
    for wrong in ("3", "1.0", "[1]"):
        (tmp_path / "wide.toml").write_text(f"last_stride = {wrong}\n" + text)
        with pytest.raises(BadOption, match="; the stride of a ResNet's layer4 is 2, or 1"):
            plugins.generator(str(tmp_path / "wide.toml"))
    (tmp_path / "wide.toml").write_text("last_stride = 1\n" + text.replace("resnet", "vgg16"))
    with pytest.raises(BadOption, match="last_stride belongs to the family resnet"):
        plugins.generator(str(tmp_path / "wide.toml"))


def last_side(model: object) -> int:
    """The height of the last map."""
    assert isinstance(model, ClassifierModel)
    shapes: list[int] = []
    model.module.get_submodule("layer4").register_forward_hook(lambda _, __, maps: shapes.append(maps.shape[-1]))
    with torch.no_grad():
        model.logits(torch.zeros(1, 3, 224, 224))
    return shapes[0]


def test_a_resnet_of_places365_says_which_stride_is_assumed(tmp_path: Path, photographs: Path) -> None:
    weights = random_weights(NETWORKS["ResNet-18"][0])
    weights |= {"fc.weight": torch.zeros(365, weights["fc.weight"].shape[1]), "fc.bias": torch.zeros(365)}
    assert "stride 2 in layer4, which tensors do not show" in str(
        opened(weights, tmp_path, photographs).facts["recognised"]
    )


def test_a_missing_tensor_is_named(tmp_path: Path, photographs: Path) -> None:
    weights = random_weights(NETWORKS["ResNet-18"][0])
    del weights["layer3.1.conv2.weight"]
    with pytest.raises(WeightsError, match=r"looks like ResNet, but does not fit: layer3\.1\.conv2\.weight is missing"):
        opened(weights, tmp_path, photographs)


def test_a_resnet_without_its_last_layer_is_said_to_be_one(tmp_path: Path, photographs: Path) -> None:
    weights = random_weights(NETWORKS["ResNet-18"][0])
    del weights["fc.weight"], weights["fc.bias"]
    with pytest.raises(WeightsError, match=r"the nearest is ResNet, but fc\.weight is missing, so it gives no scores"):
        opened(weights, tmp_path, photographs)


def test_a_last_layer_that_does_not_fit_is_named(tmp_path: Path, photographs: Path) -> None:
    weights = random_weights(NETWORKS["ResNet-18"][0])
    width = weights["fc.weight"].shape[1]
    weights["fc.weight"] = torch.ones(len(weights["fc.weight"]), width + 1)
    with pytest.raises(WeightsError, match=rf"fc\.weight takes {width + 1} numbers, but the last block gives {width}"):
        opened(weights, tmp_path, photographs)


def test_channels_that_no_groups_explain_are_one_clear_line(tmp_path: Path, photographs: Path) -> None:
    weights = random_weights(NETWORKS["ResNet-18"][0])
    name = "layer1.0.conv2.weight"
    weights[name] = torch.ones(weights[name].shape[0], 3, 3, 3)
    with pytest.raises(WeightsError, match=rf"does not fit: {name} takes 3 channels and makes 4, but 4 come in"):
        opened(weights, tmp_path, photographs)


def test_a_classifier_needs_photographs(tmp_path: Path) -> None:
    torch.save(random_weights(NETWORKS["AlexNet"][0]), tmp_path / "net.pth")
    with pytest.raises(BadOption, match=r"classifies photographs \(AlexNet\); name a folder of them with --images"):
        plugins.generator(str(tmp_path / "net.pth"))


def test_photographs_in_folders_of_years_have_no_labels(tmp_path: Path, photographs: Path) -> None:
    for number, file in enumerate(sorted(photographs.iterdir())):
        (tmp_path / "photos" / str(2020 + number % 2)).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "photos" / str(2020 + number % 2) / file.name)
    model = opened(random_weights(NETWORKS["ResNet-18"][0]), tmp_path, tmp_path / "photos")
    assert model.labels == {}
    assert model.classes == tuple(f"class {number}" for number in range(CLASSES))


def test_psi_is_refused(tmp_path: Path, photographs: Path) -> None:
    torch.save(random_weights(NETWORKS["AlexNet"][0]), tmp_path / "net.pth")
    with pytest.raises(BadOption, match="a classifier reads photographs: it has no psi"):
        plugins.generator(f"{tmp_path / 'net.pth'}:psi=0.5,images={str(photographs).replace('/', '%2F')}")


def test_layers_are_blocks_and_the_control_has_other_weights(tmp_path: Path, photographs: Path) -> None:
    model = opened(random_weights(NETWORKS["ResNet-18"][0]), tmp_path, photographs)
    assert model.default_layers == ("layer1", "layer2", "layer3", "layer4")
    assert "layer3.1" in model.layers
    control = model.untrained(3)
    assert control is not None
    assert isinstance(control, ClassifierModel)
    assert control.identity != model.identity
    assert torch.isfinite(control.logits(model.latents(1, 0, 1))).all()
