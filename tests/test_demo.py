"""The main job on the embedded model: a whole site, measured, drawn, and opened. Run by `make demo-check`."""

import time

import pytest

from dissectreport import pipeline
from dissectreport.jobs import SAMPLES

pytestmark = [pytest.mark.demo, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The default build of the embedded model: its tables and its site."""
    folder = tmp_path_factory.mktemp("demo")
    started = time.monotonic()
    pipeline.build(pipeline.Options("scenes_pgan", cache=folder / "cache"), folder / "site")
    print(f"built in {time.monotonic() - started:.0f} s")  # noqa: T201 - what one runs this test to see
    return pipeline.load("scenes_pgan", cache=folder / "cache"), folder / "site"


def counted(layer, control):
    rows = layer.controls
    return int(rows[(rows["control"] == control) & (rows["category"] == "")]["units"].iloc[0])


def test_half_of_the_images_stand_behind_every_iou(demo):
    assert demo[0].provenance.scoring == SAMPLES // 2 >= 720


def test_every_layer_has_units_that_mean_something_and_the_null_labels_none(demo):
    for layer in demo[0].layers:
        assert counted(layer, "measured") > 10 * max(counted(layer, "null"), 1)


def test_training_taught_the_units_what_they_mean(demo):
    layers = demo[0].layers
    assert sum(counted(layer, "measured") for layer in layers) > 2 * sum(
        counted(layer, "untrained") for layer in layers
    )


def test_objects_parts_materials_and_colours_are_found(demo):
    found = {category for layer in demo[0].layers for category in layer.labels.query("interpretable")["category"]}
    assert found == {"object", "part", "material", "colour"}


def test_what_units_cause_is_measured_and_beats_random_units(demo):
    found = demo[0].interventions
    assert found.samples >= 128 and found.random_sets >= 10 and len(found.concepts) == 4
    twenty = found.removal.query("units == 20 and order == 'first-order'")
    assert (twenty["beyond_low"] > 0).sum() >= 3
    assert (found.agreement["spearman"] > 0.5).sum() >= 3
    assert (found.context["insertions"] >= 128).all() and len(found.context)
    assert set(found.orders["order"]) == {"first-order", "alpha", "greedy", "IoU"}


@pytest.mark.parametrize(
    "name",
    ["index", "causes", "concepts/tree", "layer6/index", "layer6/unit-0", "concepts", "lookup", "trust", "methods"],
)
def test_its_pages_open_from_the_folder_without_a_word_or_a_request(demo, chromium, name):
    said, asked = [], []
    page = chromium.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((demo[1] / "scenes_pgan" / f"{name}.html").as_uri())
    page.wait_for_load_state("networkidle")
    assert not said
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    assert page.evaluate("document.images.length && [...document.images].every(i => !i.complete || i.naturalWidth > 0)")
    page.close()
