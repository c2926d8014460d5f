"""The training variants: each draws what a short program of plain operations draws, written from their description."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.checkpoints.weight_files import read_tensors
from dissectreport.errors import WeightsError
from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.models.proggan_variants import KINDS, PROGRESSIVE, VariantGenerator, from_state_dict, new
from dissectreport.networks.identity import identity_of

SIZES = (12, 16, 16, 8, 6, 4, 4)
"""Channels of the latent and of 4x4 to 128x128: narrower from 16x16 on, as the published variants are."""
Weights = dict[str, Tensor]


def made_up(kind: str, seed: int = 0) -> Weights:
    """Weights of a variant under the published names, every tensor of them far from what it is before training."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    tensors: Weights = {}
    for number in range(12):
        inputs, outputs = SIZES[(number + 1) // 2], SIZES[number // 2 + 1]
        side = 3 if number else 4
        weight = normal(outputs, inputs, side, side)
        tensors[f"features.{number}.conv.weight"] = weight if "pixel" in kind or "equal" in kind else 0.2 * weight
        if kind == "batch_norm":
            tensors |= {
                f"features.{number}.norm.weight": 1 + 0.3 * normal(outputs),
                f"features.{number}.norm.bias": 0.3 * normal(outputs),
                f"features.{number}.norm.running_mean": 0.5 * normal(outputs),
                f"features.{number}.norm.running_var": 0.5 + normal(outputs).square(),
                f"features.{number}.norm.num_batches_tracked": torch.tensor(1000 + number),
            }
        elif kind == "plain":
            tensors[f"features.{number}.conv.bias"] = 0.1 * normal(outputs)
        else:
            tensors[f"features.{number}.wscale.scale"] = 0.1 + 0.1 * normal(1).abs()
            tensors[f"features.{number}.wscale.b"] = 0.1 * normal(outputs)
    tensors["output.conv.weight"] = normal(3, SIZES[-1], 1, 1)
    if kind in ("batch_norm", "plain"):
        tensors["output.conv.bias"] = 0.1 * normal(3)
    else:
        tensors |= {"output.wscale.scale": torch.tensor([0.4]), "output.wscale.b": 0.1 * normal(3)}
    return tensors


def evened(x: Tensor) -> Tensor:
    return x / torch.sqrt((x**2).mean(1, keepdim=True) + 1e-8)


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def columns(bias: Tensor) -> Tensor:
    return bias[None, :, None, None]


def with_batch_norm(w: Weights, z: Tensor) -> list[Tensor]:
    x, seen = z[:, :, None, None], []
    for n in range(12):
        x = doubled(x) if n in (2, 4, 6, 8, 10) else x
        x = functional.conv2d(x, w[f"features.{n}.conv.weight"], padding=1 if n else 3)
        spread = torch.sqrt(w[f"features.{n}.norm.running_var"] + 1e-5)
        x = (x - columns(w[f"features.{n}.norm.running_mean"])) / columns(spread)
        x = x * columns(w[f"features.{n}.norm.weight"]) + columns(w[f"features.{n}.norm.bias"])
        x = x * (x > 0)
        seen.append(x)
    return [*seen, functional.conv2d(x, w["output.conv.weight"], w["output.conv.bias"]).clamp(-1, 1)]


def without_scales(w: Weights, z: Tensor) -> list[Tensor]:
    x, seen = evened(z[:, :, None, None]), []
    for n in range(12):
        x = doubled(x) if n in (2, 4, 6, 8, 10) else x
        x = functional.conv2d(x, w[f"features.{n}.conv.weight"], w[f"features.{n}.conv.bias"], padding=1 if n else 3)
        x = torch.where(x > 0, x, 0.2 * x)
        seen.append(x)
    return [*seen, functional.conv2d(x, w["output.conv.weight"], w["output.conv.bias"]).clamp(-1, 1)]


def with_scales(w: Weights, z: Tensor, everywhere: bool) -> list[Tensor]:
    x, seen = z[:, :, None, None], []
    for n in range(12):
        x = evened(x) if everywhere or n == 0 else x
        x = doubled(x) if n in (2, 4, 6, 8, 10) else x
        x = functional.conv2d(x, w[f"features.{n}.conv.weight"], padding=1 if n else 3)
        x = x * w[f"features.{n}.wscale.scale"] + columns(w[f"features.{n}.wscale.b"])
        x = torch.where(x > 0, x, 0.2 * x)
        seen.append(x)
    x = functional.conv2d(evened(x), w["output.conv.weight"]) * w["output.wscale.scale"]
    return [*seen, (x + columns(w["output.wscale.b"])).clamp(-1, 1)]


ORACLES = {
    "batch_norm": with_batch_norm,
    "plain": without_scales,
    "equalized": lambda w, z: with_scales(w, z, everywhere=False),
    "pixel_norm": lambda w, z: with_scales(w, z, everywhere=True),
}


def latents(count: int = 3) -> Tensor:
    return torch.randn(count, SIZES[0], generator=torch.Generator().manual_seed(9))


def test_every_kind_has_an_oracle() -> None:
    assert ORACLES.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_variant_draws_what_its_description_says(kind: str) -> None:
    generator = from_state_dict(made_up(kind), kind).double()
    # In double precision nothing but a mistake can differ by more than rounding.
    tensors, z = {name: value.double() for name, value in made_up(kind).items()}, latents().double()
    read: list[Tensor] = []
    for name in generator.layers:
        generator.get_submodule(name).register_forward_hook(lambda *call: read.append(call[2]))
    with torch.no_grad():
        image = generator(z)
        *expected, drawn = ORACLES[kind](tensors, z)
    assert image.shape == (3, 3, 128, 128)
    assert image.std() > 0.1 and (image.abs() < 1).any() and image.abs().max() <= 1
    assert torch.allclose(image, drawn, rtol=1e-9, atol=1e-9)
    assert len(read) == 12
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in zip(read, expected, strict=True))


def test_the_oracles_distinguish_the_variants_with_scales() -> None:
    tensors = made_up("pixel_norm")
    one, other = (ORACLES[kind](tensors, latents())[-1] for kind in ("equalized", "pixel_norm"))
    assert (one - other).abs().max() > 0.05


@pytest.mark.parametrize("kind", ["batch_norm", "plain"])
@pytest.mark.parametrize("wrap", [dict, lambda w: {"state_dict": {f"module.{name}": v for name, v in w.items()}}])
def test_a_variant_is_recognised_by_its_tensors(kind: str, wrap) -> None:
    generator = from_state_dict(wrap(made_up(kind)))
    assert isinstance(generator, VariantGenerator) and generator.kind == kind
    assert (generator.resolution, generator.latent_size, generator.sizes) == (128, SIZES[0], SIZES)
    assert generator.layers[3] == "features.3"


def test_two_variants_whose_tensors_are_alike_must_be_named() -> None:
    with pytest.raises(WeightsError, match="livingroom_equalized_lr or as livingroom_pixelnorm") as refused:
        from_state_dict(made_up("equalized"))
    assert "\n" not in str(refused.value)
    one, other = (from_state_dict(made_up("equalized"), kind) for kind in ("equalized", "pixel_norm"))
    assert (one.kind, other.kind) == ("equalized", "pixel_norm")
    assert identity_of(one) != identity_of(other), "or the one's measurements would be taken for the other's"


@pytest.mark.parametrize("sizes", [(8, 8, 8, 8, 8, 4, 2), (8, 8, 8, 4), (8, 8, 8, 4, 2, 2, 2, 2)])
def test_an_older_file_of_another_shape_is_of_the_usual_kind(sizes: tuple[int, ...]) -> None:
    made = ProgressiveGenerator(sizes)
    made.initialise(seed=0)
    older: Weights = {}
    for key, value in made.state_dict().items():
        layer, _, rest = key.partition(".")
        number = layer.removeprefix("layer")
        place = f"features.{int(number) - 1}" if number.isdigit() else "output"
        older |= {f"{place}.{rest}": value, f"{place}.wscale.scale": torch.ones(1)}
    found = from_state_dict(older)
    assert isinstance(found, ProgressiveGenerator) and found.sizes == sizes
    assert all(torch.equal(value, made.state_dict()[key]) for key, value in found.state_dict().items())


def test_files_that_do_not_count_batches_load(tmp_path: Path) -> None:
    tensors = made_up("batch_norm")
    old = {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with torch.no_grad():
        drawn = from_state_dict(read_tensors(tmp_path / "old.pth"))(latents())
        assert torch.equal(drawn, from_state_dict(tensors)(latents()))


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("batch_norm", lambda w: w.pop("features.4.norm.running_var"), "features.4.norm.running_var is missing"),
        ("batch_norm", lambda w: w.pop("features.4.conv.weight"), "features.4.conv.weight is missing"),
        ("plain", lambda w: w.update({"features.3.conv.bias": torch.ones(2)}), r"has shape \(2,\) instead of \(16,\)"),
        ("pixel_norm", lambda w: w.update(extra=torch.ones(2)), "extra is unknown"),
        ("pixel_norm", lambda w: w.pop("features.0.conv.weight"), "not a Progressive GAN"),
        ("plain", lambda w: w.update({"features.5.conv.weight": torch.ones(2)}), "should have four axes"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(kind: str, change, message: str) -> None:
    tensors = made_up(kind)
    change(tensors)
    with pytest.raises(WeightsError, match=message) as refused:
        from_state_dict(tensors, kind)
    assert "\n" not in str(refused.value)


def test_weights_of_another_kind_than_was_said_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"with batch norm: .* features\.0\.conv\.bias is unknown"):
        from_state_dict(made_up("plain"), "batch_norm")
    with pytest.raises(WeightsError, match=r"fit a Progressive GAN: .*layer1\.conv\.bias is unknown"):
        from_state_dict(made_up("plain"), PROGRESSIVE)


@pytest.mark.parametrize("kind", [*KINDS, PROGRESSIVE])
def test_an_untrained_variant_depends_on_its_seed_and_keeps_its_features_in_bounds(kind: str) -> None:
    made = [new(kind, (64, 64, 64, 32, 16)) for _ in range(3)]
    for generator, seed in zip(made, (1, 1, 2), strict=True):
        generator.initialise(seed)
    one, same, other = (generator.eval().state_dict() for generator in made)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one[next(iter(one))], other[next(iter(one))])
    with torch.no_grad():
        image = made[0](torch.randn(16, 64, generator=torch.Generator().manual_seed(0)))
    assert 0.02 < image.std() < 3
