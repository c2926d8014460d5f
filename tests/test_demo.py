"""The main job on the embedded model: a whole site, measured, drawn, and opened. Run by `make test-demo`."""

import os
import shutil
import subprocess
import time

import pytest

import dissectreport
from dissectreport.pipeline.prepare import SAMPLES
from dissectreport.pipeline.render import load_dissection
from tests.support.browsers import assert_fits, assert_no_violation, open_page
from tests.support.sites import broken_links

pytestmark = [pytest.mark.demo, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The default build of the embedded model: its tables and its site."""
    folder = tmp_path_factory.mktemp("demo")
    started = time.monotonic()
    dissectreport.build(dissectreport.Options("scenes_pgan", cache=folder / "cache"), folder / "site")
    print(f"built in {time.monotonic() - started:.0f} s")  # noqa: T201 - what one runs this test to see
    return load_dissection("scenes_pgan", cache=folder / "cache"), folder / "site"


def counted(layer, control):
    rows = layer.controls
    return int(rows[(rows["control"] == control) & (rows["category"] == "")]["units"].iloc[0])


def test_every_iou_is_scored_on_half_of_the_images(demo):
    assert demo[0].provenance.held_out == SAMPLES // 2 >= 600


def test_every_layer_has_interpretable_units_and_hardly_any_by_chance(demo):
    for layer in demo[0].layers:
        assert counted(layer, "measured") > 10 * max(counted(layer, "chance"), 1)


def test_training_makes_units_interpretable(demo):
    layers = demo[0].layers
    assert sum(counted(layer, "measured") for layer in layers) > 2 * sum(
        counted(layer, "untrained") for layer in layers
    )


def test_objects_parts_materials_and_colours_are_found(demo):
    found = {category for layer in demo[0].layers for category in layer.labels.query("interpretable")["category"]}
    assert found == {"object", "part", "material", "colour"}


def test_causal_effects_exceed_those_of_random_units(demo):
    found = demo[0].interventions
    assert found.samples >= 128 and found.random_sets >= 10 and len(found.concepts) == 4
    twenty = found.removal.query("units == 20 and ranking == 'gradient'")
    assert (twenty["difference_low"] > 0).sum() >= 3
    assert (found.agreement["spearman"] > 0.5).sum() >= 3
    assert (found.context["insertions"] >= 128).all() and len(found.context)
    assert set(found.rankings["ranking"]) == {"gradient", "learned_mask", "greedy", "IoU"}


PAGES = (
    *("index", "concepts", "causes", "concepts/tree", "artifacts", "preference", "real", "lookup", "trust", "methods"),
    *("layer6/index", "layer6/unit-0", "layer6/unit-116", "layer6/table", "layer6/review"),
)
"""One of each kind."""


@pytest.mark.parametrize("name", ["../index", "../compare", *PAGES])
def test_its_pages_open_from_the_folder_without_a_word_or_a_request(demo, chromium, name):
    with open_page(chromium, demo[1], f"scenes_pgan/{name}.html") as page:
        page.wait_for_load_state("networkidle")
        assert_fits(page)
        assert_no_violation(page)
        loaded = "[...document.images].every(i => !i.complete || i.naturalWidth > 0)"
        assert page.evaluate(loaded)


@pytest.mark.parametrize("name", ["index", "layer6/index", "layer6/unit-0", "artifacts"])
def test_its_pages_can_be_read_without_scripts(demo, chromium, name):
    with open_page(chromium, demo[1], f"scenes_pgan/{name}.html", java_script_enabled=False) as page:
        assert page.locator("h1").is_visible()
        assert page.locator(".js:visible").count() == 0


def test_every_link_leads_somewhere(demo):
    assert broken_links(demo[1].resolve()) == []


def test_every_page_is_valid(demo):
    """By the W3C's checker, where it is at hand: VNU_JAR names its vnu.jar."""
    jar = os.environ.get("VNU_JAR")
    if not jar or not shutil.which("java"):
        pytest.skip("VNU_JAR does not name a vnu.jar, or there is no java to run it")
    pages = sorted(str(path) for path in demo[1].rglob("*.html"))
    assert len(pages) > 500
    words = ["java", "-Xss4m", "-jar", jar, "--errors-only", "--stdout", *pages]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout[:2000]
