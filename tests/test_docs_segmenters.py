"""What the pages on segmenters say works: their code runs, their names are understood, their options exist."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from dissectreport import plugins
from dissectreport.cli.app import app
from dissectreport.run.addresses import split_names
from dissectreport.segmenters.words import parse_words
from dissectreport.worker.loaded_networks import Models, Source
from tests.support.documents import blocks

PAGES = ("own-segmenter.md", "own-words.md")


def commands() -> list[list[str]]:
    """All dissectreport commands of the pages, in words."""
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("dissectreport")]


def names() -> list[str]:
    """The segmenters that the pages name in commands."""
    return [words[words.index("--segmenter") + 1] for words in commands() if "--segmenter" in words]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, and weights for the one that loads some."""
    for block in blocks("own-segmenter.md", "python"):
        (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block)
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 5), torch.nn.ReLU(), torch.nn.Conv2d(16, 4, 5))
    save_file(layers.state_dict(), tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "concepts"),
    [("./surfaces.py:load", 2), ("./mine.py:load", 3), ("./surfaces.py:load+colour", 13), ("scenes+colour", 43)],
)
def test_the_segmenters_of_the_page_can_be_measured_with(folder: Path, name: str, concepts: int) -> None:
    models = Models(Source("planted", name))
    images = models.generator(models.latents(1, 0, 2))
    labels = models.labels(images)
    assert len(models.segmenter.vocabulary) == 1 + concepts
    assert len(labels.unique()) > 1
    assert models.confidence(images).shape == (2, *labels.shape[2:])
    leaf = images.requires_grad_()
    shares = models.segmenter.probabilities(leaf, (1, 2))  # type: ignore[attr-defined]
    assert float(torch.autograd.grad(shares[:, 1].sum(), leaf)[0].abs().sum()) > 0


def test_every_segmenter_of_a_command_is_a_name_that_is_understood(folder: Path) -> None:
    known = plugins.names(plugins.SEGMENTERS)
    for part in (part for name in names() for part in split_names(name)):
        head, _, argument = part.partition(":")
        assert head in known or (head.endswith(".py") and Path(head).is_file()), part
        if head == "words":
            assert parse_words(argument)[1]


def test_every_option_of_a_command_exists() -> None:
    runner = CliRunner()
    for words in commands():
        options = {word for word in words if word.startswith("--")}
        shown = runner.invoke(app, [words[1], "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
        assert all(option in shown for option in options), words


def test_the_declaration_of_the_page_is_a_project_file() -> None:
    (text,) = blocks("own-segmenter.md", "toml")
    assert "dissectreport.segmenters" in tomllib.loads(text)["project"]["entry-points"]
