"""Whether artifact units are found and repair helps: the embedded generator, an early snapshot, and a corrupted copy.

    python benchmarks/artifacts.py [quick|default]

The copy has noise on the outgoing weights of five units. How the estimates and the exact effects of these five rise
against the uncorrupted model's, whether they lead the list, and how far ablating the worst units, and just these five,
brings quality back. Rows are written whenever a model is done; seconds are those of all that it takes, its dissection
too, if `benchmarks/.cache` was empty.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from common import write
from torch import nn

from dissectreport.analysis.results.artifacts import Artifacts
from dissectreport.models.embedded import scenes_pgan
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.repair import artifact_units
from dissectreport.report.artifacts.summary import RANDOM_COUNTERPARTS

LAYER, AFTER, HIT, NOISE = "layer6", "layer7", 5, 1.5
"""The layer, the block that reads it, how many units are corrupted, and the noise over the weights' spread."""


def hit(units: int) -> list[int]:
    """The units whose outgoing weights are corrupted."""
    return sorted(torch.randperm(units, generator=torch.Generator().manual_seed(5))[:HIT].tolist())


def corrupt(block: nn.Module, units: list[int]) -> None:
    """Add noise to what a block's convolution reads of some units."""
    weight = block.get_submodule("conv").weight
    assert isinstance(weight, nn.Parameter), "a convolution has weights"
    noise = torch.randn(weight[:, units].shape, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        weight[:, units] += NOISE * weight.std() * noise


def corrupted() -> NetworkGenerator:
    """The embedded generator of scenes with the outgoing weights of five units corrupted."""
    generator = scenes_pgan()
    weight = generator.module.get_submodule(f"{AFTER}.conv").weight
    assert isinstance(weight, nn.Parameter), "a convolution has weights"
    corrupt(generator.module.get_submodule(AFTER), hit(weight.shape[1]))
    return replace(generator, name="corrupted", identity="")


def examined(model: str, budget: str, cache: Path) -> Artifacts:
    """The artifact units of a model, and what ablating them does."""
    asked = Options(
        model,
        layers=(LAYER,),
        quick=budget == "quick",
        budget=budget,
        cache=cache,
        artifact_layer=LAYER,
        artifact_units=marked(cache),
        controls=False,
        interventions=False,
    )
    return artifact_units(asked)[0]


def marked(cache: Path) -> Path:
    """A file that names the five, as a review by eye would."""
    path = cache / "five.json"
    cache.mkdir(exist_ok=True)
    weight = scenes_pgan().module.get_submodule(f"{AFTER}.conv").weight
    assert isinstance(weight, nn.Parameter), "a convolution has weights"
    path.write_text(json.dumps({"layer": LAYER, "units": hit(weight.shape[1])}))
    return path


def of_the_five(found: Artifacts, column: str) -> str:
    """What a table says of the corrupted units, '-' where it says nothing."""
    values = found.units.set_index("unit")[column]
    return " ".join("-" if isnan(values[unit]) else f"{values[unit]:.3g}" for unit in hit(len(values)))


def rows_of(name: str, found: Artifacts, seconds: float) -> list[dict[str, Any]]:
    """Quality without and with the repair, random sets beside it, and the corrupted units' places."""
    sets: Any = found.quality.groupby(["set", "units"], sort=False)
    return [_row(name, found, str(key[0]), int(key[1]), held) | {"seconds": seconds} for key, held in sets]


def _row(name: str, found: Artifacts, kind: str, units: int, held: pd.DataFrame) -> dict[str, Any]:
    measures = held.set_index("measure")
    distance: Any = measures.loc["kernel_distance"]
    random = found.curve[(found.curve["set"] == RANDOM_COUNTERPARTS.get(kind)) & (found.curve["units"] == units)]
    edited = not isnan(distance["change"])
    others = {
        f"{measure}{words}": None if isnan(row[column]) else row[column]
        for measure, row in measures.drop(index="kernel_distance").iterrows()
        for column, words in (("value", ""), ("change", " change"), ("change_low", " low"), ("change_high", " high"))
    }
    return {
        "model": name,
        "set": kind,
        "units": units,
        "images": int(distance["images"]),
        "KID": distance["value"],
        "low": distance["low"],
        "high": distance["high"],
        "change": distance["change"] if edited else None,
        "change low": distance["change_low"] if edited else None,
        "change high": distance["change_high"] if edited else None,
        **others,
        "chosen": kind == "worst" and units == found.chosen,
        "random least": float(random["change"].min()) if len(random) else None,
        "random most": float(random["change"].max()) if len(random) else None,
        "listed": " ".join(map(str, found.listed)),
        "candidates": " ".join(map(str, found.repairable)),
        **{
            f"{column} of the five": of_the_five(found, column)
            for column in ("rank", "estimate", "measured_effect", "q")
        },
    }


if __name__ == "__main__":
    budget = sys.argv[1] if len(sys.argv) > 1 else "quick"
    cache = Path(__file__).parent / ".cache"
    models = {
        "scenes_pgan": "scenes_pgan",
        "scenes_pgan_early": "scenes_pgan_early",
        "corrupted": f"{Path(__file__).resolve()}:corrupted",
    }
    print("corrupted units:", marked(cache).read_text())
    rows: list[dict[str, Any]] = []
    for name, address in models.items():
        begun = time.perf_counter()
        found = examined(address, budget, cache)
        rows += rows_of(name, found, round(time.perf_counter() - begun, 1))
        write("artifacts", rows)
