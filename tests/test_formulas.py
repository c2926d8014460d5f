"""Formulas of concepts: the search against every formula laid over masks, and planted units against their truth."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.analysis.dissection.corrected_rule import Groups, judge, score
from dissectreport.analysis.dissection.counted import ConceptNames, no_shards
from dissectreport.analysis.dissection.formula_table import atoms_of, formula_table
from dissectreport.analysis.dissection.formulas import PENALTY, Formula, Join, LabelSetTable, search
from dissectreport.analysis.results.formulas import COLUMNS
from dissectreport.run.shards import Shard
from dissectreport.stats.base import merge_all
from dissectreport.stats.chance import Chance
from dissectreport.stats.iou import chance_corrected_iou, intersection_over_union
from dissectreport.stats.label_sets import ON_FRACTIONS, SIDE, LabelSets, different
from dissectreport.stats.thresholds import CHANCE_ON_FRACTIONS, Thresholds, nearest
from dissectreport.vocabulary import Concept, Vocabulary

NAMES = ("-", "sky", "tree", "roof", "red", "window")
VOCABULARY = Vocabulary(tuple(Concept(name, "object") for name in NAMES))
GRID, IMAGES, SHARDS = 16, 12, 20
STEPS = len(ON_FRACTIONS)


def scenes(random, images):
    """(n, concepts, g, g) masks: sky, tree and roof exclude each other, red and windows lie anywhere."""
    masks = np.zeros((images, len(NAMES), GRID, GRID), bool)
    base = np.zeros((images, GRID, GRID), int)
    base[:, : GRID // 2] = 1
    for image in range(images):
        for concept in (2, 3):
            row, column = random.integers(0, GRID - 5, 2)
            base[image, row : row + 6, column : column + 6] = concept
    for concept in (1, 2, 3):
        masks[:, concept] = base == concept
    for concept in (4, 5):
        for image in range(images):
            row, column = random.integers(0, GRID - 4, 2)
            masks[image, concept, row : row + 5, column : column + 5] = True
    return masks


def activations(masks, random):
    """(n, units, g, g) of planted units: roof OR tree, tree AND NOT red, tree, noise."""
    planted = [masks[:, 3] | masks[:, 2], masks[:, 2] & ~masks[:, 4], masks[:, 2]]
    noise = random.random((len(masks), GRID, GRID)) < 0.1
    flip = random.random((len(masks), len(planted), GRID, GRID)) < 0.02
    return np.concatenate([np.stack(planted, 1) ^ flip, noise[:, None]], 1)


def counts(on, masks):
    """The two statistics of a shard of units (n, units, g, g) that are on or off, the same at every threshold."""
    n, units = on.shape[:2]
    rows = np.where(masks, np.arange(len(NAMES))[:, None, None], 0).transpose(0, 2, 3, 1).reshape(-1, len(NAMES))
    sets, at = different(-np.sort(-rows, axis=1))
    wide = (at[:, None] == np.arange(len(sets))).astype(int).reshape(n, GRID * GRID, -1)
    flat, shown = on.reshape(n, units, -1).astype(int), masks[:, 1:].reshape(n, len(NAMES) - 1, -1).astype(int)
    everywhere = np.repeat

    def over(values, axis=-1):
        return everywhere(np.expand_dims(values, axis), STEPS if axis == -1 else 1, axis)

    label_sets = LabelSets(
        sets=sets,
        cells=wide.sum(0).T,
        on=over(np.einsum("nup,nps->us", flat, wide)),
        shifted=over(np.einsum("nup,nps->us", flat, np.roll(wide, -1, 0))),
        layout=over(flat.sum(0)),
        samples=n,
    )
    many = len(CHANCE_ON_FRACTIONS)

    def repeated(values):
        return np.repeat(values[..., None], many, -1)

    chance = Chance(
        concepts=np.arange(1, len(NAMES)),
        sizes=np.array([n]),
        observed=repeated(np.einsum("nup,ncp->uc", flat, shown))[None],
        shifted=repeated(np.einsum("nup,ncp->uc", flat, np.roll(shown, -1, 0)))[None],
        crossed=repeated(np.einsum("up,cp->uc", flat.sum(0), shown.sum(0)))[None],
        on=repeated(flat.sum((0, 2))),
        present=shown.sum((0, 2)),
        images=shown.any(2).sum(0),
        where=shown.sum(0),
        samples=n,
    )
    return label_sets, chance


@pytest.fixture(scope="module")
def run():
    """Shards (group, counts by label set), (group, counts of chance), and the masks and units of all images."""
    random = np.random.default_rng(3)
    masks = [scenes(random, IMAGES) for _ in range(SHARDS)]
    units = [activations(part, random) for part in masks]
    both = [counts(on, part) for on, part in zip(units, masks, strict=True)]
    return [(i, one[0]) for i, one in enumerate(both)], [(i, one[1]) for i, one in enumerate(both)], masks, units


@pytest.fixture(scope="module")
def table(run):
    shards, chances = run[:2]
    scores = score(Groups.of(chances), GRID * GRID)
    verdict = judge(scores)
    words = ConceptNames(VOCABULARY, scores.concepts)
    return formula_table(portions_of(shards), scores, verdict, words, thresholds()), scores, verdict


def portions_of(shards):
    """Gives portions of shards, as the analysis reads them."""

    def read(portion):
        units = portion.units
        for number, (group, one) in enumerate(shards):
            if portion.has(Shard(number, 0, one.samples)):
                yield group, replace(one, on=one.on[units], shifted=one.shifted[units], layout=one.layout[units])

    return read


def thresholds():
    many = 127
    chance = np.arange(len(CHANCE_ON_FRACTIONS))
    return Thresholds(np.zeros(4), np.ones(4), np.tile(np.arange(many), (4, 1)), chance)


def half_table(stat):
    holds = (stat.sets[None] == np.arange(1, len(NAMES))[:, None, None]).any(2)
    return LabelSetTable(holds, stat.cells, stat.samples)


def every_formula():
    """All formulas of one to three of the five concepts, equal ones too."""
    concepts = range(len(NAMES) - 1)
    for first in concepts:
        yield Formula(first)
        for one in product(Join, concepts):
            yield Formula(first, (one,))
            for other in product(Join, concepts):
                yield Formula(first, (one, other))


def laid_over(formula, on, masks):
    """Chance-corrected IoU of one unit and a formula, from masks of every image."""
    value = formula.of(masks[:, 1:].transpose(1, 0, 2, 3).reshape(len(NAMES) - 1, -1)).reshape(len(on), -1)
    flat = on.reshape(len(on), -1)
    pairs = flat.astype(int) @ value.T.astype(int)
    expected = (pairs.sum() - np.trace(pairs)) / (len(on) - 1)
    areas = flat.sum(), value.sum()
    iou, chance = (intersection_over_union(both, *areas) for both in (np.trace(pairs), expected))
    return float(chance_corrected_iou(iou, chance))


def test_the_search_finds_the_best_of_all_formulas_laid_over_masks(run):
    shards, _, masks, units = run
    merged = merge_all(stat for _, stat in shards[:3])
    shown, on = np.concatenate(masks[:3]), np.concatenate(units[:3])
    for unit in range(on.shape[1]):
        wanted = max(laid_over(f, on[:, unit], shown) - PENALTY * (len(f) - 1) for f in every_formula())
        choice = search(half_table(merged), merged.on[unit], merged.layout[unit])
        found = laid_over(choice.formula, on[:, unit], shown) - PENALTY * (len(choice.formula) - 1)
        assert found == pytest.approx(wanted, abs=1e-12)
        best = max(laid_over(Formula(c), on[:, unit], shown) for c in range(len(NAMES) - 1))
        assert laid_over(choice.single, on[:, unit], shown) == pytest.approx(best, abs=1e-12)


def test_formulas_that_hold_for_the_same_label_sets_are_one_and_exclusive_concepts_are_not_joined_by_and(run):
    table = half_table(merge_all(stat for _, stat in run[0]))
    masks = {formula.of(table.holds).tobytes() for formula in table.short}
    assert len(masks) == len(table.short)
    sky, tree, red = 0, 1, 3
    assert Formula(sky, ((Join.AND, tree),)) not in table.short
    assert Formula(sky, ((Join.NOT, tree),)) not in table.short
    assert {Formula(sky, ((Join.OR, tree),)), Formula(tree, ((Join.AND, red),))} <= set(table.short)


def test_planted_combinations_come_back_and_a_unit_of_one_concept_gains_no_length(table):
    columns, counts = table[0].columns, table[0].counts
    assert list(columns) == list(COLUMNS)
    assert columns["formula"].tolist()[:2] == ["tree OR roof", "tree AND NOT red"]
    assert columns["formula_better"].tolist() == [True, True, False, False]
    assert columns["formula"][2] == ""
    assert np.isnan(columns["formula_gain"][2])
    assert (counts.better, counts.better_by_chance) == (2, 0)
    assert counts.interpretable == 3
    assert counts.interpretable_by_chance == 0
    assert (columns["formula_gain_low"][:2] > 0.04).all()


def test_figures_of_a_formula_are_those_of_the_held_out_masks(run, table):
    _, _, masks, units = run
    columns, (_, scores, verdict) = table[0].columns, table
    on, shown = np.concatenate(units[1::2])[:, 0], np.concatenate(masks[1::2])
    either = shown[:, 2] | shown[:, 3]
    assert columns["formula_iou"][0] == pytest.approx(
        intersection_over_union((on & either).sum(), on.sum(), either.sum())
    )
    roof_or_tree = laid_over(Formula(2, ((Join.OR, 1),)), on, shown)
    assert columns["formula_corrected_iou"][0] == pytest.approx(roof_or_tree, abs=1e-12)
    label = scores.corrected_iou.value[0, verdict.column[0]]
    assert columns["formula_gain"][0] == pytest.approx(roof_or_tree - label, abs=1e-12)
    without = [
        laid_over(
            Formula(2, ((Join.OR, 1),)),
            *(np.concatenate([p for i, p in enumerate(x[1::2]) if i != g]) for x in ([u[:, 0] for u in units], masks)),
        )
        for g in range(10)
    ]
    gains = Jackknife(
        np.float64(roof_or_tree - label),
        np.array(without) - scores.corrected_iou.without[:, 0, verdict.column[0]],
        np.full(10, IMAGES),
    )
    assert columns["formula_gain_low"][0] == pytest.approx(float(gains.interval()[0]))


def test_of_many_concepts_formulas_are_made_of_those_that_match_some_unit_best(run, table, monkeypatch):
    _, scores, verdict = table
    assert atoms_of(scores).tolist() == [0, 1, 2, 3, 4]
    monkeypatch.setattr("dissectreport.analysis.dissection.formula_table.MOST_CONCEPTS", 2)
    assert atoms_of(scores).tolist() == [1, 2]
    made = formula_table(portions_of(run[0]), scores, verdict, ConceptNames(VOCABULARY, scores.concepts), thresholds())
    assert made is not None
    assert made.columns["formula"].tolist()[:2] == ["tree OR roof", ""]


def test_nothing_is_claimed_of_fewer_than_five_held_out_groups(run):
    shards, chances = run[0][:8], run[1][:8]
    scores = score(Groups.of(chances), GRID * GRID)
    made = formula_table(
        portions_of(shards), scores, judge(scores), ConceptNames(VOCABULARY, scores.concepts), thresholds()
    )
    assert made is not None
    assert not made.columns["formula_better"].any()
    assert made.counts.interpretable == 0


def test_without_counts_by_label_set_there_are_no_formulas(table):
    _, scores, verdict = table
    assert formula_table(no_shards, scores, verdict, ConceptNames(VOCABULARY, scores.concepts), thresholds()) is None


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        (Formula(0), "sky"),
        (Formula(0, ((Join.NOT, 1), (Join.NOT, 2))), "sky AND NOT tree AND NOT roof"),
        (Formula(0, ((Join.AND, 1), (Join.OR, 2))), "(sky AND tree) OR roof"),
        (Formula(1, ((Join.OR, 2), (Join.OR, 0))), "tree OR roof OR sky"),
    ],
)
def test_formulas_are_read_from_left_to_right(formula, words):
    assert formula.words(NAMES[1:]) == words


def test_label_sets_are_counted_at_thresholds_of_chance():
    assert np.allclose(CHANCE_ON_FRACTIONS[nearest(CHANCE_ON_FRACTIONS, np.array(ON_FRACTIONS))], ON_FRACTIONS)
    assert SIDE * SIDE == 256
