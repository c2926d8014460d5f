"""The dissection pass over its floor: the bare forward of generator and segmenter on the same samples.

The paper's size is a 256-pixel Progressive GAN with its 512-unit layer4 and random weights, and a network of about
the cost of SegFormer-b0 with three slots a pixel. Everything on one thread; the null is included.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from common import processor_seconds, write
from torch import Tensor, nn

from dissectreport import plugins
from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.networks import hooks
from dissectreport.run.rules import Edge
from dissectreport.run.shards import SHARD
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.thresholds import CELLS, Thresholds
from dissectreport.worker import concept_masks, counting
from dissectreport.worker.pilot import even_cells

PAPER = (512, 512, 512, 512, 256, 128, 64, 32)
CONCEPTS = 120


class StandIn(nn.Module):
    """A segmenter of a fifth of the generator's cost, as SegFormer-b0 has at 256 pixels; three slots a pixel."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 48, 96, 160, 256)
        self.encode = nn.Sequential(
            *(layer for a, b in pairwise(widths) for layer in (nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()))
        )
        self.decode = nn.Sequential(nn.Upsample(scale_factor=4), nn.Conv2d(256, 128, 3, 1, 1), nn.ReLU())
        self.name = nn.Conv2d(128, CONCEPTS, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 3, h, w) labels: coarse patches with noise, some fifteen concepts an image."""
        # Without training one concept would win everywhere, and there would be nothing to tell apart.
        scores = nn.functional.instance_norm(self.name(self.decode(self.encode(images))))
        best = scores.view(len(images), 3, CONCEPTS // 3, *scores.shape[2:]).argmax(2)
        best = best % 5 + 1 + torch.arange(3)[None, :, None, None] * (CONCEPTS // 3)
        return nn.functional.interpolate(best.float(), images.shape[2:]).long()


def levels_of(maps: Tensor) -> Thresholds:
    """Thresholds from the maps themselves: what a pilot would find."""
    flat = maps.transpose(0, 1).flatten(1).double().numpy()
    low, width = even_cells(flat.min(1), flat.max(1))
    cells = ((flat - low[:, None]) / width[:, None]).astype(int)
    return Thresholds.of(Histogram(low, width, np.stack([np.bincount(row, minlength=CELLS) for row in cells])))


def generate(module: nn.Module, z: Tensor, layers: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
    """Images and maps of some latents, one by one: the fastest way on a CPU at 256 pixels."""
    with torch.no_grad(), hooks.reading(module, layers) as seen:
        parts = []
        for one in z:
            image = module(one[None])
            parts.append((image, dict(seen)))
    return torch.cat([p[0] for p in parts]), {name: torch.cat([p[1][name] for p in parts]) for name in layers}


def count(maps: dict[str, Tensor], labels: Tensor, thresholds: dict[str, Thresholds], grid: int, concepts: int) -> None:
    """All counts of a shard."""
    coarse = min(grid, 64)
    under = concept_masks.Masks.of(concept_masks.on_grid(labels, coarse), concepts)
    for name, read in maps.items():
        if coarse == grid:
            counting.joint_and_chance(read, under, thresholds[name], coarse, Edge.CLAMP)
        else:
            masks = concept_masks.Masks.of(concept_masks.on_grid(labels, grid), concepts)
            counting.joint(read, masks, thresholds[name], grid, Edge.CLAMP)
            counting.chance(read, under, thresholds[name], coarse, Edge.CLAMP)
        counting.cross(read, thresholds[name])


def paper_size() -> list[dict[str, Any]]:
    """One layer of 512 units of a 256-pixel generator, on both grids."""
    generator, segmenter = ProgressiveGenerator(PAPER), StandIn().eval()
    z = torch.randn(SHARD, 512, 1, 1)
    with torch.no_grad():
        forward = processor_seconds(lambda: segmenter(generate(generator, z[:6], ["layer4"])[0])) / 6
        network = processor_seconds(lambda: segmenter(torch.randn(1, 3, 256, 256)))
        images, maps = generate(generator, z, ["layer4"])
        labels = torch.cat([segmenter(image[None]) for image in images])
    thresholds = {"layer4": levels_of(maps["layer4"])}
    rows = []
    for grid in (64, 256):
        counted = processor_seconds(partial(count, maps, labels, thresholds, grid, CONCEPTS + 1), 2) / SHARD
        rows.append(_row("paper's size, 512 units", 1, grid, forward, network, counted))
    return rows


def embedded() -> list[dict[str, Any]]:
    """The embedded model by number of layers."""
    generator, segmenter = plugins.generator("scenes_pgan"), plugins.segmenter("scenes")
    z = torch.randn(SHARD, *generator.latent_shape)
    names = list(generator.default_layers)
    with torch.no_grad(), hooks.reading(generator.module, names) as seen:
        images = generator(z)
        maps = dict(seen)
        labels = segmenter(images)

        def floor() -> None:
            for batch in z.split(16):  # type: ignore[no-untyped-call]
                segmenter(generator(batch))

        forward = processor_seconds(floor) / SHARD
        network = processor_seconds(lambda: segmenter(images[:16])) / 16
    rows = []
    for number in range(1, len(names) + 1):
        kept = {name: maps[name] for name in names[-number:]}
        thresholds = {name: levels_of(read) for name, read in kept.items()}
        counted = processor_seconds(partial(count, kept, labels, thresholds, 64, len(segmenter.vocabulary)), 2) / SHARD
        units = sum(read.shape[1] for read in kept.values())
        rows.append(_row(f"scenes_pgan, {units} units", number, 64, forward, network, counted))
    return rows


def _row(what: str, layers: int, grid: int, forward: float, network: float, counted: float) -> dict[str, Any]:
    return {
        "what": what,
        "layers": layers,
        "grid": grid,
        "floor ms": forward * 1e3,
        "of it segmenter ms": network * 1e3,
        "statistics ms": counted * 1e3,
        "pass / floor": 1 + counted / forward,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    write("pass_over_floor", paper_size() + embedded())
