"""Batches that do not fit into memory are halved, the results are the same, and it is said."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from dissectreport.errors import ModelError
from dissectreport.run.plan import Plan, Reading
from dissectreport.run.shards import Shard
from dissectreport.worker import memory
from dissectreport.worker.loaded_networks import Models, Source
from dissectreport.worker.observing import observe, pilot_maps


class Small:
    """What runs on at most some samples at a time."""

    def __init__(self, most: int) -> None:
        self.most, self.sizes = most, list[int]()

    def __call__(self, z: Tensor, first: int) -> tuple[int, list[float]]:
        """The first sample's number, and the latents."""
        self.sizes.append(len(z))
        if len(z) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return first, z.tolist()


@pytest.mark.parametrize(("most", "parts"), [(16, 1), (8, 2), (5, 4), (1, 16)])
def test_a_batch_is_halved_until_it_fits(most: int, parts: int) -> None:
    z = torch.arange(16.0)
    results = memory.in_parts(Small(most), z, 32)
    assert len(results) == parts
    assert [value for _, values in results for value in values] == z.tolist()
    assert [first for first, _ in results] == [32 + int(values[0]) for _, values in results]


def test_too_little_memory_for_one_sample_is_one_clear_line() -> None:
    with pytest.raises(ModelError, match=r"too little memory for one sample .*\(CUDA out of memory\); choose"):
        memory.in_parts(Small(0), torch.zeros(4), 0)


@pytest.mark.parametrize(("most", "fits"), [(16, 16), (9, 8), (4, 4), (0, 1)])
def test_how_many_samples_fit_is_found_by_halving(most: int, fits: int) -> None:
    assert memory.at_once(Small(most), torch.zeros(16)) == fits
    assert ("16 samples at a time do not fit" in memory.caution(fits, 16)) == (fits < 16)


def test_activations_and_labels_are_those_of_a_larger_memory() -> None:
    models = Source("planted", "planted").models()
    plan = Plan("g", "s", "corrected", 1, 16, pilot=16, torch="")
    reading, shard = Reading(models.generator.default_layers[0]), Shard(0, 0, 16)
    maps, labels = observe(models, plan, 1, [reading], shard)
    pilot = pilot_maps(models, plan, [reading], shard)

    handle = limited(models, 4)
    try:
        again, labels_again = observe(models, plan, 1, [reading], shard)
        pilot_again = pilot_maps(models, plan, [reading], shard)
    finally:
        handle.remove()
    assert torch.equal(labels, labels_again)
    assert torch.allclose(maps[reading], again[reading], atol=1e-5)
    assert torch.allclose(pilot[reading], pilot_again[reading], atol=1e-5)


def limited(models: Models, most: int) -> RemovableHandle:
    """Lets the generator run out of memory on more than some latents, until the handle is removed."""

    def check(_module: object, args: tuple[Tensor, ...]) -> None:
        if len(args[0]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return models.generator.module.register_forward_pre_hook(check)
