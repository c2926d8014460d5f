"""Numbers are used again only for networks that do the same as before, and files beside two networks never mix."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import dissectreport
from dissectreport import plugins
from dissectreport.cache import records
from dissectreport.cache.behaviours import Recogniser
from dissectreport.cache.records import Record
from dissectreport.pipeline import cache_tools
from dissectreport.pipeline.options import Options
from dissectreport.records.behaviour import Behaviour
from tests.support.reporters import RecordingReporter
from tests.support.tiers import extended

NETWORK = """
import torch
from torch import nn
from helper import tint

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(6, 8, 1)
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, z):
        maps = self.body(z[:, :, None, None].expand(-1, -1, 8, 8)).relu()
        return tint(self.out(maps)).tanh()
"""
SEGMENTER = """
import torch
from rule import bright
from dissectreport.vocabulary import NOTHING, Concept, Vocabulary

class Light:
    name, identity, facts = "light", "light", {}
    vocabulary = Vocabulary((NOTHING, Concept("dark", "colour"), Concept("light", "colour")))

    def __call__(self, images):
        return (1 + bright(images).long())[:, None]

    def confidence(self, images):
        return torch.ones(len(images), *images.shape[2:])

    def to(self, device):
        return self
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network and a segmenter that import a file beside them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "helper.py").write_text("def tint(x):\n    return x\n")
    (tmp_path / "seg.py").write_text(SEGMENTER)
    (tmp_path / "rule.py").write_text("def bright(x):\n    return x.mean(1) > 0\n")
    (tmp_path / "mine.toml").write_text('network = "./net.py:Net"\nlatent = 6\nsegmenter = "./seg.py:Light"\n')
    return tmp_path


def measure(model: str, cache: Path) -> tuple[Record, RecordingReporter]:
    reporter = RecordingReporter()
    few = {"samples": 16, "pilot": 16, "workers": 1, "controls": False, "interventions": False, "artifacts": False}
    return dissectreport.measure(Options(model, cache=cache, device="cpu", **few), reporter), reporter


def counts(record: Record) -> set[str]:
    return {layer.counts for layer in record.layers}


def test_the_same_code_is_recognised(place: Path) -> None:
    first, _ = measure("./mine.toml", place / "cache")
    second, reporter = measure("./mine.toml", place / "cache")
    assert counts(first) == counts(second)
    assert not reporter.tasks and not any("something else" in line for line in reporter.lines)


@pytest.mark.parametrize(
    ("file", "before", "after", "who"),
    [
        ("helper.py", "return x", "return 0.5 * x", "generator"),
        extended("rule.py", "> 0", "> 0.1", "segmenter"),
    ],
)
def test_numbers_of_a_changed_helper_are_not_used_again(
    place: Path, file: str, before: str, after: str, who: str
) -> None:
    first, _ = measure("./mine.toml", place / "cache")
    code = (place / file).read_text()
    rewrite(place / file, code.replace(before, after))
    second, reporter = measure("./mine.toml", place / "cache")
    assert not counts(first) & counts(second)
    assert any(line.startswith(who) and "its code has changed" in line for line in reporter.lines)
    rewrite(place / file, code)
    third, _ = measure("./mine.toml", place / "cache")
    assert counts(third) == counts(first), "the earlier numbers belong to the earlier code"


def rewrite(path: Path, code: str) -> None:
    """Change a module, and forget it as a new process has."""
    path.write_text(code)
    sys.modules.pop(path.stem)


def test_each_file_has_its_own_neighbours(place: Path) -> None:
    other = place / "other"
    other.mkdir()
    (place / "one.py").write_text("from shared import word\ndef make():\n    return word\n")
    (other / "one.py").write_text("from shared import word\ndef make():\n    return word\n")
    (place / "shared.py").write_text("word = 'here'\n")
    (other / "shared.py").write_text("word = 'there'\n")
    words = []
    for address in ("./one.py", "./other/one.py", "./one.py"):
        words.append(plugins._module_of_file(plugins.GENERATORS, f"{address}:make", Path(address)).make())
    assert words == ["here", "there", "here"]


def values(seed: int, noise: float = 0.0) -> Behaviour:
    random = np.random.default_rng(seed)
    images = random.normal(size=(4, 3, 8, 8)).astype(np.float32)
    shaken = images + noise * np.random.default_rng(9).choice([-1, 1], images.shape).astype(np.float32)
    return Behaviour({"images": shaken, "labels": random.integers(0, 9, (4, 1, 32, 32)).astype(np.int16)})


def test_rounding_is_not_a_change_and_anything_more_is(tmp_path: Path) -> None:
    lines: list[str] = []
    facts = {"generator": "x"}
    name = Recogniser(tmp_path, lines.append).name
    first = name("generator 'x'", facts, values(1))
    assert name("generator 'x'", facts, values(1, noise=1e-4)) == first
    assert not lines
    assert name("generator 'x'", facts, values(1, noise=0.05)) != first
    assert name("generator 'x'", facts, values(2)) != first
    assert len(lines) == 2
    assert name("generator 'x'", {"generator": "y"}, values(2)) != first
    assert len(lines) == 2, "the first of its facts"


def test_a_layer_that_is_read_later_is_remembered_too(tmp_path: Path) -> None:
    lines: list[str] = []
    one, other = values(1), Behaviour({**values(1).values, "layer a": np.ones((4, 2, 4, 4), np.float32)})
    name = Recogniser(tmp_path, lines.append).name
    first = name("generator 'x'", {}, one)
    assert name("generator 'x'", {}, other) == first
    changed = Behaviour({**values(1).values, "layer a": np.zeros((4, 2, 4, 4), np.float32)})
    assert name("generator 'x'", {}, changed) != first


def test_two_models_of_one_name_live_side_by_side(place: Path) -> None:
    """In the cache and in a site: neither is drawn, loaded, replaced or cleared for the other."""
    other = place / "other"
    other.mkdir()
    for name in ("helper.py", "seg.py", "rule.py"):
        (other / name).write_text((place / name).read_text())
    (other / "net.py").write_text(NETWORK.replace("manual_seed(0)", "manual_seed(1)"))
    (other / "mine.toml").write_text((place / "mine.toml").read_text())
    for number, cache in ((1, "one"), (2, "two")):
        folder = place if number == 1 else other
        measure(str(folder / "mine.toml"), place / cache)
        dissectreport.render(str(folder / "mine.toml"), place / "site", cache=place / cache)
    homes = {path.parent.name for path in (place / "site").glob("*/summary.json")}
    assert homes == {"mine", "mine-corrected"}
    dissectreport.render(str(other / "mine.toml"), place / "site", cache=place / "two")
    assert {path.parent.name for path in (place / "site").glob("*/summary.json")} == homes


@pytest.mark.extended
def test_a_name_of_the_catalogue_is_not_that_of_a_file(place: Path) -> None:
    (place / "planted.toml").write_text((place / "mine.toml").read_text())
    cache = place / "cache"
    described, _ = measure("./planted.toml", cache)
    embedded, _ = measure("planted", cache)
    assert described.layers[0].name == "body" and embedded.layers[0].name == "features"
    assert [run.layers for run in records.runs(cache, "planted", "corrected")] == [embedded.layers]
    assert [run.layers for run in records.runs(cache, "./planted.toml", "corrected")] == [described.layers]
    cache_tools.clear(cache, "planted")
    assert [run.layers for run in records.runs(cache, "./planted.toml", "corrected")] == [described.layers]
    assert counts(described) == counts(measure("./planted.toml", cache)[0])
