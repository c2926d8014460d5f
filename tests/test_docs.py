"""What the how-to pages say is run word for word."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from dissectreport import plugins
from dissectreport.cli.app import app
from dissectreport.models import described_values, description
from tests.support.documents import DOCS, blocks


def named(page: str, language: str) -> dict[str, str]:
    """The files that a page shows: those that begin with a comment of their name."""
    found = (re.match(r"# (\S+\.\w+)\n", code) for code in blocks(page, language))
    return {first[1]: code for first, code in zip(found, blocks(page, language), strict=True) if first}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a reader follows a page, with the files that it shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "net", raising=False)
    return tmp_path


FEW = ["--workers", "1", "--quick", "--no-controls", "--no-interventions"]
"""Options with which a page's build takes seconds."""


@pytest.mark.slow
def test_the_page_on_own_generators_can_be_followed(place: Path) -> None:
    written("own-gan.md", {"width=16": "width=4"})
    from net import Generator  # type: ignore[import-not-found]

    torch.manual_seed(0)
    network = Generator()
    for part in network.modules():
        if isinstance(part, torch.nn.ConvTranspose2d):
            torch.nn.init.normal_(part.weight, std=0.2)
    torch.save({"generator": network.state_dict(), "step": 40000}, "checkpoint.pt")
    for line in blocks("own-gan.md", "sh"):
        words = shlex.split(line)
        assert words[0] == "dissectreport"
        fewer = ["96" if word == "960" else word for word in words[1:]]
        ran = CliRunner().invoke(app, [*fewer, *(FEW if "build" in words else [])])
        assert ran.exit_code == 0, ran.output
    assert (place / "site" / "index.html").exists()


def follow(page: str, replaced: dict[str, str]) -> None:
    """Run every command of a page; words of ours are `dissectreport`, others are Python programs."""
    for line in "".join(blocks(page, "sh")).splitlines():
        words = [replaced.get(word, word) for word in shlex.split(line)]
        if words[0] == "dissectreport":
            ran = CliRunner().invoke(app, [*words[1:], *FEW, "--no-artifacts", "--no-paint"])
            assert ran.exit_code == 0, ran.output
        else:
            runpy.run_path(words[1])


def written(page: str, narrower: Mapping[str, str] | None = None) -> None:
    """Write the files that a page shows, with `narrower` networks, whose units take less time to draw."""
    files = {**named(page, "python"), **named(page, "toml")}
    for words, fewer in (narrower or {}).items():
        assert any(words in code for code in files.values()), words
        files = {name: code.replace(words, fewer) for name, code in files.items()}
    for name, code in files.items():
        Path(name).write_text(code)


@pytest.mark.extended
@pytest.mark.slow
def test_the_page_on_directions_can_be_followed(place: Path) -> None:
    written("directions.md")
    follow("directions.md", {"960": "96"})
    for out, directions in (("site", 16), ("sparse", 64)):
        (table,) = (place / out).rglob("*-units.csv")
        assert "layer3.directions" in str(table)
        assert len(table.read_text().splitlines()) == directions + 1


@pytest.mark.extended
@pytest.mark.slow
def test_the_page_on_networks_that_read_images_can_be_followed(place: Path) -> None:
    narrower = {"(3, 16), (16, 32), (32, 64)": "(3, 4), (4, 8), (8, 16)", "nn.Linear(64, 1)": "nn.Linear(16, 1)"}
    narrower |= {"nn.Conv2d(3, 24,": "nn.Conv2d(3, 6,", "nn.Conv2d(24, 48,": "nn.Conv2d(6, 12,"}
    narrower |= {"nn.ConvTranspose2d(8, 48,": "nn.ConvTranspose2d(8, 12,", "d(24, 3,": "d(6, 3,", "d(48, 24": "d(12, 6"}
    written("networks-that-read.md", narrower | {"nn.Conv2d(48, 8,": "nn.Conv2d(12, 8,"})
    from net import Autoencoder, Discriminator  # type: ignore[import-not-found]

    torch.save({"discriminator": Discriminator().state_dict(), "step": 1}, "training.pt")
    torch.save(Autoencoder().state_dict(), "autoencoder.pt")
    (place / "photos").mkdir()
    drawn = plugins.generator("scenes64").training_like_images(96)
    assert drawn is not None
    for number, image in enumerate(drawn):
        pixels = ((image.movedim(0, 2) + 1) * 127.5).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(place / "photos" / f"{number:03}.png")
    follow("networks-that-read.md", {})
    assert {path.parent.name for path in (place / "site").glob("*/index.html")} >= {
        "discriminator",
        "encoder",
        "autoencoder",
    }


def commands(page: str) -> list[list[str]]:
    """The words of every command of ours on a page, those in workflows too."""
    text = re.sub(r"^ *(- )?(run: )?", "", "\n".join(blocks(page, "sh") + blocks(page, "yaml")), flags=re.MULTILINE)
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("dissectreport ")]


def test_every_command_on_how_to_publish_and_on_old_results_is_one() -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    names = []
    for words in [*commands("publish.md"), *commands("old-results.md")]:
        command = known[words[0]]
        command.make_context(words[0], words[1:])  # refuses what it does not know
        names.append(words[0])
    assert set(names) == {"build", "serve", "render", "publish", "export", "import"}


WORKFLOWS = DOCS.parent / ".github" / "workflows"


@pytest.mark.parametrize("place", ["this repository", "the page"])
def test_only_the_step_that_deploys_may_write_and_only_pages(place: str) -> None:
    text = (WORKFLOWS / "pages.yml").read_text() if place == "this repository" else blocks("publish.md", "yaml")[0]
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"]
    assert workflow["permissions"] == {}
    assert jobs["build"]["permissions"] == {"contents": "read", "pages": "read"}
    assert jobs["deploy"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert jobs["deploy"]["needs"] == "build" and jobs["deploy"]["environment"]["name"] == "github-pages"
    steps = [step for job in jobs.values() for step in job["steps"]]
    used = [step["uses"].split("@")[0] for step in steps if "uses" in step]
    assert used[-2:] == ["actions/upload-pages-artifact", "actions/deploy-pages"]
    assert all("${{" not in step.get("run", "") for step in steps), "what is not ours is no part of a command"
    out = next(step["with"]["path"] for step in steps if "upload-pages" in step.get("uses", ""))
    assert any(f"--out {out}" in step.get("run", "") for step in steps)


def test_what_the_workflow_of_this_repository_builds_are_models() -> None:
    text = (WORKFLOWS / "pages.yml").read_text()
    named = re.search(r"for model in (.*); do", text)
    assert named is not None
    assert set(named[1].split()) <= set(plugins.names(plugins.GENERATORS))


def test_every_key_of_a_description_is_explained() -> None:
    page = (DOCS / "own-gan.md").read_text()
    assert all(f"`{key}`" in page for key in description.KEYS)


def test_every_example_of_a_description_is_one() -> None:
    for code in (code for code in blocks("own-gan.md", "toml") if "[project." not in code):
        lines = [code] if code.startswith(("#", "inputs")) else code.strip().splitlines()
        for line in lines:
            given = tomllib.loads(line)
            plan = description.Description(Path("mine.toml"), given)
            assert set(given) <= set(description.KEYS)
            if "latent" in given or "inputs" in given:
                assert described_values.inputs_of(plan).latent_shape
            assert described_values.output_of(plan)
