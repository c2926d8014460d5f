"""Networks whose images are not always finite: the control is left out, and single images are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import dissectreport
from dissectreport.cache.reader import CacheReader
from dissectreport.errors import BadOption, ModelError
from dissectreport.networks.latents import latents
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.preflight import Verdict, check
from dissectreport.pipeline.prepare import MOST_GRID, MOST_SAMPLES, prepare
from dissectreport.pipeline.render import load_dissection
from dissectreport.run.plan import InterventionKey
from dissectreport.stats.areas import Areas
from dissectreport.stats.replaced import most_replaced
from dissectreport.worker.edited_model import EditedModel
from dissectreport.worker.loaded_networks import Models, Source
from tests.support.reporters import RecordingReporter

NETWORK = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(4, 6, 4), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 4), nn.Tanh()
        )
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, z):
        return {returned}
"""
DESCRIPTION = """
network = "./net.py:Network"
weights = "weights.pt"
latent = [4, 1, 1]
layers = ["main.1"]
segmenter = "colour"
"""


def described(folder: Path, returned: str) -> str:
    """A described network that returns an expression of `z`, with trained weights whose scale is 1."""
    (folder / "net.py").write_text(NETWORK.format(returned=returned))
    (folder / "mine.toml").write_text(DESCRIPTION)
    torch.manual_seed(0)
    main = nn.Sequential(nn.ConvTranspose2d(4, 6, 4), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 4), nn.Tanh())
    weights = {f"main.{name}": value for name, value in main.state_dict().items()}
    torch.save({**weights, "scale": torch.ones(1)}, folder / "weights.pt")
    return str(folder / "mine.toml")


def small(model: str, folder: Path, samples: int = 32) -> Options:
    """A short run without interventions."""
    return Options(
        model, samples=samples, pilot=32, workers=1, interventions=False, artifacts=False, cache=folder / "cache"
    )


def test_a_control_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    model, heard = described(tmp_path, "self.main(z) / self.scale"), RecordingReporter()
    findings = list(check(Options(model, cache=tmp_path / "cache")))
    assert any(f.verdict == Verdict.LOOK and "no untrained control" in f.words for f in findings)
    dissectreport.measure(small(model, tmp_path), heard)
    (line,) = [line for line in heard.lines if "untrained control" in line]
    assert line.startswith("the untrained control is left out, because with random weights layer 'output' is not")
    found = load_dissection(model, cache=tmp_path / "cache")
    assert "untrained" not in set(found.layers[0].controls["control"])


SELDOM, OFTEN = 2.2, 1.2
"""Numbers that the first number of a latent exceeds in 1 of 72 samples, and in 1 of 9."""


SEED = 14
"""A seed with two such samples among 160, one of them in the first batch."""


def broken_above(limit: float) -> str:
    """A network whose image is not finite where the first number of the latent exceeds a limit."""
    return f"torch.where(z[:, :1] > {limit}, torch.nan, self.main(z))"


def samples_above(limit: float, seed: int, samples: int) -> list[int]:
    """The samples of such images."""
    return (latents(seed, 0, samples, (4, 1, 1))[:, 0, 0, 0] > limit).nonzero()[:, 0].tolist()


def test_samples_whose_image_is_not_finite_have_other_latents(tmp_path: Path) -> None:
    model, heard = described(tmp_path, broken_above(SELDOM)), RecordingReporter()
    options = replace(small(model, tmp_path, 160), seed=SEED)
    bad = samples_above(SELDOM, SEED, 160)
    record = dissectreport.measure(options, heard)
    assert len(bad) == 2 and record.generator["replaced"] == bad
    (line,) = [line for line in heard.lines if "not finite" in line and "control" not in line]
    assert line.startswith("caution: 2 images of 160") and f"(samples {bad[0]}, {bad[1]})" in line
    reader = CacheReader(options.cache / "measurements")
    areas = reader.total(record.layers[0].counts, 160, record.plan["shard"], Areas)
    assert areas.samples.tolist() == list(range(160)) and (areas.pixels.sum(1) > 0).all()
    assert any(
        "2 of 160 images of samples are not finite" in note
        for note in load_dissection(model, cache=options.cache).notes
    )
    (look,) = [f for f in check(options, 160) if "not finite" in f.words and "control" not in f.words]
    assert look.verdict == Verdict.LOOK and str(bad[1]) in look.words


def test_other_latents_are_the_same_however_the_work_is_divided(tmp_path: Path) -> None:
    model = described(tmp_path, broken_above(SELDOM))
    folders = []
    for number, workers in enumerate((1, 2)):
        options = replace(small(model, tmp_path, 160), seed=SEED, workers=workers, cache=tmp_path / f"cache{number}")
        record = dissectreport.measure(options)
        folders.append(sorted((options.cache / "measurements" / record.layers[0].counts).glob("*.npz")))
    one, two = ([path.read_bytes() for path in paths] for paths in folders)
    assert one == two


def test_a_network_that_often_fails_is_refused(tmp_path: Path) -> None:
    model = described(tmp_path, broken_above(OFTEN))
    with pytest.raises(
        ModelError, match=r"layer 'output' is not finite for sample \d+, and \d+ of \d+ images are not;"
    ):
        dissectreport.measure(small(model, tmp_path, 320))
    (wrong,) = [f for f in check(Options(model, cache=tmp_path / "cache"), 320) if "not finite:" in f.words]
    assert wrong.wrong and str(samples_above(OFTEN, 1, 320)[0]) in wrong.words


def test_a_small_share_of_many_samples_is_refused_too(tmp_path: Path) -> None:
    bad = samples_above(SELDOM, 0, 320)
    assert len(bad) > most_replaced(320)
    with pytest.raises(ModelError, match=f"^{len(bad)} images of 320 .* and at most 3 may be"):
        dissectreport.measure(replace(small(described(tmp_path, broken_above(SELDOM)), tmp_path, 320), seed=0))


def test_a_layer_that_is_not_finite_although_its_image_is_is_refused(tmp_path: Path) -> None:
    model = described(tmp_path, "self.main[2:](self.main[:2](torch.where(z > 2.5, torch.inf, z)).clamp(0, 9))")
    with pytest.raises(ModelError, match=r"layer 'main.1' is not finite for sample \d+; check the weights"):
        dissectreport.measure(small(model, tmp_path, 320))


def test_an_edit_that_makes_an_image_not_finite_is_refused() -> None:
    networks = Models(Source("planted", "planted"))
    model = EditedModel(networks, InterventionKey("g", "s", "features", (), (), 1, "float32", "2"))
    at = model.open(1, 0, 2)
    with pytest.raises(ModelError, match="an edit of layer 'features' makes an image that is not finite"):
        model.images(at, at.activations * torch.nan)


def test_numbers_beyond_any_memory_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"--grid must be at most 2,048, not 100,000: .* 640 GB"):
        prepare(Options("no such model", grid=100_000))
    with pytest.raises(BadOption, match="--samples must be at most 10,000,000"):
        prepare(Options("no such model", samples=MOST_SAMPLES + 1))
    with pytest.raises(BadOption, match="--workers must be at most"):
        prepare(Options("no such model", workers=2000))
    assert MOST_GRID >= 1024
