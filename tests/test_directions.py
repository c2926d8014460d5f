"""Directions and sparse features of a layer, read and edited like units: planted truth and plain formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from dissectreport import plugins
from dissectreport.cache.records import is_named_by_content
from dissectreport.errors import BadOption, ModelError, UnknownName, WeightsError
from dissectreport.models import planted
from dissectreport.models.directions import read_directions, with_directions
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.networks import hooks
from dissectreport.networks.edits import Edit, editing, run_prefix
from dissectreport.networks.latents import latents
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.provenance import source_digest
from dissectreport.run.addresses import ModelAddress, source_of, with_settings

LAYER = "mixed"
UNITS = planted.MIXED


def made(tmp_path, rows, layer=LAYER, **more):
    path = tmp_path / "directions.safetensors"
    save_file({"directions": rows.contiguous(), **more}, path)
    return with_directions(planted.load(), [(layer, path)])


def some_latents(count=6):
    return latents(1, 0, count, planted.load().latent_shape)


def orthogonal():
    return hooks.orthogonal(UNITS, 7)


def test_identity_directions_are_the_units_and_change_no_image(tmp_path):
    plain, generator, z = planted.load(), made(tmp_path, torch.eye(UNITS)), some_latents()
    assert torch.equal(generator(z), plain(z))
    maps = hooks.read(generator, [LAYER, "mixed.directions"], z)
    assert torch.equal(maps["mixed.directions"], hooks.read(plain, [LAYER], z)[LAYER])
    assert torch.equal(maps[LAYER], maps["mixed.directions"])


@pytest.mark.parametrize("units", [(3,), (0, 5, 9)])
def test_editing_identity_directions_is_editing_units(tmp_path, units):
    plain, generator, z = planted.load(), made(tmp_path, torch.eye(UNITS)), some_latents()
    for value in (0.0, 2.0):
        with editing(plain.module, LAYER, Edit(units, value)):
            wanted = plain(z)
        with editing(generator.module, "mixed.directions", Edit(units, value)):
            assert torch.equal(generator(z), wanted)


def test_a_rotated_basis_and_back_is_the_layer(tmp_path):
    plain, z = planted.load(), some_latents()
    basis, target = orthogonal(), torch.randn(len(z), UNITS, 16, 16)
    generator = made(tmp_path, basis)
    rotated = torch.einsum("uv,nvhw->nuhw", basis, target)
    with editing(plain.module, LAYER, Edit(tuple(range(UNITS)), target)):
        wanted = hooks.read(plain, ["canvas"], z)["canvas"]
    with editing(generator.module, "mixed.directions", Edit(tuple(range(UNITS)), rotated)):
        back = hooks.read(generator, [LAYER], z)[LAYER]
        images = generator(z)
    assert torch.allclose(back, target, atol=1e-5)
    assert (images != wanted).any(1).float().mean() < 0.01


def test_random_directions_of_the_axis_test_are_directions(tmp_path):
    generator, z = made(tmp_path, orthogonal()), some_latents()
    read = hooks.read(generator, [LAYER, "mixed.directions"], z)
    assert torch.allclose(read["mixed.directions"], hooks.rotate(read[LAYER], 7), atol=1e-6)


def unmixing():
    """(inputs, units) the directions in which `mixed` holds one paint each."""
    return planted.hadamard(UNITS).T


def test_ablating_a_planted_direction_removes_its_concept_and_nothing_else(tmp_path):
    plain, generator, z = planted.load(), made(tmp_path, unmixing()), some_latents(12)
    segmenter = plugins.segmenter("planted")
    numbers = {concept.name: number for number, concept in enumerate(segmenter.vocabulary.concepts)}
    for unit, paint in planted.TRUTH.paints.items():
        with editing(generator.module, "mixed.directions", Edit((planted.INPUTS.index(paint),))):
            images = generator(z)
        with editing(plain.module, "features", Edit((unit,))):
            assert torch.equal(images, plain(z)), paint
        assert not (segmenter(images) == numbers[paint]).any()
        assert (segmenter(plain(z)) == numbers[paint]).any()


def test_only_the_rest_of_the_network_runs_again_on_edited_directions(tmp_path):
    generator, z = made(tmp_path, unmixing()), some_latents()
    prefix = run_prefix(generator, "mixed.directions", z)
    assert torch.equal(prefix.images(prefix.activations), generator(z))
    edit = Edit((planted.INPUTS.index("crown"),))
    with editing(generator.module, "mixed.directions", edit):
        assert torch.equal(prefix.images(edit(prefix.activations)), generator(z))


def test_gradients_reach_the_values_of_directions(tmp_path):
    generator, z = made(tmp_path, orthogonal()), some_latents(2)
    prefix = run_prefix(generator, "mixed.directions", z)
    values = prefix.activations.clone().requires_grad_()
    prefix.images(values).sum().backward()
    assert values.grad is not None
    assert values.grad.abs().sum() > 0


def sparse_parts(random, features=7, channels=5):
    parts = {
        "encoder": random.standard_normal((features, channels)),
        "decoder": random.standard_normal((channels, features)),
        "bias": random.standard_normal(features),
        "centre": random.standard_normal(channels),
        "threshold": random.random(features),
    }
    return {name: value.astype(np.float32) for name, value in parts.items()}


def by_hand(parts, x, keep):
    """(features, positions) values of sparse features of (channels, positions) activations."""
    values = parts["encoder"] @ (x - parts["centre"][:, None]) + parts["bias"][:, None]
    on = values > parts["threshold"][:, None]
    rank = (-values).argsort(0).argsort(0)
    return np.where(on & (rank < keep), values, 0)


@pytest.mark.parametrize("keep", [2, 7])
def test_sparse_features_are_read_and_edited_by_their_formula(tmp_path, keep):
    random = np.random.default_rng(0)
    parts, x = sparse_parts(random), random.standard_normal((3, 5, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "sparse.npz", **parts, keep=np.array(keep))
    layer = nn.Identity()
    plain = NetworkGenerator("one", nn.Sequential(layer, nn.Identity()), (5, 4, 4), (4, 4), ("0", "1"))
    generator = with_directions(plain, [("0", tmp_path / "sparse.npz")])
    assert generator.layers == ("0", "0.directions", "1")
    read = hooks.read(generator, ["0.directions"], torch.from_numpy(x))["0.directions"].numpy()
    for image in range(3):
        wanted = by_hand(parts, x[image].reshape(5, -1), keep)
        assert np.allclose(read[image].reshape(7, -1), wanted, atol=1e-5)
    for value in (0.0, 1.5):
        with editing(generator.module, "0.directions", Edit((2, 4), value)):
            edited = generator.module(torch.from_numpy(x)).numpy()
        change = sum((value - read[:, [f]]) * parts["decoder"][:, f][None, :, None, None] for f in (2, 4))
        assert np.allclose(edited, x + change, atol=1e-5)


def test_thresholds_of_sparse_features_may_be_one_number_or_none(tmp_path):
    parts = sparse_parts(np.random.default_rng(1))
    for threshold in ({}, {"threshold": np.float32(0.5)}):
        np.savez(tmp_path / "sparse.npz", encoder=parts["encoder"], decoder=parts["decoder"], **threshold)
        directions, facts = read_directions(tmp_path / "sparse.npz")
        assert directions.threshold.tolist() == [float(threshold.get("threshold", 0))] * 7
        assert (facts["kind"], facts["directions"]) == ("sparse features", 7)


def test_directions_are_made_of_length_one(tmp_path):
    path = tmp_path / "long.npz"
    np.savez(path, directions=np.array([[3.0, 4.0]], np.float32))
    directions, facts = read_directions(path)
    assert directions.encoder.tolist() == pytest.approx(np.array([[0.6, 0.8]]))
    assert facts["kind"] == "directions"


def test_the_untrained_control_has_the_same_directions_and_another_file_is_another_network(tmp_path):
    generator = made(tmp_path, orthogonal())
    control = generator.untrained(3)
    assert control is not None
    assert hooks.read(control, ["mixed.directions"], some_latents(2))["mixed.directions"].shape == (2, UNITS, 16, 16)
    other = made(tmp_path, torch.eye(UNITS))
    assert generator.identity != other.identity
    assert generator.facts["directions"][LAYER]["file"] == "directions.safetensors"


def test_a_layer_within_a_layer_with_directions_stays_readable(tmp_path):
    save_file({"directions": torch.eye(3)}, tmp_path / "inner.safetensors")
    block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    network = nn.Sequential(block, nn.Conv2d(3, 3, 1))
    plain = NetworkGenerator("nested", network, (3, 4, 4), (4, 4), ("0.0", "0", "1"))
    files = [(layer, tmp_path / "inner.safetensors") for layer in ("0", "0.0")]
    generator = with_directions(plain, files)
    assert generator.layers == ("0.layer.0", "0.layer.0.directions", "0", "0.directions", "1")
    assert generator.default_layers == ("0.layer.0.directions", "0.directions")
    read = hooks.read(generator, generator.layers, torch.randn(2, 3, 4, 4))
    assert torch.equal(read["0.layer.0"], read["0.layer.0.directions"])


def test_a_vector_is_a_map_of_one_cell_and_attributes_of_the_layer_stay(tmp_path):
    save_file({"directions": torch.eye(4)}, tmp_path / "vector.safetensors")
    network = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3), nn.Unflatten(1, (3, 1, 1)))
    generator = NetworkGenerator("vector", network, (2,), (1, 1), ("0",))
    with_vector = with_directions(generator, [("0", tmp_path / "vector.safetensors")])
    assert with_vector.module[0].out_features == 4
    assert hooks.read(with_vector, ["0.directions"], torch.randn(5, 2))["0.directions"].shape == (5, 4, 1, 1)
    with pytest.raises(AttributeError):
        _ = with_vector.module[0].nothing


def test_the_name_of_a_model_has_its_directions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file({"directions": orthogonal()}, tmp_path / "a b,c+d.safetensors")
    options = Options("planted", directions=("mixed=a b,c+d.safetensors",))
    assert options.directions == ()
    assert ModelAddress.read(options.model) == ModelAddress(
        "planted", directions=((LAYER, Path("a b,c+d.safetensors")),)
    )
    generator = plugins.generator(options.model)
    assert generator.default_layers == ("mixed.directions",)
    assert source_digest(options.model) == ""
    both = with_settings("ffhq.pkl", 0.7, None, ("3", "5"), "", None, ("b4=a.npz", "b8=b.npz"))
    assert ModelAddress.read(both) == ModelAddress(
        "ffhq.pkl", "psi=0.7,label=3+5", (("b4", Path("a.npz")), ("b8", Path("b.npz")))
    )


SPARSE = {"encoder": np.ones((4, 2)), "decoder": np.ones((2, 4))}


def test_a_sparse_autoencoder_may_have_the_names_of_other_programs(tmp_path):
    parts = sparse_parts(np.random.default_rng(2))
    others = {"encoder": "encoder.weight", "decoder": "decoder.weight", "bias": "latent_bias", "centre": "pre_bias"}
    save_file({others.get(name, name): torch.from_numpy(value) for name, value in parts.items()}, tmp_path / "a.st")
    np.savez(tmp_path / "b.npz", **parts)
    found, wanted = (dict(read_directions(tmp_path / name)[0].named_buffers()) for name in ("a.st", "b.npz"))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_what_cannot_be_directions_is_refused_by_name(tmp_path):
    path = tmp_path / "bad.npz"
    cases: list[tuple[dict[str, NDArray[np.float64]], str]] = [
        ({"weights": np.ones((2, 2))}, "no encoder, only weights"),
        ({"directions": np.zeros((2, 2))}, "not zero"),
        ({"directions": np.ones(3)}, "not zero"),
        ({"encoder": np.ones((4, 2))}, "no decoder"),
        ({"encoder": np.ones(4), "decoder": np.ones(4)}, "features, channels"),
        ({"encoder": np.ones((4, 2)), "decoder": np.ones((4, 2))}, r"decoder .* must be \(2, 4\)"),
        ({"directions": np.ones((0, 4))}, "not zero"),
        ({"directions": np.full((2, 4), np.inf)}, "directions .* not finite"),
        ({"encoder": np.ones((0, 2)), "decoder": np.ones((2, 0))}, "features, channels"),
        ({"encoder": np.full((4, 2), np.nan), "decoder": np.ones((2, 4))}, "encoder .* not finite"),
        ({**SPARSE, "bias": np.full(4, np.nan)}, "bias .* not finite"),
        ({**SPARSE, "keep": np.array([2.0, 3.0])}, r"keep .* is \[2.0, 3.0\]; it must be one whole number from 1"),
        ({**SPARSE, "keep": np.array(np.nan)}, "keep .* not finite"),
        ({**SPARSE, "keep": np.array(-3.0)}, "keep .* one whole number"),
        ({**SPARSE, "keep": np.array(1.5)}, "keep .* one whole number"),
    ]
    for arrays, message in cases:
        np.savez(path, **{name: value.astype(np.float32) for name, value in arrays.items()})
        with pytest.raises(WeightsError, match=message):
            read_directions(path)
    with pytest.raises(BadOption, match="LAYER=FILE"):
        Options("planted", directions=("mixed",))
    with pytest.raises(UnknownName, match="mixes"):
        with_directions(planted.load(), [("mixes", path)])
    generator = made(tmp_path, torch.eye(UNITS + 1))
    with pytest.raises(ModelError, match=r"^mixed=directions.safetensors: .* 17 channels, but the layer has 16"):
        generator(some_latents(1))


def test_a_generator_of_a_kind_of_its_own_has_no_directions(tmp_path):
    class Other:
        name, layers = "other", ("a",)

    with pytest.raises(ModelError, match="not a NetworkGenerator"):
        with_directions(Other(), [("a", tmp_path / "a.npz")])  # type: ignore[arg-type]


def test_a_model_with_directions_is_one_of_its_own_by_the_whole_paths_of_the_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, other = (Options("planted", directions=(f"mixed={name}.npz",)).model for name in ("a", "b"))
    assert source_of(one) == f"planted:directions=mixed={tmp_path.resolve()}/a.npz"
    assert source_of(one) != source_of(other)
    assert is_named_by_content(source_of(one))
