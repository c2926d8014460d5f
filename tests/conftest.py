"""What all tests share: one thread each, few and repeatable examples, versions at the top of the log."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

# Before anything imports torch: several workers with several threads each are slower than one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from hypothesis import Phase, settings

from dissectreport.report.export import single_file
from dissectreport.report.site import build
from dissectreport.report.site.gather import gather
from tests.support.rendered import RenderedPages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=20)
# For mutants: a failure is enough, its smallest example is not wanted.
settings.register_profile("first-failure", settings.get_profile("repeatable"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("repeatable")

REPORTED = ("torch", "numpy", "pandas", "plotly", "jinja2", "pillow", "playwright", "hypothesis")


def pytest_report_header() -> str:
    return "versions: " + ", ".join(f"{name} {installed(name)}" for name in REPORTED)


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


SLOWEST = (
    "test_pipeline.py",
    "test_browser.py",
    "test_painting_browser.py",
    "test_compare_browser.py",
    "test_environment.py",
    "test_site.py",
    "test_artifacts.py",
    "test_interventions.py",
    "test_publishing.py",
    "test_compare.py",
    "test_cluster.py",
    "test_cli.py",
    "test_policy_browser.py",
    "test_own_models.py",
    "test_words_of_units.py",
    "test_painting_families.py",
    "test_review_pages.py",
    "test_site_folder.py",
    "test_causal_pages.py",
    "test_training.py",
    "test_staged.py",
    "test_search.py",
    "test_painting.py",
    "test_docs.py",
    "test_published_generators.py",
    "test_embedded_segmenters.py",
    "test_folders_of_real_images.py",
)
"""Files that are run first: a worker that gets one of them last would run it while the others are idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def rendered_pages() -> Iterator[RenderedPages]:
    """The same pages are rendered once in each process: most tests are about what is done with them."""
    pages = RenderedPages()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "gather", pages.gather)
        patch.setattr(single_file, "gather", pages.gather)
        yield pages


@pytest.fixture
def rendered_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this test every page is rendered as often as it is asked for."""
    monkeypatch.setattr(build, "gather", gather)
    monkeypatch.setattr(single_file, "gather", gather)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty folder for measured shards."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser: the one named in DISSECTREPORT_CHROMIUM, else the system's, else Playwright's own."""
    from playwright.sync_api import sync_playwright

    from tests.support.browsers import browser_path

    with sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"])
        except Exception as error:
            words = str(error).strip().splitlines()[0]
            pytest.fail(f"no browser: {words}; install chromium or set DISSECTREPORT_CHROMIUM", pytrace=False)
        yield opened
        opened.close()
