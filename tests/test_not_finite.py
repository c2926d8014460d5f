"""Networks whose images are not always finite: the control is left out, and single images are named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import dissectreport
from dissectreport.errors import BadOption, ModelError
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.preflight import Verdict, check
from dissectreport.pipeline.prepare import MOST_GRID, MOST_SAMPLES, prepare
from dissectreport.pipeline.render import load_dissection
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


def test_single_images_that_are_not_finite_are_named(tmp_path: Path) -> None:
    model = described(tmp_path, "torch.where(z[:, :1] > 2.2, torch.nan, self.main(z))")
    with pytest.raises(ModelError, match=r"not finite for sample (\d+);.*check --samples") as caught:
        dissectreport.measure(small(model, tmp_path, 320))
    sample = str(caught.value).split("sample ")[1].split(";")[0]
    (wrong,) = [f for f in check(Options(model, cache=tmp_path / "cache"), 320) if "not finite" in f.words]
    assert wrong.wrong
    assert f"{sample}" in wrong.words


def test_numbers_beyond_any_memory_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"--grid must be at most 2,048, not 100,000: .* 640 GB"):
        prepare(Options("no such model", grid=100_000))
    with pytest.raises(BadOption, match="--samples must be at most 10,000,000"):
        prepare(Options("no such model", samples=MOST_SAMPLES + 1))
    with pytest.raises(BadOption, match="--workers must be at most"):
        prepare(Options("no such model", workers=2000))
    assert MOST_GRID >= 1024
