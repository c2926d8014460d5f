"""Autoencoders redraw photographs: they agree with diffusers, and their units can be measured and edited."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import dissectreport
from dissectreport import plugins
from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.errors import BadOption, DissectReportError, WeightsError
from dissectreport.models.families.autoencoder import Autoencoder
from dissectreport.models.families.base import Sampling
from dissectreport.models.families.describing import describe
from dissectreport.models.families.opening import open_found
from dissectreport.models.families.recognition import find
from dissectreport.models.image_model import RedrawingModel
from dissectreport.networks import hooks
from dissectreport.pipeline.options import Options
from dissectreport.run.addresses import with_settings

FOLDER = Path(__file__).parent / "fixtures" / "autoencoders"
WEIGHTS = "diffusion_pytorch_model.safetensors"
KINDS = ("kl", "tiny")
LAYERS = {"kl": "decoder.up_blocks.0", "tiny": "decoder.layers.3"}
TOLERANCE = 1e-5
"""Of the largest value; measured are 1e-6."""


def network(path: Path) -> Autoencoder:
    """The autoencoder in a file or folder."""
    opened = open_found(find(open_model_file(path)), Sampling()).module
    assert isinstance(opened, Autoencoder)
    return opened


def arrays(kind: str) -> dict[str, np.ndarray]:
    """What diffusers computed: photographs, the same redrawn, and a layer."""
    with np.load(FOLDER / f"{kind}.npz", allow_pickle=False) as content:
        return dict(content)


def difference(ours: Tensor, theirs: np.ndarray) -> float:
    """The largest difference, as a share of the largest value."""
    assert tuple(ours.shape) == theirs.shape
    return float(np.abs(ours.detach().numpy() - theirs).max() / np.abs(theirs).max())


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of twenty small photographs."""
    folder = tmp_path / "my photos"
    folder.mkdir()
    random = np.random.RandomState(0)
    for number in range(20):
        coarse = Image.fromarray(random.randint(0, 255, (4, 4, 3)).astype(np.uint8))
        coarse.resize((32, 32), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_photographs_are_redrawn_as_by_the_original(kind: str) -> None:
    expected, made = arrays(kind), network(FOLDER / kind)
    maps: dict[str, Tensor] = {}
    made.get_submodule(LAYERS[kind]).register_forward_hook(lambda _module, _args, output: maps.update(layer=output))
    with torch.no_grad():
        redrawn = made(torch.from_numpy(expected["images"]))
    assert difference(redrawn, expected["redrawn"]) < TOLERANCE
    assert difference(maps["layer"], expected["layer"]) < TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_that_is_offered_runs_once_and_in_order(kind: str) -> None:
    made = network(FOLDER / kind)
    images = torch.from_numpy(arrays(kind)["images"])
    with torch.no_grad():
        parts, _ = hooks.trace_modules(_Call(made), images)
    order = [part.name for part in parts if part.units]
    assert [name for name in order if name in made.unit_layers] == list(made.unit_layers)
    assert set(made.default_layers) <= set(made.unit_layers)
    assert all(name.startswith("decoder.") for name in made.default_layers)


class _Call:
    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, z: Tensor) -> Tensor:
        redrawn: Tensor = self.module(z)
        return redrawn


def test_attention_layers_of_older_files_are_read(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "kl", tmp_path / "kl")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, value in load_file(FOLDER / "kl" / WEIGHTS).items():
        renamed = name
        for new, before in old.items():
            renamed = renamed.replace(f".attentions.0.{new}.", f".attentions.0.{before}.")
        square = renamed != name and value.ndim == 2
        tensors[renamed] = value[:, :, None, None].contiguous() if square else value
    save_file(tensors, tmp_path / "kl" / WEIGHTS)
    expected = arrays("kl")
    with torch.no_grad():
        redrawn = network(tmp_path / "kl")(torch.from_numpy(expected["images"]))
    assert difference(redrawn, expected["redrawn"]) < TOLERANCE


def halves(folder: Path, pool: bool = False) -> tuple[Path, Path]:
    """Files of encoder and decoder, as the original program names their tensors."""
    tensors = load_file(FOLDER / "tiny" / WEIGHTS)
    own: dict[str, dict[str, Tensor]] = {"encoder": {}, "decoder": {}}
    for name, value in tensors.items():
        half, _, number, rest = name.split(".", 3)
        own[half][f"{int(number) + (half == 'decoder')}.{rest}"] = value
    if pool:
        torch.manual_seed(1)
        own["decoder"] |= {
            "3.pool.0.weight": torch.randn(32, 8, 1, 1),
            "3.pool.1.weight": torch.randn(32),
            "3.pool.1.bias": torch.randn(32),
            "3.pool.3.weight": torch.randn(8, 32, 1, 1),
        }
    paths = folder / "tae_encoder.pth", folder / "tae_decoder.pth"
    for half, path in zip(("encoder", "decoder"), paths, strict=True):
        torch.save(own[half], path)
    return paths


def test_two_files_of_the_original_program_are_one_autoencoder(tmp_path: Path) -> None:
    _, decoder = halves(tmp_path)
    expected = arrays("tiny")
    with torch.no_grad():
        redrawn = network(decoder)(torch.from_numpy(expected["images"]))
    assert difference(redrawn, expected["redrawn"]) < TOLERANCE


def test_a_block_may_have_a_normed_branch(tmp_path: Path) -> None:
    _, decoder = halves(tmp_path, pool=True)
    made = network(decoder)
    block = made.get_submodule("decoder.layers.2")
    x = torch.randn(2, 8, 4, 4)
    pool = torch.load(decoder, weights_only=True)
    inner = nn.functional.conv2d(x, pool["3.pool.0.weight"])
    normed = nn.functional.group_norm(inner, 4, pool["3.pool.1.weight"], pool["3.pool.1.bias"]).relu()
    entered = x + nn.functional.conv2d(normed, pool["3.pool.3.weight"])
    with torch.no_grad():
        assert torch.allclose(block(x), (block.get_submodule("conv")(entered) + entered).relu(), atol=1e-5)


def test_half_an_autoencoder_is_refused_in_one_line(tmp_path: Path) -> None:
    encoder, decoder = halves(tmp_path)
    with pytest.raises(WeightsError, match="is the encoder of a tiny autoencoder"):
        network(encoder)
    encoder.unlink()
    with pytest.raises(WeightsError, match="has no encoder, which photographs need; put the encoder's file beside it"):
        network(decoder)


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        ("kl", {"decoder.up_blocks.0.attentions.0.to_q.weight": torch.zeros(8, 8)}, "attention outside"),
        ("kl", {"decoder.conv_in.bias": torch.zeros(3)}, r"decoder.conv_in.bias has shape \(3,\)"),
        ("kl", {"encoder.conv_in.weight": None}, "encoder.conv_in.weight is missing"),
        ("kl", {"quant_conv.weight": None, "quant_conv.bias": None}, "says use_quant_conv, but quant_conv.weight is"),
        ("tiny", {"decoder.layers.0.weight": torch.zeros(8)}, "step 0 is neither"),
        ("tiny", {"encoder.layers.1.conv.0.weight": torch.zeros(8)}, "it should have 4 axes"),
    ],
)
def test_what_does_not_fit_is_named(kind: str, change: dict[str, Tensor | None], problem: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER / kind, tmp_path / kind)
    tensors = {**load_file(FOLDER / kind / WEIGHTS), **change}
    save_file({name: value for name, value in tensors.items() if value is not None}, tmp_path / kind / WEIGHTS)
    with pytest.raises(WeightsError, match=problem):
        network(tmp_path / kind)


def test_groups_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "kl", tmp_path / "kl")
    config = json.loads((tmp_path / "kl" / "config.json").read_text())
    (tmp_path / "kl" / "config.json").write_text(json.dumps(config | {"norm_num_groups": 5}))
    with pytest.raises(WeightsError, match="norms of 5 groups do not fit 8, 16 channels"):
        network(tmp_path / "kl")


def test_units_are_measured_on_photographs(photographs: Path, tmp_path: Path) -> None:
    few = {"samples": 16, "pilot": 16, "workers": 1, "controls": False, "artifacts": False}
    options = Options(
        str(FOLDER / "kl"),
        cache=tmp_path / "cache",
        device="cpu",
        segmenter="scenes",
        images=photographs,
        interventions=False,
        **few,  # type: ignore[arg-type]
    )
    assert options.model.endswith("my%20photos") and options.images is None
    record = dissectreport.measure(options)
    assert record.model == "kl (my photos)"
    assert record.reads["images"] == 20 and record.reference["folder"] == "my photos"
    assert [layer.name for layer in record.layers] == [
        "decoder.mid_block",
        "decoder.up_blocks.0",
        "decoder.up_blocks.1",
    ]
    assert record.real["images"] == 16


def test_units_are_selected_on_one_half_of_the_photographs_and_measured_on_the_other(photographs: Path) -> None:
    model = plugins.generator(with_settings(str(FOLDER / "kl"), None, None, (), "", photographs))
    assert isinstance(model, RedrawingModel)
    for seed in range(4):
        assert sorted(model.order(seed)) == sorted(model.folder.names)
    assert not set(model.order(3)[:10]) & set(model.order(4)[:10])
    assert set(model.order(3)[:10]) == set(model.order(5)[:10]) and model.order(3) != model.order(5)
    z = model.latents(3, 0, 22)
    assert torch.equal(z[:2], z[20:]), "photographs repeat once all are used"


def test_ablating_a_unit_changes_the_image(photographs: Path) -> None:
    model = plugins.generator(with_settings(str(FOLDER / "tiny"), None, None, (), "", photographs))
    z = model.latents(1, 0, 2)  # type: ignore[attr-defined]
    assert tuple(z.shape) == (2, 3, 256, 256)
    with torch.no_grad():
        before = model(z)
        model.module.get_submodule("decoder.layers.3").register_forward_hook(lambda _m, _a, output: 0 * output)
        assert not torch.equal(before, model(z))


def test_photographs_are_asked_for(photographs: Path) -> None:
    with pytest.raises(BadOption, match=r"redraws photographs .*--images FOLDER"):
        plugins.generator(str(FOLDER / "tiny"))
    with pytest.raises(BadOption, match="redraws photographs: it has no psi"):
        plugins.generator(with_settings(str(FOLDER / "tiny"), 0.5, None, (), "", photographs))
    generator = Path(__file__).parent / "fixtures" / "families" / "stylegan2ada_32.pkl"
    with pytest.raises(BadOption, match="generates images of its own"):
        plugins.generator(with_settings(str(generator), None, None, (), "", photographs))
    with pytest.raises(DissectReportError, match="no folder"):
        plugins.generator(with_settings(str(FOLDER / "tiny"), None, None, (), "", Path("nowhere")))


def test_a_description_names_its_photographs(photographs: Path, tmp_path: Path) -> None:
    content = describe(FOLDER / "kl")
    assert 'images = { folder = "photos", size = [32, 32] }' in content
    description = tmp_path / "vae.toml"
    description.write_text(content.replace('"photos"', '"my photos"'))
    model = plugins.generator(str(description))
    assert model.image_size == (32, 32) and getattr(model, "makes_images", False)
    description.write_text(content.partition("images =")[0])
    with pytest.raises(BadOption, match="add images ="):
        plugins.generator(str(description))


def test_any_network_from_images_to_images_is_described(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\ndef make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2, 2), nn.Sigmoid())\n"
    )
    description = tmp_path / "own.toml"
    images = 'images = { folder = "my photos", size = [16, 16] }\n'
    description.write_text(f'network = "{tmp_path}/net.py:make"\n{images}output = {{ range = [0, 1] }}\n')
    model = plugins.generator(str(description))
    z = model.latents(1, 0, 2)  # type: ignore[attr-defined]
    redrawn = model(z)
    assert redrawn.shape == z.shape and not torch.equal(redrawn, z)
    assert float(redrawn.min()) < 0, "pixels in [0, 1] become pixels in [-1, 1]"
    description.write_text(f'network = "{tmp_path}/net.py:make"\n{images.replace("16, 16", "15, 15")}output = {{}}\n')
    with pytest.raises(BadOption, match="images of 16 x 16 of those of 15 x 15"):
        plugins.generator(str(description))
