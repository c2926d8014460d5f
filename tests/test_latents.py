"""A sample's latent: the same whatever was drawn before, and each drawn once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dissectreport.networks import latents as drawing
from dissectreport.networks.latents import LatentSeries, latents


def rows_of(seed: int, count: int, depth: int) -> np.ndarray:
    """The rule itself."""
    return np.random.RandomState(seed).standard_normal((count, depth)).astype(np.float32)


def test_latents_follow_the_rule_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "BLOCK", 20)
    expected, drawn = rows_of(3, 120, 3), LatentSeries(3, 3)
    random = np.random.RandomState(0)
    for first in random.permutation(90).tolist():
        count = int(random.randint(1, 31))
        assert np.array_equal(drawn.rows(first, count), expected[first : first + count])
    assert torch.equal(latents(5, 7, 4, (2, 3)), torch.from_numpy(rows_of(5, 11, 6)[7:].reshape(4, 2, 3)))


def test_a_long_run_draws_every_latent_once_and_keeps_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "BLOCK", 32)
    drawn = LatentSeries(1, 4)
    for first in range(0, 800, 16):
        drawn.rows(first, 8)  # every other shard belongs to another worker
    assert drawn.drawn == 99 and len(drawn._blocks) == drawing.KEPT
    drawn.rows(400, 1)
    assert drawn.drawn == 100, "a block that is not kept is drawn again, and none before it"


def test_a_latent_that_was_changed_in_place_does_not_change_the_next() -> None:
    latents(2, 0, 3, (4,)).zero_()
    assert torch.equal(latents(2, 0, 3, (4,)), torch.from_numpy(rows_of(2, 3, 4)))
