"""The moving picture of a model: units are ablated one by one, and every frame is what the network makes of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from dissectreport.errors import BadOption, UnknownName
from dissectreport.pipeline.animation import HEIGHT, LINE, AnimationPlan, animate, animation_plan, frames_of
from dissectreport.pipeline.options import Options
from dissectreport.plugins import generator
from tests.support.dissections import example_dissection, with_interventions


def test_the_plan_has_the_first_units_of_the_preselected_ranking_and_the_images_that_lose_most() -> None:
    made = with_interventions(example_dissection())
    interventions = made.interventions
    assert interventions is not None
    table = interventions.rankings
    ranked = table[(table["concept"] == "tree") & (table["ranking"] == "greedy")].sort_values("rank")["unit"]
    plan = animation_plan(made, units=5, images=2)
    assert (plan.concept, plan.layer, plan.units) == ("tree", "layer2", tuple(ranked[:5]))
    ablated, number = interventions.pictures["tree"].ablated, made.vocabulary["concept"].tolist().index("tree")
    lost = [
        (b == number).mean() - (a == number).mean()
        for b, a in zip(ablated.labels_before, ablated.labels_after, strict=True)
    ]
    assert set(plan.samples) == {int(ablated.samples[i]) for i in np.argsort(np.negative(lost), kind="stable")[:2]}


def test_what_was_not_measured_is_refused() -> None:
    made = with_interventions(example_dissection())
    with pytest.raises(UnknownName, match="studied concept"):
        animation_plan(made, "cloud")
    with pytest.raises(BadOption, match="1 to 6 images"):
        animation_plan(made, images=7)
    with pytest.raises(BadOption, match="were not measured"):
        animation_plan(example_dissection(units=6, layers=1))


def test_frames_are_the_images_of_the_network_with_more_and_more_units_off(tmp_path: Path) -> None:
    layer = generator("planted").layers[-1]
    plan = AnimationPlan("tree", layer, (0, 1, 2), (3, 8), 0)
    frames = frames_of(Options("planted"), plan)
    assert len(frames) == 4 and frames[0].shape[0] == HEIGHT + LINE
    assert not np.array_equal(frames[0][:HEIGHT], frames[3][:HEIGHT])
    out = tmp_path / "off.webp"
    assert animate(Options("planted"), plan, out) == 4
    with Image.open(io.BytesIO(out.read_bytes())) as moving:
        assert (len(list(ImageSequence.Iterator(moving))), moving.size) == (4, frames[0].shape[1::-1])
    with pytest.raises(BadOption, match="\\.webp or a \\.gif"):
        animate(Options("planted"), plan, tmp_path / "off.mp4")
