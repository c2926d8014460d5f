"""The size of a store is said before a run, within a factor of 1.5."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import dissectreport
from dissectreport.pipeline.estimate import disk_bytes
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import prepare
from dissectreport.worker.costs import NetworksCost

WITHIN = 1.5


def is_near(estimated: float, found: float) -> bool:
    """Whether a size is estimated within the factor."""
    return found / WITHIN < estimated < found * WITHIN


def cost(units: int, concepts: int) -> NetworksCost:
    """Networks with so many units, of whose concepts so many occur in the first batch."""
    return NetworksCost(0.0, 0.0, units, concepts)


@pytest.mark.parametrize(
    ("samples", "shard", "grid", "units", "concepts", "controls", "megabytes"),
    [
        (240, 16, 32, 64, 31, False, 6.45),
        (240, 16, 32, 64, 147, False, 11.85),
        (240, 16, 32, 64, 211, False, 12.93),
        (240, 16, 32, 512, 147, False, 95.7),
        (480, 16, 32, 512, 147, False, 187.9),
        (192, 16, 32, 24, 16, True, 3.25),
        (1248, 48, 64, 128, 43, False, 58.0),  # one layer of scenes_pgan
    ],
)
def test_stores_that_were_measured(
    samples: int, shard: int, grid: int, units: int, concepts: int, controls: bool, megabytes: float
) -> None:
    job = prepare(Options("planted", layers=("features",), controls=controls, interventions=False, artifacts=False))
    job = replace(job, samples=samples, plan=replace(job.plan, shard=shard, grid=grid))
    whole = disk_bytes(job, cost(units, concepts), 0)
    assert is_near(whole / 1e6, megabytes)
    assert disk_bytes(job, cost(units, concepts), samples) == 0


def test_a_store(tmp_path: Path) -> None:
    options = Options(
        "planted",
        layers=("features",),
        quick=True,
        samples=96,
        interventions=False,
        artifacts=False,
        workers=1,
        cache=tmp_path,
        device="cpu",
    )
    job = prepare(options)
    networks = job.source.models()
    labels = networks.labels(networks.images(networks.latents(job.plan.seed, 0, job.plan.batch), 0))
    dissectreport.measure(options)
    counts = [
        path.parent
        for path in tmp_path.rglob("facts.json")
        if json.loads(path.read_text(encoding="utf-8"))["kind"] == "counts"
    ]
    found = sum(path.stat().st_size for folder in counts for path in folder.iterdir())
    assert is_near(disk_bytes(job, cost(24, len(labels.unique()) - int((labels == 0).any())), 0), found)
