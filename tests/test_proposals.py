"""Lines of a description that are inferred from a network: what it takes, what it returns, and where its average is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dissectreport import plugins
from dissectreport.checkpoints.reporting import reporting_to
from dissectreport.errors import DissectReportError
from dissectreport.models.proposals import latent_line, output_line
from tests.support.reporters import RecordingReporter


class Vector(nn.Module):
    """Takes a vector; its images lie in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(7, 4 * 16)
        self.last = nn.ConvTranspose2d(4, 3, 4, 2, 1)

    def forward(self, z: Tensor) -> Tensor:
        """(n, 7) -> (n, 3, 8, 8)."""
        return self.last(self.first(z).view(-1, 4, 4, 4)).sigmoid()


class Classes(Vector):
    """Takes a vector and a class, by number."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 7)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        """(n, 7) and (n,) -> (n, 3, 8, 8)."""
        return super().forward(z + self.embed(y)) * 2 - 1


class Joined(Vector):
    """Takes a vector of four numbers and three one-hot classes."""

    num_classes = 3

    def forward(self, z: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        """(n, 4) and (n, 3) -> (n, 3, 8, 8)."""
        return super().forward(torch.cat([z, y], 1)) * 2 - 1


class Named(Vector):
    """Says how long its latent is; its first module is not its first layer."""

    latent_dim = 5

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(5, 7)

    def forward(self, z: Tensor) -> Tensor:
        """(n, 5) -> (n, 3, 8, 8)."""
        return super().forward(self.before(z)) * 2 - 1


class Critic(nn.Module):
    """Reads images."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.Flatten(), nn.Linear(4, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 1)."""
        return self.main(x)


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (Vector, "latent = 7 (first takes 7 numbers; with it the network makes images of 8 x 8) and output = "),
        (Classes, 'inputs = [{ shape = [7] }, { classes = 5, encoding = "index" }] (first takes 7 numbers'),
        (Joined, 'inputs = [{ shape = [4] }, { classes = 3, encoding = "one-hot" }] (first takes 7 numbers'),
        (Named, "latent = 5 (latent_dim is 5"),
        (Critic, ""),
    ],
)
def test_what_a_network_takes_is_found_by_running_it(network: type[nn.Module], line: str) -> None:
    made = network().train()
    assert latent_line(made).startswith(line)
    assert bool(latent_line(made)) == bool(line)
    assert made.training, "the network is left as it was"


SPREAD = torch.linspace(-1, 1, 48).view(1, 3, 4, 4)


@pytest.mark.parametrize(
    ("returned", "line"),
    [
        (SPREAD, ""),
        ((SPREAD + 1) / 2, "output = { range = [0, 1] } (none of its pixels is below 0)"),
        ((SPREAD + 1) * 127, "output = { range = [0, 255] } (its pixels lie from 0 to 254)"),
        (SPREAD[:, :1], "output = { channels = [0, 0, 0] } (it is grey)"),
        ((torch.zeros(1, 9), SPREAD), "output = { take = 1 } (it has 3 channels of 4 x 4)"),
        ({"z": torch.zeros(1, 9), "image": SPREAD}, "output = { take = 'image' } (it has 3 channels of 4 x 4)"),
        ([SPREAD[..., :2, :2], SPREAD], "output = { take = 1 } (it has 3 channels of 4 x 4)"),
        ("nothing", ""),
        (torch.zeros(1, 9), ""),
    ],
)
def test_where_the_images_are_is_found_in_what_a_network_returns(returned: object, line: str) -> None:
    assert output_line(returned) == line


CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.ConvTranspose2d(6, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())

    def forward(self, z):
        return {"image": self.main(z), "z": z}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(CODE)
    return tmp_path


def described(folder: Path, lines: str) -> str:
    (folder / "mine.toml").write_text(f'network = "./net.py:Net"\n{lines}\n')
    return str(folder / "mine.toml")


def test_a_missing_or_wrong_latent_is_answered_with_the_lines_that_would_do(folder: Path) -> None:
    lines = r"set latent = \[6, 1, 1\] \(main\.0 takes 6 channels; .* and output = \{ take = 'image' \}"
    for given in ("", "latent = [5, 1, 1]"):
        with pytest.raises(DissectReportError, match=lines) as raised:
            plugins.generator(described(folder, given))
        assert "\n" not in str(raised.value)
    with pytest.raises(DissectReportError, match=r"instead of images .*; set output = \{ take = 'image' \}"):
        plugins.generator(described(folder, "latent = [6, 1, 1]"))
    made = plugins.generator(described(folder, "latent = [6, 1, 1]\noutput = { take = 'image' }"))
    assert made.image_size == (8, 8)


def test_a_moving_average_that_is_not_read_is_said(folder: Path) -> None:
    state = {
        "main.0.weight": torch.randn(6, 8, 4, 4),
        "main.0.bias": torch.zeros(8),
        "main.2.weight": torch.randn(8, 3, 4, 4),
        "main.2.bias": torch.zeros(3),
    }
    torch.save({"g": state, "g_ema": state}, folder / "w.pt")
    lines = "weights = 'w.pt'\nlatent = [6, 1, 1]\noutput = { take = 'image' }\n"
    reporter = RecordingReporter()
    with reporting_to(reporter):
        plugins.generator(described(folder, f"{lines}part = 'g'"))
    assert any("set part = 'g_ema'" in line for line in reporter.lines)
    reporter = RecordingReporter()
    with reporting_to(reporter):
        plugins.generator(described(folder, f"{lines}part = 'g_ema'"))
    assert not any("set part" in line for line in reporter.lines)
