"""What passes record comes back as it was, from arrays in a store and from JSON; an older format is refused."""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dissectreport.analysis.artifacts.quality import Reference
from dissectreport.analysis.artifacts.repair_quality import Qualities, SizeChanges
from dissectreport.cache.reader import FIELDS, NAMES, CacheReader, save
from dissectreport.cache.records import every
from dissectreport.cache.store import Store
from dissectreport.errors import CacheError
from dissectreport.records.artifacts import (
    ArtifactPlan,
    ArtifactRecord,
    RandomSets,
    RepairPictures,
    ShownUnits,
)
from dissectreport.records.dissection import SegmentedImages, ShownMaps, ShownPictures, StoredThresholds
from dissectreport.records.interventions import (
    AblationPlan,
    CausalVariants,
    EditedPictures,
    InterventionRecord,
    LearnedMask,
    LearnedRanking,
    RandomAblation,
    RemainingArea,
    UnitStrips,
)
from dissectreport.records.reader import Stored
from dissectreport.run.addresses import source_of
from dissectreport.run.rankings import Ranking
from dissectreport.stats.thresholds import ExactThresholds, Thresholds
from tests.support.records import ARTIFACTS, INTERVENTIONS, RECORD

RANDOM = np.random.default_rng(0)
PLAN = AblationPlan(
    rankings={
        Ranking.GRADIENT: np.array([[2, 0, 1, 3], [3, 1, 0, 2]]),
        Ranking.IOU: np.array([[1, 0, 2, 3], [0, 1, 2, 3]]),
    },
    sizes={Ranking.GRADIENT: (1, 2), Ranking.IOU: (2,)},
    best_sizes=(3,),
    best=(Ranking.IOU, Ranking.GRADIENT),
    causal_size=2,
    singles=(0, 3),
    sampled=(1, 2),
    random={2: (((0, 1), (1, 2)), ((2, 3), (0, 2))), 1: (((3,),), ((0,),))},
    masks=(LearnedMask(RANDOM.random(4), 0.5, 0.8, 0.3), LearnedMask(RANDOM.random(4), np.nan, np.nan, np.nan)),
    mean_activation=RANDOM.random(4),
    level=RANDOM.random(4),
    concept_means=RANDOM.random((2, 4)),
    upper=RANDOM.random(4),
    corrected_iou=RANDOM.random((2, 4)),
)


def images(count: int) -> Any:
    return RANDOM.integers(0, 256, (count, 4, 4, 3), np.uint8)


def qualities() -> Qualities:
    real, variants = RANDOM.standard_normal((220, 3)), RANDOM.standard_normal((110, 3, 3))
    return Qualities.of(Reference.of(real), variants, [2, 5])


def size_changes() -> SizeChanges:
    real, variants = RANDOM.standard_normal((110, 3)), RANDOM.standard_normal((100, 3, 3))
    return SizeChanges.of(Reference.of(real), variants, [5, 2])


labels = RANDOM.integers(0, 9, (2, 1, 4, 4), np.int16)

VALUES = [
    PLAN,
    replace(PLAN, random={}, masks=()),
    LearnedRanking(LearnedMask(RANDOM.random(4), float("nan"), 0.5, 0.4), np.array([3, 1, 0, 2])),
    RandomAblation(np.array([3, 70_000]), np.array([[0, 7], [9, 1]])),
    CausalVariants(np.array([0, 70_000]), np.array([[0, 7, 9]] * 2), np.array([70_000]), 16, np.array([[1, 2, 3, 4]])),
    RemainingArea(np.array([300, 0, 70_000])),
    EditedPictures(
        (1, 300), np.array([4, 70_000]), images(2), images(2), labels, labels,
        RANDOM.random((2, 4, 4)).astype(np.float16),
        RANDOM.random((2, 4, 4), np.float32), np.array([[70_000, 63]]), images(1), images(1),
        (2, 5), images(2), 300, RANDOM.random((2, 4, 4), np.float32)),
    UnitStrips(
        70_000, (1, 300), np.array([4, 70_000]), np.array([70_000, 1]), np.array([[0, 70_000]] * 2),
        images(2), images(4).reshape(2, 2, *images(1).shape[1:])),
    ArtifactPlan(RANDOM.random(6), RANDOM.random(6), (5, 1), (0,), (), (2,)),
    RandomSets(np.array([2, 2, 5]), np.array([False, True, False]), np.array([1.0, 0.9, np.nan])),
    ShownUnits((5, 1), ()),
    RepairPictures(
        np.array([300]), images(1), images(1), RANDOM.random((1, 2, 3), np.float32),
        RANDOM.random((1, 4, 4), np.float32), RANDOM.random((1, 2), np.float32)),
    qualities(),
    size_changes(),
    StoredThresholds(
        Thresholds(RANDOM.random(2), RANDOM.random(2), np.array([[1, 5], [2, 900]]), np.array([1])), (2, 4, 6)),
    StoredThresholds(
        ExactThresholds(RANDOM.random(2), RANDOM.random(2), RANDOM.random((2, 3), np.float32), np.array([0, 2])),
        (2, 4, 6), RANDOM.random((2, 9))),
    SegmentedImages.none(),
    ShownPictures(
        np.array([3, 8]), images(2), np.array([8]), {"a|b": ShownMaps(
            np.array([[0, 1]]), RANDOM.random((1, 4, 4), np.float32), RANDOM.random((1, 2, 2, 2), np.float32))},
        SegmentedImages(images(1), np.zeros((1, 2, 4, 4), np.int16), np.ones((1, 4, 4), np.float16))),
]  # fmt: skip


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, arrays in their bits and kinds."""
    if isinstance(one, np.ndarray):
        return (
            one.dtype == other.dtype
            and one.shape == other.shape
            and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        )
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return bool(one == other) or (one != one and other != other)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_from_its_store_as_it_was(value: Stored, tmp_path: Path) -> None:
    store = Store.open(tmp_path, {"kind": "test"})
    save(store, value)
    assert same(CacheReader(tmp_path).read(store.folder.name, type(value)), value)


def test_a_value_of_another_version_is_refused_with_its_file_and_what_would_do(tmp_path: Path) -> None:
    store = Store.open(tmp_path, {"kind": "test"})
    arrays = PLAN.arrays()
    del arrays["upper"]
    store.save(PLAN.FILE, arrays)
    with pytest.raises(CacheError, match=r"plan\.npz was written by another version.*lacks 'upper'; .*measure"):
        CacheReader(tmp_path).read(store.folder.name, AblationPlan)


def test_a_plan_ablates_every_set_once_and_the_causal_sets_among_them() -> None:
    sets = PLAN.sets()
    assert len(set(sets)) == len(sets)
    assert PLAN.causal_set(0) == (0, 1) and PLAN.causal_set(1) == (1, 3)
    assert PLAN.tried_sizes(Ranking.IOU, 0) == [2, 3] and PLAN.tried_sizes(Ranking.IOU, 1) == [2]
    assert {(0,), (3,), (2,), (0, 2), (0, 1, 2), (0, 1)} <= set(sets)
    assert {PLAN.causal_set(0), PLAN.causal_set(1), PLAN.leading(Ranking.GRADIENT, 1, 3)} <= set(sets)


def test_a_learned_mask_that_its_own_loss_calls_worse_than_its_start_is_no_ranking_of_that_concept() -> None:
    orders = {**PLAN.rankings, Ranking.LEARNED_MASK: np.array([[1, 2, 3, 0], [1, 2, 3, 0]])}
    better, worse = LearnedMask(np.zeros(4), 0.1, 0.8, 0.3), LearnedMask(np.zeros(4), 0.1, 0.3, 0.31)
    plan = replace(PLAN, rankings=orders, sizes={**PLAN.sizes, Ranking.LEARNED_MASK: (2,)}, masks=(worse, better))
    assert plan.methods(0) == [Ranking.GRADIENT, Ranking.IOU]
    assert plan.methods(1) == [Ranking.GRADIENT, Ranking.IOU, Ranking.LEARNED_MASK]
    assert set(plan.sets()) - set(PLAN.sets()) == {(1, 2)}
    assert set(replace(plan, masks=(worse, worse)).sets()) == set(PLAN.sets())


@pytest.mark.parametrize("record", [INTERVENTIONS, ARTIFACTS, replace(ARTIFACTS, marked_scored=None, marked=())])
def test_a_record_comes_back_from_json_as_it_was(record: InterventionRecord | ArtifactRecord) -> None:
    assert type(record).from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("record", [INTERVENTIONS, ARTIFACTS])
@pytest.mark.parametrize("change", [{"key": None}, {"more": 1}])
def test_json_that_is_no_record_is_refused(
    record: InterventionRecord | ArtifactRecord, change: dict[str, object]
) -> None:
    with pytest.raises((KeyError, TypeError, AttributeError)):
        type(record).from_json({**record.to_json(), **change})


def test_every_kind_of_statistic_has_a_name_of_its_own_unless_it_reads_less_of_another() -> None:
    whole = {kind: name for kind, name in NAMES.items() if kind not in FIELDS}
    assert len(set(whole.values())) == len(whole)
    for kind, arrays in FIELDS.items():
        (other,) = (one for one, name in whole.items() if name == NAMES[kind])
        assert set(arrays) < {field.name for field in fields(other)}


def test_pictures_of_several_shards_are_joined_in_order_whether_or_not_they_are_segmented() -> None:
    empty, shown = SegmentedImages.none(), next(value for value in VALUES if isinstance(value, ShownPictures))
    plain = replace(shown, numbers=np.array([1, 2]), lookup=np.zeros(0, np.int64), segmented=empty)
    joined = ShownPictures.joined([plain, shown])
    assert joined.numbers.tolist() == [1, 2, 3, 8] and joined.lookup.tolist() == [8]
    assert len(joined.maps["a|b"].maps) == 2 and same(joined.segmented, shown.segmented)
    assert same(SegmentedImages.joined([empty, empty]), empty)


def test_a_model_in_a_folder_whose_name_is_no_utf8_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"n\xe9w") / "mine.toml"
    record = replace(RECORD, source=source_of(str(file)))
    record.save(tmp_path)
    assert [one.source for one in every(tmp_path)] == [record.source]
    assert record.source.endswith(r"n\xe9w/mine.toml")
