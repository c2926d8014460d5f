"""Strips and overlays: what is drawn is what was counted."""

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dissectreport.networks import resampling
from dissectreport.report.html import images
from dissectreport.report.site.build import write_site
from tests.support.dissections import example_dissection
from tests.support.variants import under_rule, widened


@pytest.mark.parametrize("edge", ["clamp", "zero"])
def test_maps_are_rendered_by_the_weights_by_which_they_were_counted(edge):
    for source, target in ((1, 8), (4, 16), (5, 16), (8, 8), (16, 12)):
        assert np.allclose(
            images.upsampling(source, target, edge), resampling.interpolation(source, target, edge), atol=1e-6
        )


def test_a_unit_that_is_on_everywhere_is_dark_at_the_border_where_the_rule_fades():
    everywhere = np.ones((1, 4, 4))
    assert not images.veil(everywhere, 0.9, "clamp").any()
    faded = images.veil(everywhere, 0.9, "zero")[0]
    assert faded[0].all() and faded[:, -1].all()
    assert not faded[32:96, 32:96].any()


def test_the_overlay_of_a_rule_with_zero_padding_fades_at_the_border(tmp_path):
    found = under_rule(example_dissection(units=6, layers=1), "pnas2020")
    write_site(found, tmp_path)
    (layer,) = found.layers
    veils = images.veil(layer.examples.maps[0], layer.table.at[0, "threshold"], "zero")
    drawn = np.asarray(Image.open(io.BytesIO((tmp_path / "planted" / "layer1" / "img" / "0.png").read_bytes())))
    assert np.array_equal(drawn, images.side_by_side(veils[..., None])[..., 0])
    assert not np.array_equal(veils, images.veil(layer.examples.maps[0], layer.table.at[0, "threshold"], "clamp"))


def test_images_keep_their_proportions(tmp_path):
    found = widened(example_dissection(units=6, layers=1))
    write_site(found, tmp_path)
    home = tmp_path / "planted"
    examples = len(found.layers[0].examples.kind)
    wanted = {
        "layer1/img/0.webp": 6 * 256,
        "layer1/img/0.png": examples * 256,
        "img/band.webp": 8 * 256,
        "img/trust-0-0-plain.webp": 256,
        "img/trust-0-0-seen.webp": 256,
        "img/trust-0-0-sure.webp": 256,
    }
    for name, width in wanted.items():
        assert Image.open(home / name).size == (width, 128), name
    layer_page = (home / "layer1/index.html").read_text()
    strips = re.findall(r'img/\d+\.webp"[^>]*?\swidth="(\d+)"[^>]*?\sheight="(\d+)"', layer_page)
    assert set(strips) == {("1536", "128")}


def test_the_tile_of_a_tall_image_is_narrow():
    assert images.tiles(np.zeros((64, 16, 3), np.uint8)).shape == (128, 32, 3)
    assert images.veil(np.ones((2, 4, 4)), 0.5, "clamp", 32).shape == (2, 128, 32)


def test_a_colour_is_shown_in_itself_and_other_concepts_have_distinct_colours():
    names = ["-", "black", "white", "red", "black"]
    vocabulary = pd.DataFrame({"concept": names, "category": ["-", "colour", "colour", "colour", "material"]})
    found = images.concept_colours(vocabulary).astype(int)
    assert found[1].max() < 64 and found[2].min() > 192 and found[3, 0] > 2 * found[3, 1:].max()
    assert (found[4] != found[1]).any() and len({tuple(colour) for colour in found}) == len(names)


def test_of_a_segmenter_without_doubts_no_confidence_is_shown(tmp_path):
    made = example_dissection(units=6, layers=1)
    sure = tuple(replace(each, confidence=np.ones_like(each.confidence)) for each in made.trust)
    write_site(replace(made, trust=sure), tmp_path)
    page = (tmp_path / "planted/trust.html").read_text()
    assert "has no confidence" in page and "onfidence," not in page and "confidence 100" not in page
    assert not list(tmp_path.rglob("trust-*-sure.webp")) and list(tmp_path.rglob("trust-*-seen.webp"))
