"""What CONTRIBUTING.md and ARCHITECTURE.md say is true: their paths exist, and the examples do what is said."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from dissectreport import plugins
from dissectreport.errors import MergeError
from dissectreport.report.common.model import Site
from dissectreport.report.common.rendering import environment
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.places import Places
from tests.support.dissections import example_dissection

ROOT = Path(__file__).parents[1]
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")


def paths(text: str) -> set[str]:
    """The paths that a text names between backticks, outside of code and of tables that are generated."""
    prose = re.sub(r"```.*?```|<!-- begin.*?<!-- end -->", "", text, flags=re.DOTALL)
    named = re.findall(r"`([\w./-]+)`", prose)
    return {name for name in named if "/" in name or name.endswith((".md", ".toml"))}


def exists(path: str) -> bool:
    """Whether there is such a file or folder, from the top of the repository or from the package."""
    return (ROOT / path).exists() or (ROOT / "dissectreport" / path).exists()


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_is_named_exists(page: str) -> None:
    named = paths((ROOT / page).read_text("utf-8"))
    assert len(named) > 5
    assert sorted(path for path in named if not exists(path)) == []


def test_a_path_that_is_missing_is_noticed() -> None:
    (missing,) = paths("see `dissectreport/nowhere.py`")
    assert not exists(missing)


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_that_is_named_exists(page: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"`?make ([a-z-]+)`", (ROOT / page).read_text("utf-8"))) <= set(targets)


def example(name: str) -> str:
    """The example that begins with a comment of its file's name."""
    blocks = re.findall(r"```python\n(# \S+\n.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if block.startswith(f"# {name}\n"))
    return str(code)


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example as a module."""
    made = ModuleType(Path(name).stem)
    monkeypatch.setitem(sys.modules, made.__name__, made)
    exec(example(name), vars(made))
    return made


def test_the_example_of_a_statistic_merges_and_divides(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = module("dissectreport/stats/active_images.py", monkeypatch).ActiveImages
    merged = kind(np.array([1, 4]), 4).merge(kind(np.array([0, 6]), 6))
    assert merged.share().tolist() == [0.1, 1.0]
    assert kind.from_arrays(merged.arrays()).of == 10
    with pytest.raises(MergeError, match="ActiveImages"):
        merged.merge(kind(np.array([1]), 1))


def test_the_example_of_a_family_is_a_generator(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(example("dissectreport/models/tiny.py"), "utf-8")
    generator = plugins.generator(f"{tmp_path / 'tiny.py'}:load")
    assert generator(torch.zeros(2, *generator.latent_shape)).shape == (2, 3, *generator.image_size)


def test_the_example_of_a_page_shows_its_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    dissection = example_dissection(units=6)
    site = Site(dissection, Places.of(dissection), load_assets()[0])
    page = module("dissectreport/report/pages/sizes.py", monkeypatch).sizes_page(site)
    (template,) = re.findall(r"```html\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)
    shown = environment().from_string(template).render(vars(page))
    assert "<li>layer1: 6 units</li>" in shown
    assert "<li>layer2: 6 units</li>" in shown
