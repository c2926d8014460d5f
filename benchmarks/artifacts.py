"""Whether artifact units are found and repair helps: the embedded generator, an early snapshot, and a corrupted copy.

    python benchmarks/artifacts.py [quick|default]

The copy has noise on the outgoing weights of five units. How the exact effect of these five rises against the
uncorrupted model's, whether they lead the list, and how far ablating the worst units brings quality back.
"""

from __future__ import annotations

import sys
from dataclasses import replace
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
    asked = Options(model, layers=(LAYER,), quick=budget == "quick", budget=budget, cache=cache)
    pipeline.measure(replace(asked, controls=False, interventions=False))
    found = pipeline.load(model, cache=cache).artifacts
    assert found is not None, "artifact units were asked for"
    return found


def rows_of(name: str, found: Artifacts, effects: dict[str, list[float]]) -> list[dict[str, Any]]:
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
                "change": one.change,
                "change low": one.change_low,
                "change high": one.change_high,
                "random least": float(beside["change"].min()),
                "random most": float(beside["change"].max()),
                "listed": " ".join(map(str, found.listed)),
                "first tested": " ".join(map(str, found.order[:HIT])),
                "effects of the five": " ".join(f"{value:.3g}" for value in effects[name]),
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
    five = hit(len(found["scenes_pgan"].units))
    print("corrupted units:", five)
    effects = {}
    for name, one in found.items():
        estimates: Any = one.units.set_index("unit")["estimate"].to_dict()
        effects[name] = [estimates[unit] for unit in five]
    write("artifacts", [row for name, one in found.items() for row in rows_of(name, one, effects)])
