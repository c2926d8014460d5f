"""What interventions cost over the networks that they cannot do without.

Exact ablation of every unit of a layer, over units × (tail and segmenter, forward) on the same latents; and the
first-order estimate for C concepts, over one forward and C backward passes. Everything on one thread, in float32.
"""

from __future__ import annotations

from functools import partial

import torch
from common import processor_seconds, write

from dissectreport.run.plan import InterventionKey
from dissectreport.run.shards import EDIT_BATCH, Shard
from dissectreport.worker.ablations import make_ablations
from dissectreport.worker.edited_model import EditedModel
from dissectreport.worker.gradients import gradients
from dissectreport.worker.loaded_networks import Source

LAYER, UNITS, CONCEPTS = "layer6", 24, 8
SOURCE = Source("scenes_pgan", "scenes")


if __name__ == "__main__":
    key = InterventionKey("", "", LAYER, tuple(range(1, CONCEPTS + 1)), (1,), 1, "float32")
    model = EditedModel(SOURCE.models(), key)
    segmenter = model.networks.segmenter
    module = model.networks.generator.module
    children = dict(module.named_children())
    after = list(children)[list(children).index(LAYER) + 1 :]
    at = model.open(key.held_out_seed, 0, EDIT_BATCH)

    def tail(activations: torch.Tensor) -> torch.Tensor:
        """What follows the layer, called by hand."""
        for name in after:
            activations = children[name](activations)
        return activations

    def forward() -> None:
        with torch.no_grad():
            segmenter(tail(at.activations))

    def estimate(concepts: int) -> None:
        leaf = at.activations.detach().requires_grad_()
        shares = segmenter.logits(tail(leaf))["object"].softmax(1)  # type: ignore[attr-defined]
        for concept in range(1, concepts + 1):
            torch.autograd.grad(shares[:, concept].sum(), leaf, retain_graph=True)

    judge = make_ablations(SOURCE, key, [(unit,) for unit in range(UNITS)])
    floor = UNITS * processor_seconds(forward, 5)
    spent = processor_seconds(lambda: judge(Shard(0, 0, EDIT_BATCH)), 2)
    rows = [{"what": "exact ablation", "number": UNITS, "floor s": floor, "spent s": spent, "ratio": spent / floor}]
    for concepts in (1, 4, CONCEPTS):
        floor = processor_seconds(partial(estimate, concepts), 3)
        chosen = key.concepts[:concepts]
        spent = processor_seconds(lambda: list(gradients(model, at, at.activations, chosen)), 3)  # noqa: B023
        row = {"what": "first order", "number": concepts, "floor s": floor, "spent s": spent, "ratio": spent / floor}
        rows.append(row)
    write("interventions", rows)
