"""Photos are found again as latents, with what the generator cannot draw; edits are made on them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from dissectreport import plugins
from dissectreport.cli.app import app
from dissectreport.errors import BadOption, ModelError
from dissectreport.image_files import opened_image
from dissectreport.models.inverted import Inverted, read_inverted
from dissectreport.models.strokes import PaintedEdits, Stroke
from dissectreport.networks import hooks
from dissectreport.networks.latents import latents
from dissectreport.onnx_files.running import OnnxNetwork
from dissectreport.pipeline import invert as inverting
from dissectreport.pipeline.measure import measure
from dissectreport.pipeline.on_demand import EditOptions, intervene
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.painting import edited_image
from dissectreport.records.painting import PaintedNetwork
from dissectreport.worker.inversion import InversionSteps, PhotoLoss, invert, label_agreement, signal_to_noise
from dissectreport.worker.inverted_photos import photo_prefix
from dissectreport.worker.loaded_networks import Models, Source
from dissectreport.worker.painting import PaintRequest, make_painting
from dissectreport.worker.pictures import as_bytes
from tests.support.damage import flipped, places

MODEL = "scenes64"
FEW = InversionSteps(20, 10)
PIXELS = torch.zeros(64, 64, 3, dtype=torch.uint8)


@pytest.fixture(scope="module")
def models() -> Models:
    return Source(MODEL, "scenes").models()


@pytest.fixture
def photos(models: Models, tmp_path: Path) -> list[Path]:
    """Two samples of the model itself, as files."""
    with torch.no_grad():
        drawn = as_bytes(models.generator(latents(5, 0, 2, models.generator.latent_shape)))
    paths = [tmp_path / f"sample {number}.png" for number in range(2)]
    for path, pixels in zip(paths, drawn, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def test_steps_bring_images_nearer_and_residuals_bring_them_nearer_still(models: Models, photos: list[Path]) -> None:
    size = models.generator.image_size
    targets = torch.stack([inverting.opened(photo, size) for photo in photos])
    told: list[tuple[int, int]] = []

    def tell(every: int, before: int, step: int) -> None:
        told.append((before + step, every))

    layers = inverting.residual_layers(models.generator)
    found = invert(models, targets, layers, FEW, 0, tell)
    start = invert(models, targets, (), InversionSteps(0, 0), 0, tell)
    psnr = [signal_to_noise(images, targets) for images in (start.images, found.from_latents, found.images)]
    assert bool((psnr[0] + 1 < psnr[1]).all()) and bool((psnr[1] < psnr[2]).all())
    loss = PhotoLoss.of(models, targets)
    with torch.no_grad():
        assert loss(found.images) < loss(found.from_latents) < loss(start.images)
    assert told == [(step, 30) for step in range(1, 31)]
    assert all(0 < float(share) < 0.5 for shares in found.shares.values() for share in shares)
    assert bool((label_agreement(models, found.images, targets) > 0.8).all())
    # The loss of one photo is not that of another: a batch gives each what it gets alone, but for rounding.
    assert len(found.latents) == 2 and not torch.equal(found.latents[0], found.latents[1])


@pytest.mark.extended
@pytest.mark.slow
def test_a_sample_is_found_again_with_the_default_steps() -> None:
    models = Source("scenes_pgan", "scenes").models()
    with torch.no_grad():
        drawn = models.images(models.latents(5, 2, 1), 2)
    sample = torch.from_numpy(as_bytes(drawn)).permute(0, 3, 1, 2).float() / 127.5 - 1
    layers = inverting.residual_layers(models.generator)
    found = invert(models, sample, layers, InversionSteps(), inverting.SEED, lambda *_: None)
    assert float(signal_to_noise(found.images, sample)) >= 25
    assert float(label_agreement(models, found.images, sample)) >= 0.95


def test_measures_are_those_of_the_textbook(models: Models) -> None:
    black, grey = torch.full((1, 3, 64, 64), -1.0), torch.full((1, 3, 64, 64), -0.9)
    assert float(signal_to_noise(grey, black)) == pytest.approx(10 * np.log10(4 / 0.01), abs=1e-3)
    assert float(label_agreement(models, black, black)) == 1


def test_a_photo_is_inverted_written_and_edited(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dissectreport.worker.inversion.InversionSteps", lambda: FEW)
    out = photos[0].parent / "found"
    ran = CliRunner().invoke(app, ["invert", MODEL, *map(str, photos), "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "sample 0.png" in ran.output and "2 photos in" in ran.output
    numbers = json.loads((out / "sample 0.json").read_text())
    assert numbers["psnr"] > numbers["psnr_latent"] > 10
    with opened_image(out / "sample 0.png") as image:
        assert image.size == (3 * 64, 64)
        shown = np.asarray(image.convert("RGB"))
    generator = plugins.generator(MODEL)
    nothing = PaintedEdits(MODEL, generator.identity, "layer4", 8, 8, (Stroke((0,), (0.0,), 0.0),))
    same = edited_image(Options(MODEL), nothing, photo=out / "sample 0.safetensors")
    assert np.abs(same.astype(int) - shown[:, 128:].astype(int)).max() <= 1, "no edit leaves the inverted photo"
    painted = PaintedEdits(MODEL, generator.identity, "layer4", 8, 8, (Stroke(tuple(range(8)), (3.0,) * 8),))
    assert not np.array_equal(edited_image(Options(MODEL), painted, photo=out / "sample 0.safetensors"), same)


def test_what_cannot_be_inverted_is_refused_in_one_line(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html>")
    for wrong, words in (
        ([tmp_path / "page.png"], "page.png cannot be opened: not an image"),
        ([tmp_path / "none.png"], "none.png cannot be opened: No such file"),
        ([photos[0], photos[0]], "two photos are called sample 0"),
        ([], "at least one"),
    ):
        with pytest.raises(BadOption, match=words):
            inverting.invert(Options(MODEL), wrong, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_takes_images_needs_no_latents(photos: list[Path], tmp_path: Path) -> None:
    vae = Path(__file__).parent / "fixtures" / "autoencoders" / "tiny"
    with pytest.raises(ModelError, match="takes images itself"):
        inverting.invert(Options(str(vae), images=tmp_path), photos, tmp_path / "out")


def test_a_file_of_another_model_or_kind_is_refused(tmp_path: Path) -> None:
    generator = plugins.generator(MODEL)
    z = latents(1, 0, 1, generator.latent_shape)
    path = tmp_path / "one.safetensors"
    Inverted("else", "other", z, {"layer4": torch.zeros(1, 2, 3, 3)}, PIXELS).write(path)
    with pytest.raises(ModelError, match="inverted with other weights of else"), read_inverted(path).on(generator):
        pass
    with read_inverted(path).on(generator, other_weights=True), pytest.raises(ModelError, match="does not fit layer"):
        generator(z)
    assert bool(generator(z).isfinite().all()), "hooks are gone"
    Inverted(MODEL, generator.identity, z[:, :3], {}, PIXELS).write(path)
    with pytest.raises(ModelError, match="is a latent of shape"), read_inverted(path).on(generator):
        pass
    Inverted(MODEL, generator.identity, z * float("nan"), {}, PIXELS).write(path)
    with pytest.raises(BadOption, match="not finite"):
        read_inverted(path)
    Inverted(MODEL, generator.identity, z, {}, PIXELS[..., :2]).write(path)
    with pytest.raises(BadOption, match="no image in bytes"):
        read_inverted(path)
    (tmp_path / "text").write_text("no tensors")
    for other in (tmp_path / "text", tmp_path / "absent", Path(__file__).parent / "fixtures/autoencoders/tiny.npz"):
        with pytest.raises(BadOption, match="cannot be read"):
            read_inverted(other)


def test_no_bit_of_an_inverted_photo_changes_unnoticed(tmp_path: Path) -> None:
    """A bit in the table of the file may also be one that says the same in other words."""
    generator, path = plugins.generator(MODEL), tmp_path / "one.safetensors"
    Inverted(
        MODEL, generator.identity, latents(1, 0, 1, generator.latent_shape), {"b": torch.ones(1, 2)}, PIXELS
    ).write(path)
    whole, before = path.read_bytes(), read_inverted(path)
    for byte, bit in places(path, small=0, most=400):
        path.write_bytes(flipped(whole, byte, bit))
        with suppress(BadOption):
            after = read_inverted(path)
            assert (after.model, after.identity, [*after.residuals]) == (before.model, before.identity, ["b"])
            assert all(torch.equal(*pair) for pair in zip(after.tensors(), before.tensors(), strict=True))
    path.write_bytes(flipped(whole, len(whole) - 1, 0))
    with pytest.raises(BadOption, match=r"is damaged: .*; invert the photo again"):
        read_inverted(path)


# --- edits of photos --------------------------------------------------------------------------------------------------


@pytest.fixture
def inverted(models: Models, tmp_path: Path) -> Path:
    """A sample with residuals in two layers, as if it were an inverted photo."""
    generator = models.generator
    z = latents(5, 0, 1, generator.latent_shape)
    outputs = hooks.read(generator, ("layer2", "layer4"), z)
    random = torch.Generator().manual_seed(3)
    residuals = {
        layer: 0.3 * output.std() * torch.randn(output.shape, generator=random) for layer, output in outputs.items()
    }
    path = tmp_path / "house.safetensors"
    Inverted(MODEL, generator.identity, z, residuals, PIXELS + 7).write(path)
    return path


def drawn(models: Models, path: Path) -> np.ndarray:
    """The image of an inverted photo, as the generator draws it."""
    photo = read_inverted(path)
    with torch.no_grad(), photo.on(models.generator):
        return np.asarray(as_bytes(models.generator(photo.latent))[0])


def test_a_layer_is_read_and_edited_with_the_residuals(models: Models, inverted: Path) -> None:
    at = photo_prefix(models, read_inverted(inverted), "layer4")
    assert np.array_equal(as_bytes(at.images(at.activations))[0], drawn(models, inverted)), "residuals are added once"
    with torch.no_grad():
        plain = as_bytes(models.generator(read_inverted(inverted).latent))[0]
    assert not np.array_equal(plain, drawn(models, inverted))
    later = photo_prefix(models, read_inverted(inverted), "layer6")
    assert np.array_equal(as_bytes(later.images(later.activations))[0], drawn(models, inverted))
    with pytest.raises(ModelError, match="residual in layer4, which runs after layer3; invert it with --layers layer3"):
        photo_prefix(models, read_inverted(inverted), "layer3")


def test_an_edit_is_shown_on_a_photo(models: Models, inverted: Path, tmp_path: Path) -> None:
    out = tmp_path / "edit.webp"
    words = ["intervene", MODEL, "--photo", str(inverted), "--layer", "layer4", "--units", "0,1,2", "--out", str(out)]
    ran = CliRunner().invoke(app, [*words, "--mode", "insert", "--value", "6"])
    assert ran.exit_code == 0, ran.output
    assert "one photo: no interval" in ran.output and "sky" in ran.output
    request = EditOptions((0, 1, 2), "layer4", "insert", "6", concepts=("sky",), photo=inverted)
    result = intervene(Options(MODEL), request)
    assert result.samples == 1 and np.array_equal(result.before[0], drawn(models, inverted))
    edits = PaintedEdits(MODEL, models.generator.identity, "layer4", 8, 8, (Stroke((0, 1, 2), (6.0,) * 3),))
    assert np.array_equal(result.after[0], edited_image(Options(MODEL), edits, photo=inverted))
    sky = models.segmenter.vocabulary.names.index("sky")
    labels = models.labels(torch.from_numpy(result.after).permute(0, 3, 1, 2) / 127.5 - 1)
    assert result.table["after"][0] == pytest.approx(float((labels == sky).any(1).float().mean()), abs=0.01)


@pytest.mark.extended
@pytest.mark.slow
def test_a_gallery_has_photos_with_their_residuals(models: Models, inverted: Path) -> None:
    made = make_painting(Source(MODEL, "scenes"))(PaintRequest("layer4", 1, (0, 1, 2), (), (str(inverted),)))
    assert made.samples.tolist() == [0, 1, 2, -1] and made.photos == ("house",)
    assert made.head and made.activations.shape[0] == 1, "the head computes the maps of samples, not of photos"
    assert np.array_equal(made.images[3], drawn(models, inverted)) and (made.originals == 7).all()
    (image,) = OnnxNetwork(made.tail)({"activations": made.activations.astype(np.float32), "latent": made.latents[3:]})
    difference = np.abs(as_bytes(torch.from_numpy(image))[0].astype(int) - made.images[3])
    assert np.mean(difference.max(2) <= 1) > 0.99
    assert PaintedNetwork.from_arrays(made.arrays()).photos == ("house",)


def test_photos_for_a_page_are_checked_before_anything_is_measured(inverted: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "house.safetensors"
    other.parent.mkdir()
    Inverted("else", "other", torch.zeros(1, 64), {}, PIXELS).write(other)

    def options(*photos: Path, **more: object) -> Options:
        return Options(MODEL, photos=tuple(map(str, photos)), cache=tmp_path / "cache", **more)

    with pytest.raises(BadOption, match="two photos are called house"):
        measure(options(inverted, other))
    with pytest.raises(ModelError, match="inverted with other weights of else"):
        measure(options(other))
    with pytest.raises(BadOption, match="add --paint"):
        measure(options(inverted, paint=False))
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.npz"))
