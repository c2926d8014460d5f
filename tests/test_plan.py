"""The plan of a run: shards, groups, seeds and grids, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissectreport.errors import BadOption, UnknownName
from dissectreport.run.budgets import INTERVENTION_BUDGETS, budget_named
from dissectreport.run.patches import patch_box, patch_grid
from dissectreport.run.plan import SEEDS, ArtifactKey, InterventionKey, Plan, Reading
from dissectreport.run.rules import RULES, rule_named
from dissectreport.run.shards import MOST_GROUPS, even_groups, shards

PLAN = Plan("generator", "segmenter")


@given(samples=st.integers(1, 5000), size=st.integers(1, 99))
def test_shards_contain_every_sample_once_in_order_and_only_the_last_may_be_short(samples: int, size: int) -> None:
    parts = shards(samples, size)
    assert [number for shard in parts for number in range(shard.first, shard.first + shard.count)] == [*range(samples)]
    assert all(shard.count == size for shard in parts[:-1]) and 1 <= parts[-1].count <= size
    assert [shard.number for shard in parts] == [*range(len(parts))]


@given(count=st.integers(1, 700))
def test_halves_are_divided_into_groups_of_shards_whose_numbers_differ_by_one_at_most(count: int) -> None:
    groups = even_groups(count)
    assert all(group % 2 == number % 2 for number, group in enumerate(groups))
    for half in (0, 1):
        sizes = [groups.count(group) for group in {*groups} if group % 2 == half]
        assert len(sizes) <= MOST_GROUPS
        assert not sizes or max(sizes) - min(sizes) <= 1
    assert count > 2 * MOST_GROUPS or len({*groups}) == count, "each shard is a group where there are few"


@given(more=st.integers(1, 500))
def test_more_samples_leave_full_shards_as_they_are(more: int) -> None:
    few = [shard for shard in shards(500) if shard.count == 48]
    assert list(shards(500 + more)[: len(few)]) == few


def test_a_run_of_no_samples_is_refused() -> None:
    with pytest.raises(BadOption, match="--samples must be at least 1, not 0"):
        shards(0)


@pytest.mark.parametrize("named", [rule_named, budget_named])
def test_names_lead_to_their_values_and_others_are_refused_with_the_nearest(named) -> None:  # type: ignore[no-untyped-def]
    for name, value in (RULES if named is rule_named else INTERVENTION_BUDGETS).items():
        assert named(name) is value and value.name == name
    with pytest.raises(UnknownName, match="corrected" if named is rule_named else "default"):
        named("correctd" if named is rule_named else "defalt")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grid": 0}, "--grid must be at least 1, not 0"),
        ({"shard": 40}, "a shard of 40 samples is no multiple of the batch of 16"),
        ({"seed": -1}, "--seed must be between 0 and"),
        ({"seed": 2**32 - SEEDS + 1}, "--seed must be between 0 and"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(changes: dict[str, int], words: str) -> None:
    with pytest.raises(BadOption, match=words):
        replace(PLAN, **changes)  # type: ignore[arg-type]


def test_the_extremes_of_what_a_plan_takes() -> None:
    assert replace(PLAN, grid=1, seed=2**32 - SEEDS).pilot_seed < 2**32
    assert replace(PLAN, seed=0).pilot_seed == 1
    assert replace(PLAN, rule="pnas2020").pilot_seed == PLAN.seed


def test_chance_is_counted_on_no_finer_grid_than_64_but_by_a_published_rule_on_its_own() -> None:
    assert [replace(PLAN, grid=grid).chance_grid for grid in (32, 64, 256)] == [32, 64, 64]
    assert replace(PLAN, grid=128, rule="iclr2019").chance_grid == 128


def test_a_published_rule_has_a_grid_of_its_own_and_ours_that_of_the_plan() -> None:
    assert rule_named("iclr2019").grid(256) == 128 and rule_named("pnas2020").grid(256) == 64
    assert rule_named("pnas2020").grid(2) == 1
    assert rule_named("corrected").grid(256) == PLAN.grid and not rule_named("corrected").is_published


def test_every_field_of_a_plan_is_among_the_facts_that_name_its_counts() -> None:
    facts = PLAN.facts()
    assert facts["format"] > 0 and set(facts) == {"format", *vars(PLAN)}
    assert replace(PLAN, torch="2.9").facts() != facts


def test_readings_are_named_by_what_is_read() -> None:
    keys = [
        Reading("layer4").key,
        Reading("layer4", 2017).key,
        Reading("layer4", shift=1).key,
        Reading("l", 0, shift=1).key,
    ]
    assert keys == ["layer4", "layer4 random_directions 2017", "layer4 shifted", "l random_directions 0 shifted"]


def test_random_directions_are_counted_at_a_ninth_of_the_pixels_of_a_large_grid() -> None:
    lattices = {grid: list(replace(PLAN, grid=grid).lattice) for grid in (8, 32, 64, 256)}
    assert lattices[8] == list(range(8)) and lattices[32] == list(range(32))
    assert lattices[64] == lattices[256] == list(range(1, 64, 3))
    assert abs(sum(lattices[64]) / 21 - 31.5) <= 0.5, "they lie in the middle of the grid"
    assert [PLAN.side(Reading("l")), PLAN.side(Reading("l", 1))] == [64, 21]


@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_patches_tile_the_image_row_by_row(height: int, width: int) -> None:
    rows, columns = patch_grid(height, width)
    assert (rows, columns) == (min(8, height), min(8, width))
    corners = [patch_box(patch, height, width) for patch in range(rows * columns)]
    assert all((tall, wide) == (1 / rows, 1 / columns) for _, _, tall, wide in corners)
    assert [(top, left) for top, left, _, _ in corners] == [
        (r / rows, c / columns) for r in range(rows) for c in range(columns)
    ]


INTERVENTION = InterventionKey("generator", "segmenter", "layer4", (3, 1), (5,), 7, "float32")
ARTIFACT = ArtifactKey("generator", "features", "reference", "layer4", 7, "float32")


def test_no_two_uses_of_a_run_share_a_seed() -> None:
    plan = replace(PLAN, seed=7)
    seeds = [
        *(plan.seed, plan.pilot_seed, INTERVENTION.selection_seed, INTERVENTION.held_out_seed),
        *(ARTIFACT.generated_seed, ARTIFACT.selection_seed, ARTIFACT.testing_seed, ARTIFACT.scoring_seed),
    ]
    assert seeds == [*range(7, 7 + SEEDS)]


@pytest.mark.parametrize("key", [INTERVENTION, ARTIFACT], ids=lambda key: type(key).__name__)
def test_keys_come_back_from_json_and_their_facts_hold_every_field(key: InterventionKey | ArtifactKey) -> None:
    assert type(key).from_json(json.loads(json.dumps(key.to_json()))) == key
    assert set(key.facts()) == {"format", *vars(key)} and json.dumps(key.facts())
    assert replace(key, layer="layer5").facts() != key.facts()
    with pytest.raises(TypeError):
        type(key).from_json(key.to_json() | {"unknown": 1})


def test_budgets_come_back_from_json() -> None:
    for budget in INTERVENTION_BUDGETS.values():
        assert type(budget).from_json(json.loads(json.dumps(budget.to_json()))) == budget
