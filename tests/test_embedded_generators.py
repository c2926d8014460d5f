"""The generators that come with the package, and weights that must not be loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import dissectreport
from dissectreport.errors import WeightsError
from dissectreport.models.embedded import WEIGHTS, embedded, held_out_drawings
from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.networks.identity import identity_of
from dissectreport.report.html.assets import templates_folder

SIZES = (8, 8, 8, 4)


def describe(folder: Path) -> None:
    """Write the card of the weights in `folder`."""
    sha256 = hashlib.sha256((folder / "small.safetensors").read_bytes()).hexdigest()
    (folder / "small.json").write_text(json.dumps({"sha256": sha256}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small generator in half precision and its card."""
    network = ProgressiveGenerator(SIZES)
    network.initialise(seed=0)
    save_file({key: value.half() for key, value in network.state_dict().items()}, tmp_path / "small.safetensors")
    describe(tmp_path)
    return tmp_path


def test_weights_in_half_precision_run_in_single_precision(folder: Path) -> None:
    generator = embedded("small", folder)
    with torch.no_grad():
        images = generator(torch.zeros(2, *generator.latent_shape))
    assert images.shape == (2, 3, *generator.image_size)
    assert images.dtype == torch.float32


def test_layers_are_in_the_order_in_which_they_run(folder: Path) -> None:
    generator = embedded("small", folder)
    assert generator.layers == tuple(f"layer{number}" for number in range(1, 7))
    assert generator.default_layers == ("layer2", "layer4", "layer6")


def test_the_identity_changes_with_a_single_weight(folder: Path) -> None:
    network = ProgressiveGenerator(SIZES)
    network.initialise(seed=0)
    before = identity_of(network)
    with torch.no_grad():
        network.layer3.conv.weight[0, 0, 0, 0] += 1e-3
    assert identity_of(network) != before
    assert embedded("small", folder).identity == embedded("small", folder).identity


def test_the_untrained_control_has_the_architecture_and_other_weights(folder: Path) -> None:
    generator = embedded("small", folder)
    control, again = generator.untrained(3), generator.untrained(3)
    assert control.layers == generator.layers
    assert control.identity == again.identity != generator.identity
    assert control.training_like_images(1) is None


def test_drawings_are_images_that_stay_the_same() -> None:
    images = held_out_drawings(2, 32)
    assert images.shape == (2, 3, 32, 32)
    assert -1 <= images.min() < images.max() <= 1
    assert torch.equal(images, held_out_drawings(2, 32))


@pytest.mark.parametrize("subject", ["scenes", "rooms"])
def test_a_card_says_what_the_drawings_show_and_which_segmenter_knows_them(folder: Path, subject: str) -> None:
    card = json.loads((folder / "small.json").read_text())
    (folder / "small.json").write_text(json.dumps({**card, "subject": subject}))
    generator = embedded("small", folder)
    assert generator.facts["segmenter"] == subject
    images = generator.training_like_images(2)
    assert images is not None
    assert torch.equal(images, held_out_drawings(2, 16, subject))


def truncate(folder: Path) -> None:
    path = folder / "small.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def tamper(folder: Path) -> None:
    path = folder / "small.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def truncate_and_describe(folder: Path) -> None:
    truncate(folder)
    describe(folder)


def pickle_instead(folder: Path) -> None:
    torch.save({"layer1.conv.weight": torch.zeros(1)}, folder / "small.safetensors")
    describe(folder)


def another_architecture(folder: Path) -> None:
    save_file({"dense.weight": torch.zeros(4, 4)}, folder / "small.safetensors")
    describe(folder)


def a_missing_layer(folder: Path) -> None:
    tensors = ProgressiveGenerator(SIZES).state_dict()
    del tensors["layer2.wscale.b"]
    save_file(tensors, folder / "small.safetensors")
    describe(folder)


def remove_weights(folder: Path) -> None:
    (folder / "small.safetensors").unlink()


def remove_card(folder: Path) -> None:
    (folder / "small.json").unlink()


def garble_card(folder: Path) -> None:
    (folder / "small.json").write_text('{"sha256": ')


def empty_card(folder: Path) -> None:
    (folder / "small.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "changed or truncated"),
        (tamper, "changed or truncated"),
        (truncate_and_describe, "not a safetensors file"),
        (pickle_instead, "not a safetensors file"),
        (another_architecture, "not a Progressive GAN"),
        (a_missing_layer, "layer2.wscale.b is missing"),
        (remove_weights, "cannot be read"),
        (remove_card, "cannot be read"),
        (garble_card, "is not JSON"),
        (empty_card, "gives no sha256"),
    ],
)
def test_broken_weights_are_refused_in_one_line(folder: Path, damage, message: str) -> None:
    damage(folder)
    with pytest.raises(WeightsError, match=message) as refused:
        embedded("small", folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "card",
    sorted(card for card in WEIGHTS.glob("*.json") if card.stem != "scenes_classifier"),
    ids=lambda path: path.stem,
)
def test_every_generator_in_the_package_loads_and_draws(card: Path) -> None:
    generator = embedded(card.stem, WEIGHTS)
    with torch.no_grad():
        images = generator(torch.randn(2, *generator.latent_shape, generator=torch.Generator().manual_seed(0)))
    assert images.shape == (2, 3, *generator.image_size)
    assert images.isfinite().all()
    assert images.std() > 0.1


def test_a_wheel_takes_less_than_40_megabytes() -> None:
    """Before compression, which weights hardly feel."""
    package = Path(dissectreport.__file__).parent
    parts = [path for root in (package, templates_folder()) for path in root.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in parts if path.suffix != ".pyc")
    assert 10e6 < size < 40e6
