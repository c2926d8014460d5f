"""Strips and overlays: what is drawn is what was counted."""

import io
from dataclasses import replace

import numpy as np
import pytest
from made import made_dissection
from PIL import Image

from dissectreport import probe
from dissectreport.plan import rule_named
from dissectreport.report import images
from dissectreport.report.site import write_site


@pytest.mark.parametrize("edge", ["clamp", "zero"])
def test_maps_are_drawn_by_the_weights_by_which_they_were_counted(edge):
    for source, target in ((1, 8), (4, 16), (5, 16), (8, 8), (16, 12)):
        assert np.allclose(images.upsampling(source, target, edge), probe.weights(source, target, edge), atol=1e-6)


def test_a_unit_that_is_on_everywhere_is_dark_at_the_border_where_the_rule_fades():
    everywhere = np.ones((1, 4, 4))
    assert not images.veil(everywhere, 0.9, "clamp").any()
    faded = images.veil(everywhere, 0.9, "zero")[0]
    assert faded[0].all() and faded[:, -1].all()
    assert not faded[32:96, 32:96].any()


def test_the_overlay_of_a_rule_that_fades_is_drawn_fading(tmp_path):
    made = made_dissection(units=6, layers=1)
    thresholds = dict(rule_named("pnas2020").interpretable)
    found = replace(made, provenance=replace(made.provenance, rule="pnas2020", thresholds=thresholds))
    write_site(found, tmp_path)
    (layer,) = found.layers
    veils = images.veil(layer.examples.maps[0], layer.table.at[0, "level"], "zero")
    drawn = np.asarray(Image.open(io.BytesIO((tmp_path / "planted" / "layer1" / "img" / "0.png").read_bytes())))
    assert np.array_equal(drawn, images.beside(veils[..., None])[..., 0])
    assert not np.array_equal(veils, images.veil(layer.examples.maps[0], layer.table.at[0, "level"], "clamp"))
