"""What code of others may do when it is imported, made and called: everything becomes one line, or is put back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

from dissectreport import plugins
from dissectreport.errors import DissectReportError, ModelError, answered
from dissectreport.networks.latents import latents
from tests.support.tiers import extended

NETWORK = """
import torch
from torch import nn

class Odd(BaseException):
    pass

class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no words")

IMPORT

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        MADE
        torch.manual_seed(0)
        self.body = nn.Conv2d(6, 8, 1)
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, z):
        images = self.out(self.body(z[:, :, None, None].expand(-1, -1, 8, 8)).relu()).tanh()
        CALLED
        return images
"""


def described(folder: Path, imported: str = "pass", made: str = "pass", called: str = "pass") -> str:
    """The name of a model whose code does something when it is imported, made or called."""
    code = NETWORK.replace("IMPORT", imported).replace("MADE", made).replace("CALLED", called)
    (folder / "net.py").write_text(code)
    (folder / "mine.toml").write_text('network = "./net.py:Net"\nlatent = 6\nsegmenter = "colour"\n')
    return str(folder / "mine.toml")


@pytest.mark.parametrize("place", ["imported", "made", "called"])
@pytest.mark.parametrize(
    ("trouble", "line"),
    [
        ("raise Odd('no exception')", "Odd: no exception"),
        extended("raise GeneratorExit", "GeneratorExit"),
        ("raise Silent()", "Silent"),
        extended("raise ValueError('one\\n\\x1b[31mtwo' + 'x' * 3000)", "ValueError: one"),
    ],
)
def test_whatever_is_raised_is_one_line(tmp_path: Path, place: str, trouble: str, line: str) -> None:
    with pytest.raises(DissectReportError, match=line) as raised:
        plugins.generator(described(tmp_path, **{place: trouble}))
    said = str(raised.value)
    assert said.isprintable() and len(said) < 1000


def test_an_interruption_is_not_taken_for_an_error() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answered(ModelError, "a network", interrupted)


@pytest.mark.parametrize("place", ["imported", "made"])
def test_what_code_changes_for_the_whole_program_is_put_back(tmp_path: Path, place: str) -> None:
    """Otherwise the site would be written elsewhere, or interventions would be missing."""
    before = Path.cwd(), sys.getrecursionlimit()
    mask = os.umask(0o022)
    try:
        changes = (
            "import os, sys; os.chdir('/'); os.umask(0o777); sys.setrecursionlimit(5000)",
            "torch.set_grad_enabled(False); torch.set_default_dtype(torch.float64)",
        )
        generator = plugins.generator(described(tmp_path, **{place: "; ".join(changes)}))
        assert (Path.cwd(), sys.getrecursionlimit()) == before and os.umask(0o022) == 0o022
        assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
        assert generator(latents(1, 0, 2, (6,))).dtype == torch.float32
    finally:
        os.umask(mask)
        os.chdir(before[0])
        sys.setrecursionlimit(before[1])
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float32)


def test_the_device_of_new_tensors_is_put_back(tmp_path: Path) -> None:
    name = described(tmp_path, made="torch.set_default_device('meta')")
    try:
        with pytest.raises(DissectReportError, match="has no content: it was made on the device meta") as raised:
            plugins.generator(name)
        found = torch.get_default_device().type
    finally:
        torch.set_default_device(None)
    assert found == "cpu" and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("called", "line"),
    [
        ("images = images[:, :, :0]", r"returns shape \(.*0, 8\)"),
        ("images = images.detach().numpy()", "returns a ndarray instead of images; need a tensor of torch"),
        ("images = None", "returns a NoneType instead of images; need a tensor of torch"),
    ],
)
def test_what_can_be_no_images_is_one_line(tmp_path: Path, called: str, line: str) -> None:
    with pytest.raises(ModelError, match=line):
        plugins.generator(described(tmp_path, called=called))
