"""What a run must not do twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import dissectreport
from dissectreport import plugins
from dissectreport.networks.edits import Edit, stacked
from dissectreport.pipeline.options import Options
from dissectreport.run.plan import InterventionKey
from dissectreport.run.rules import Edge
from dissectreport.run.shards import SHARD
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.thresholds import CELLS, Thresholds
from dissectreport.worker import counting
from dissectreport.worker.concept_masks import Masks
from dissectreport.worker.edited_model import EditedModel
from dissectreport.worker.loaded_networks import Source
from tests.support.launches import Operations, as_on_an_accelerator, counting_copies


@pytest.mark.extended
def test_one_process_loads_its_networks_once_for_passes_that_follow_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    for name in ("generator", "segmenter"):
        load = getattr(plugins, name)

        def counting(*words: str, load=load, name=name) -> object:  # type: ignore[no-untyped-def]
            loaded.append(name)
            return load(*words)

        monkeypatch.setattr(plugins, name, counting)
    options = Options("planted", layers=("features",), quick=True, samples=64, workers=1, cache=tmp_path, device="cpu")
    dissectreport.measure(options)
    assert loaded.count("segmenter") == 2, "for the checks before the run, and for all passes"
    assert loaded.count("generator") == 4, "the same, for the untrained control, and once more after it"


UNITS, IMAGES, GRID = 64, 4, 16
"""So few units and images take as many operations as a shard of the papers' size, which is one part, too."""


def test_units_that_are_counted_together_have_the_same_counts_and_few_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(0)
    maps = torch.randn(IMAGES, UNITS, 8, 8, generator=random)
    low, width = (torch.full((UNITS,), end).double().numpy() for end in (-5.0, 10 / CELLS))
    pilot = np.random.default_rng(0).integers(0, 50, (UNITS, CELLS))
    thresholds = Thresholds.of(Histogram(low, width, pilot))
    labels = torch.randint(0, 5, (IMAGES, 2, GRID, GRID), generator=random)
    few = counting.joint_and_others(maps, Masks.of(labels, 5), thresholds, GRID, Edge.CLAMP)
    as_on_an_accelerator(monkeypatch)
    masks, copies = Masks.of(labels, 5), counting_copies(monkeypatch)
    shared = masks.by_image, masks.by_pixel, masks.by_cell, masks.rows
    copies.clear()
    with Operations() as operations:
        together = counting.joint_and_others(maps, masks, thresholds, GRID, Edge.CLAMP)
    assert all(len(part) for part in shared)
    assert operations.launches / SHARD < 2, "launches for an image"
    assert operations.waits + len(copies) <= 2, "waits for a shard"
    assert SHARD * 512 * 64 * 64 <= counting.ON_ACCELERATOR, "a layer of 512 units on a grid of 64 is one part"
    for one, other in zip(few, together, strict=True):
        for name, value in one.arrays().items():
            assert np.array_equal(value, other.arrays()[name]), name


def test_sets_of_units_that_run_together_have_the_same_areas_and_few_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = Source("scenes_pgan", "scenes").models()
    key = InterventionKey("", "", "layer6", (1, 2), (1, 2), 1, "float32")
    sets = [(unit, unit + 1) for unit in range(16)]
    as_on_an_accelerator(monkeypatch)
    copies = counting_copies(monkeypatch)
    found = {}
    for together in (1, len(sets)):
        model = EditedModel(networks, key, together)
        at = model.open(key.held_out_seed, 0, 8)
        copies.clear()
        with Operations() as counted:
            found[together] = model.areas_of(at, [Edit(units) for units in sets])
        images = 8 * len(sets)
        if together > 1:
            assert counted.launches / images < 2, "launches for an image"
            assert counted.waits + len(copies) == 1, "waits for all sets"
    assert np.array_equal(found[1], found[len(sets)]), "no pixel changes its label"
    where = at.inside(torch.arange(8))
    inserted = [Edit((1, 2), torch.tensor([0.5, 2.0]), where), Edit((), torch.tensor([]), where)]
    expected = torch.cat([edit(at.activations) for edit in inserted])
    assert torch.equal(stacked(at.activations, inserted), expected)
    taken = Edit((1,), at.activations[:, 2:3])
    assert torch.equal(stacked(at.activations, [taken]), taken(at.activations))
