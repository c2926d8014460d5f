"""Results that an accelerator is waited for together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dissectreport.errors import SegmenterError
from dissectreport.networks.hooks import NotFinite, check_finite, finite_rows
from dissectreport.run.plan import InterventionKey
from dissectreport.run.shards import Shard
from dissectreport.worker import ablations
from dissectreport.worker.edited_model import EditedModel
from dissectreport.worker.later import Later
from dissectreport.worker.loaded_networks import Models, Source

KEY = InterventionKey("g", "s", "features", (1,), (1,), 1, "float32", "2")


def test_what_is_taken_arrives_as_it_was_and_in_order() -> None:
    values = [
        torch.tensor([[True, False, True]]),
        torch.arange(12).reshape(3, 4).T,
        torch.tensor(0.1),
        torch.zeros(0, 2, dtype=torch.int32),
    ]
    found: list[Any] = []
    with Later() as later:
        for one in values:
            later.take(one, found.append)
        later.then(lambda: found.append("end"))
        assert not found
    assert found.pop() == "end"
    for one, there in zip(values, found, strict=True):
        assert there.dtype == one.numpy().dtype and np.array_equal(there, one.numpy()) and there.flags.writeable


def refuse(_: NDArray[Any]) -> None:
    raise NotFinite("the layer is not finite", "check it")


def fail_after(use: Callable[[NDArray[Any]], None]) -> None:
    """Take a check, and then fail."""
    with Later() as later:
        later.take(torch.tensor(0), use)
        raise SegmenterError("an image of nothing")


def test_an_earlier_problem_is_told_instead_of_the_one_that_followed_from_it() -> None:
    with pytest.raises(NotFinite):
        fail_after(refuse)
    with pytest.raises(SegmenterError):
        fail_after(lambda _: None)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_rows_that_are_not_finite_are_found(bad: float) -> None:
    values = torch.randn(4, 3, 2, 2)
    values[2, 1, 0, 1] = bad
    assert finite_rows(values).tolist() == [True, True, False, True]
    with pytest.raises(NotFinite, match="for sample 12"):
        check_finite("a", values, 10)


def test_labels_out_of_range_end_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("planted", "planted")
    work = ablations.make_ablations(source, KEY, [(0,)])
    segment = type(source.models().segmenter).__call__
    work(Shard(0, 0, 2))
    for wrong in (-1, 1000):
        monkeypatch.setattr(
            type(source.models().segmenter),
            "__call__",
            lambda own, images, wrong=wrong: segment(own, images) * 0 + wrong,
        )
        with pytest.raises(SegmenterError, match=f"returned label {wrong}; its vocabulary has 0 to"):
            work(Shard(0, 0, 2))


def test_images_that_are_not_finite_are_told_before_what_their_segmenter_makes_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = EditedModel(Models(Source("planted", "planted")), KEY)
    images = torch.full((2, 3, *model.networks.generator.image_size), torch.nan)
    monkeypatch.setattr(type(model.networks.segmenter), "__call__", lambda own, images: None)
    with pytest.raises(NotFinite, match="an edit of layer 'features' makes an image that is not finite"):
        model.pixels(images)
