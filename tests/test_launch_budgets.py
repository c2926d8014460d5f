"""What an accelerator is asked to do by each pass, and how often the program waits for it.

A pass asks for about as much for few images as for many: it is counted with few, and the budgets are for as many as run
together on an accelerator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch

from dissectreport.networks.edits import Edit
from dissectreport.run.plan import ArtifactKey, InterventionKey
from dissectreport.run.shards import EDIT_BATCH, SHARD, Shard
from dissectreport.worker import ablations, artifacts, insertions, spikes
from dissectreport.worker.ablations import RandomTrial, VariantTrial
from dissectreport.worker.concept_masks import Masks
from dissectreport.worker.edited_model import TOGETHER, EditedModel
from dissectreport.worker.insertions import InsertedSet, InsertionPlan
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.segmenter_agreement import agreeing_pixels
from tests.support.launches import Operations, as_on_an_accelerator, operations

SOURCE = Source("scenes_pgan", "scenes")
KEY = InterventionKey("", "", "layer6", (1, 2), (1, 2), 1, "float32")
FEW, MORE = 2, 4
"""Sets of units, of which both are counted: what each further one takes is the difference."""
ONE = Shard(0, 0, 1)
SEVERAL = Shard(0, 0, 2 * EDIT_BATCH + 1)
"""A shard of three batches."""


@pytest.fixture(autouse=True)
def _together(monkeypatch: pytest.MonkeyPatch) -> None:
    """All edits of a batch run together, as on an accelerator."""

    def together(*words: object) -> EditedModel:
        return EditedModel(*words, together=TOGETHER)  # type: ignore[arg-type, misc]

    as_on_an_accelerator(monkeypatch)
    for module in (ablations, artifacts, insertions):
        monkeypatch.setattr(module, "EditedModel", together)


def sets(number: int) -> list[tuple[int, ...]]:
    """So many sets of two units."""
    return [(unit, unit + 1) for unit in range(number)]


def ablated(number: int) -> Callable[[], object]:
    """The areas of all concepts without each set of units."""
    work = ablations.make_ablations(SOURCE, KEY, sets(number))
    return lambda: work(ONE)


def inserted(number: int) -> Callable[[], object]:
    """The areas of the studied concepts with each set of units inserted."""
    chosen = tuple(InsertedSet(1, units, (1.0, 2.0)) for units in sets(number))
    plan = InsertionPlan(chosen, (), 0, ((0, 3, 1),), ((5, 5),))
    work = insertions.make_insertions(SOURCE, KEY, plan)
    return lambda: work(ONE)


def described(number: int) -> Callable[[], object]:
    """The features of images without each set of units."""
    key = ArtifactKey("", "", "", "layer6", 1, "float32")
    work = artifacts.make_ablated(SOURCE, key, sets(number), 1)
    return lambda: work(ONE)


def counted(pass_: Callable[[int], Callable[[], object]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Operations]:
    """The operations with few sets, and with more."""
    for number in (FEW, MORE):
        work = pass_(number)
        work()  # The first batch is remembered, and checked.
        with operations(monkeypatch) as found:
            work()
        yield found


def in_batches(name: str) -> Callable[[], object]:
    """The work of a pass on a shard of several batches."""
    source, few = SOURCE, sets(FEW)
    if name == "ablations":
        return partial(ablations.make_ablations(source, KEY, few), SEVERAL)
    if name == "contexts":
        return partial(insertions.make_contexts(source, KEY), SEVERAL)
    if name == "random sets":
        trial = RandomTrial("a", 1, tuple(few), tuple(range(SEVERAL.count)))
        return partial(ablations.make_random_ablations(source, KEY), trial)
    if name == "insertions":
        chosen = tuple(InsertedSet(1, units, (1.0, 2.0)) for units in few)
        plan = InsertionPlan(chosen, (), 0, ((0, 3, 1), (1, 4, 1)), ((5, 5), (5, 5)))
        return partial(insertions.make_insertions(source, KEY, plan), Shard(0, 0, 2))
    key = ArtifactKey("", "", "", "layer6", 1, "float32")
    return partial(artifacts.make_ablated(source, key, few, 1), SEVERAL)


@pytest.mark.parametrize("name", ["ablations", "contexts", "random sets", "insertions", "features"])
def test_a_shard_of_interventions_is_waited_for_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = in_batches(name)
    work()
    with operations(monkeypatch) as found:
        work()
    assert found.waits == 1


@pytest.mark.parametrize("pass_", [ablated, inserted, described])
def test_sets_of_units_take_few_launches_an_image(
    pass_: Callable[[int], Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    few, more = counted(pass_, monkeypatch)
    each = (more.launches - few.launches) / (MORE - FEW)
    launches = few.launches + each * (TOGETHER - FEW)
    assert launches / (TOGETHER * EDIT_BATCH) < 2, "launches for an image"
    assert more.waits == few.waits == 1, "a shard is waited for once"


def test_planted_units_and_segmenters_that_are_compared_take_two_waits_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.randint(0, 9, (4, 2, 16, 16), generator=torch.Generator().manual_seed(0))
    masks = Masks.of(labels, 9)
    on_device = torch.Tensor.cpu

    def leave(tensor: torch.Tensor) -> torch.Tensor:
        left.append(tensor)
        return on_device(tensor)

    left: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "cpu", leave)
    spikes.spikes(masks, 0)
    monkeypatch.undo()
    as_on_an_accelerator(monkeypatch)
    assert left[0] is masks.label_sets and left[1] is masks.holds, "all others follow on the processor"
    numbers = np.array([[1, 2], [3, 1], [7, 8]])
    with operations(monkeypatch) as found:
        agreeing_pixels(labels, labels.flip(0), numbers, 9)
    assert found.launches / SHARD < 2 and found.waits <= 3


def test_pixels_on_which_segmenters_agree_are_those_of_slow_and_obvious_code() -> None:
    random = torch.Generator().manual_seed(1)
    first, second = (torch.randint(0, end, (5, 3, 6, 6), generator=random) for end in (6, 9))
    numbers = np.array([[1, 2], [3, 1], [5, 8]])
    found = agreeing_pixels(first, second, numbers, 6)
    for column, (own, other) in enumerate(numbers.tolist()):
        one, two = ((labels == number).any(1).flatten(1) for labels, number in ((first, own), (second, other)))
        for values, expected in zip(found, (one, two, one & two), strict=True):
            assert np.array_equal(values[:, column], expected.sum(1).numpy())


def test_a_causal_set_is_changed_in_every_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = VariantTrial("a", 1, (3, 4), (0.1, 0.2), (1.0, 2.0), (0,), 1)
    work = ablations.make_variants(SOURCE, KEY)
    together = work(trial)
    model = EditedModel(SOURCE.models(), KEY)
    at, following = (model.open(KEY.held_out_seed, first, 1) for first in (0, 1))
    alone = [model.areas(at, edit(at.activations))[:, 1] for edit in ablations.variant_edits(trial, following)]
    assert isinstance(ablations.variant_edits(trial, following)[0], Edit)
    assert np.array_equal(together.pixels, np.stack(alone, 1))
