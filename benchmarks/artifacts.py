"""Whether artifact units are found and repair helps: the embedded generator, an early snapshot, and a corrupted copy.

    python benchmarks/artifacts.py [quick|default]

The copy has noise on the outgoing weights of five units. How the estimates and the exact effects of these five rise
against the uncorrupted model's, whether they lead the list, and how far ablating the worst units, and just these five,
brings quality back.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import torch
from common import write
from torch import nn

from dissectreport import pipeline
from dissectreport.analysis.artifacts import Artifacts
from dissectreport.jobs import Options
from dissectreport.models.embedded import scenes_pgan
from dissectreport.models.wrap import NetworkGenerator

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
    return pipeline.artifacts(asked)[0]


def marked(cache: Path) -> Path:
    """A file that names the five, as a review by eye would."""
    path = cache / "five.json"
    cache.mkdir(exist_ok=True)
    units = scenes_pgan().module.get_submodule(f"{AFTER}.conv").weight.shape[1]
    path.write_text(json.dumps({"layer": LAYER, "units": hit(int(units))}))
    return path


def of_the_five(found: Artifacts, column: str) -> str:
    """What a table says of the corrupted units, '-' of those that were not ablated one by one."""
    values = found.units.set_index("unit")[column]
    return " ".join("-" if isnan(values[unit]) else f"{values[unit]:.3g}" for unit in hit(len(values)))


def rows_of(name: str, found: Artifacts) -> list[dict[str, Any]]:
    """Quality without and with the repair, random sets beside it, and the corrupted units' places."""
    distance = found.quality[found.quality["measure"] == "kernel_distance"]
    random = found.curve[found.curve["set"] == "random"]
    rows = []
    one: Any
    for one in distance.itertuples():
        beside = random[random["units"] == one.units]
        rows.append(
            {
                "model": name,
                "set": one.set,
                "units": int(one.units),
                "images": int(one.images),
                "KID": one.value,
                "low": one.low,
                "high": one.high,
                "change": None if isnan(one.change) else one.change,
                "change low": None if isnan(one.change) else one.change_low,
                "change high": None if isnan(one.change) else one.change_high,
                "chosen": one.set == "repair" and int(one.units) == found.chosen,
                "random least": float(beside["change"].min()) if len(beside) else None,
                "random most": float(beside["change"].max()) if len(beside) else None,
                "listed": " ".join(map(str, found.listed)),
                "first tested": " ".join(map(str, found.order[:HIT])),
                **{f"{column} of the five": of_the_five(found, column) for column in ("rank", "estimate", "exact")},
            }
        )
    return rows


if __name__ == "__main__":
    budget = sys.argv[1] if len(sys.argv) > 1 else "quick"
    cache = Path(__file__).parent / ".cache"
    models = {
        "scenes_pgan": "scenes_pgan",
        "scenes_pgan_early": "scenes_pgan_early",
        "corrupted": f"{Path(__file__).resolve()}:corrupted",
    }
    found = {name: examined(address, budget, cache) for name, address in models.items()}
    print("corrupted units:", hit(len(found["scenes_pgan"].units)))
    write("artifacts", [row for name, one in found.items() for row in rows_of(name, one)])
