"""What the division of an IoU into its parts, label sets, and random directions cost as a share of the dissection pass.

The pass is everything that is done with one sample: generator and segmenter, the counts of units, random directions in
five bases, and the untrained control with its networks and counts. Everything on one thread.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from common import processor_seconds, write
from pass_over_floor import CONCEPTS, PAPER, StandIn, generate, levels_of
from torch import Tensor

from dissectreport import plugins
from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.networks import hooks
from dissectreport.run.plan import ROTATIONS, Plan, Reading
from dissectreport.run.rules import Edge
from dissectreport.run.shards import SHARD
from dissectreport.stats.thresholds import Thresholds
from dissectreport.worker import concept_masks, counting
from dissectreport.worker.loaded_networks import keep_memory
from dissectreport.worker.observing import at_lattice, readings_of

PLAN = Plan("generator", "segmenter")


def row(what: str, maps: dict[str, Tensor], labels: Tensor, concepts: int, networks: float) -> dict[str, Any]:
    """The milliseconds a sample that each part of the pass takes."""
    on_grid = concept_masks.on_grid(labels, PLAN.grid)
    masks = concept_masks.Masks.of(on_grid, concepts)
    sparse = concept_masks.Masks.of(at_lattice(on_grid, PLAN), concepts)
    thresholds = {name: levels_of(read) for name, read in maps.items()}

    def count(how: Any) -> None:
        for name, read in maps.items():
            how(read, masks, thresholds[name], PLAN.grid, Edge.CLAMP)

    bases = [Reading(name, seed) for name in maps for seed in ROTATIONS]
    of_bases = {reading: levels_of(read) for reading, read in readings_of(maps, PLAN, bases, 0).items()}
    seconds = {
        "networks": networks,
        "counts of units": processor_seconds(partial(count, counting.joint_and_chance)) / SHARD,
        "with parts": processor_seconds(partial(count, counting.joint_chance_and_neighbours)) / SHARD,
        "with label sets": processor_seconds(partial(count, counting.joint_and_others)) / SHARD,
        "random directions": processor_seconds(partial(directions, maps, sparse, of_bases)) / SHARD,
        "one basis, all pixels": processor_seconds(partial(one_basis, maps, masks, of_bases)) / SHARD,
        "untrained": networks + processor_seconds(partial(count, partial(counting.chance, with_shifted=False))) / SHARD,
    }
    whole = networks + seconds["with label sets"] + seconds["random directions"] + seconds["untrained"]
    return {
        "what": what,
        **{f"{name} ms": value * 1e3 for name, value in seconds.items()},
        "pass ms": whole * 1e3,
        "parts, share of the pass": (seconds["with parts"] - seconds["counts of units"]) / whole,
        "label sets, share of the pass": (seconds["with label sets"] - seconds["with parts"]) / whole,
    }


def directions(maps: dict[str, Tensor], sparse: concept_masks.Masks, thresholds: dict[Reading, Thresholds]) -> None:
    """Random directions in all bases, as they are counted."""
    for reading, read in readings_of(maps, PLAN, list(thresholds), 0).items():
        counting.chance(read, sparse, thresholds[reading], len(PLAN.lattice), Edge.CLAMP, with_shifted=False)


def one_basis(maps: dict[str, Tensor], masks: concept_masks.Masks, thresholds: dict[Reading, Thresholds]) -> None:
    """Random directions in one basis at all pixels of the grid, for comparison."""
    for name, read in maps.items():
        turned = hooks.rotate(read, ROTATIONS[0])
        edges = thresholds[Reading(name, ROTATIONS[0])]
        counting.chance(turned, masks, edges, PLAN.grid, Edge.CLAMP, with_shifted=False)


def embedded() -> dict[str, Any]:
    """The embedded generator with its five default layers."""
    generator, segmenter = plugins.generator("scenes_pgan"), plugins.segmenter("scenes")
    z = torch.randn(SHARD, *generator.latent_shape)
    with torch.no_grad(), hooks.reading(generator.module, list(generator.default_layers)) as seen:
        images = generator(z)
        maps = dict(seen)
        labels = segmenter(images)
        networks = processor_seconds(lambda: segmenter(generator(z[:16]))) / 16
    units = sum(read.shape[1] for read in maps.values())
    return row(f"scenes_pgan, {units} units", maps, labels, len(segmenter.vocabulary), networks)


def paper_size() -> dict[str, Any]:
    """One layer of 512 units of a 256-pixel generator."""
    generator, segmenter = ProgressiveGenerator(PAPER), StandIn().eval()
    z = torch.randn(SHARD, 512, 1, 1)
    with torch.no_grad():
        networks = processor_seconds(lambda: segmenter(generate(generator, z[:4], ["layer4"])[0]), 2) / 4
        images, maps = generate(generator, z, ["layer4"])
        labels = torch.cat([segmenter(image[None]) for image in images])
    return row("paper's size, 512 units", maps, labels, CONCEPTS + 1, networks)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_memory()
    with torch.no_grad():
        write("decomposition", [embedded(), paper_size()])
