"""What insertion gains in each context, by loops, and whether contexts differ, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dissectreport.analysis.interventions.insertion_gains import context_p, insertion_gains, largest_difference
from dissectreport.run.budgets import FEWEST_INSERTIONS
from dissectreport.run.plan import InterventionKey
from dissectreport.stats.insertions import Insertions
from dissectreport.vocabulary import NOTHING, Concept, Vocabulary

VOCABULARY = Vocabulary((NOTHING, *(Concept(name, "object") for name in ("sky", "tree", "door", "sun"))))
KEY = InterventionKey("g", "s", "layer", (2, 3), (1, 2, 4), 1, "float32")


def some_insertions(seed: int, apart: float = 0.0, contexts: tuple[int, ...] = (1, 2, 4)) -> Insertions:
    """32 insertions in each context, in images that differ; the first context gains more by `apart` deviations."""
    random = np.random.default_rng(seed)
    spots = sorted((int(n), c) for c in contexts for n in random.permutation(80)[:32])
    samples, context = np.array(spots).T
    gains = np.zeros((len(spots), 4, 2), np.int64)
    by_image = 40 * random.standard_normal(80)[samples]
    gains[:, 0, 0] = 100 + by_image + 60 * random.standard_normal(len(spots)) + 72 * apart * (context == contexts[0])
    gains[:, 1, 1] = 100
    gains[:, 2:] = random.integers(-5, 6, (len(spots), 2, 2))
    of = np.stack([np.arange(len(spots)) // 8 % 2, np.arange(len(spots)) // 8 % 2], 1)
    of[:, 1] = 1 - of[:, 1]
    return Insertions(samples, np.arange(len(spots)), context, of, gains)


def test_where_contexts_do_not_matter_they_rarely_differ_significantly() -> None:
    p = np.array([context_p(some_insertions(seed), 0) for seed in range(60)])
    assert (p < 0.05).mean() <= 0.1
    assert stats.kstest(p, "uniform").pvalue > 0.001 or p.mean() > 0.5, "no p-value is too small"


def test_a_context_that_matters_is_found() -> None:
    assert np.mean([context_p(some_insertions(seed, apart=1.2), 0) < 0.05 for seed in range(15)]) > 0.9


def test_without_variation_or_with_one_context_nothing_is_tested() -> None:
    assert context_p(some_insertions(0), 1) == 1
    assert np.isnan(context_p(some_insertions(0, contexts=(4,)), 0))
    assert np.isnan(context_p(Insertions.none(2), 0))


def test_the_largest_difference_is_that_of_the_two_groups_that_differ_most() -> None:
    random = np.random.default_rng(1)
    values, groups = random.standard_normal(60), np.arange(60) % 3
    parts = [values[groups == number] for number in range(3)]
    slow = [stats.ttest_ind(a, b, equal_var=False).statistic for a in parts for b in parts if a is not b]
    assert largest_difference(values, groups) == pytest.approx(np.max(np.abs(slow)))


def test_gains_and_those_of_random_sets_are_means_over_the_insertions_in_each_context() -> None:
    made = some_insertions(3)
    table = insertion_gains(KEY, made, VOCABULARY).set_index(["concept", "context_concept"])
    assert len(table) == 6 and (table["insertions"] == 32).all()
    for k, concept in enumerate(("tree", "door")):
        for number, context in ((1, "sky"), (2, "tree"), (4, "sun")):
            row = table.loc[(concept, context)]
            there = made.contexts == number
            assert row["gain"] == made.gains[there, k, k].mean()
            random = [
                made.gains[i, 2 + r, k] for i in np.flatnonzero(there) for r in range(2) if made.random[i, r] == k
            ]
            assert row["random_insertions"] == len(random) and row["random_gain"] == np.mean(random)
            assert row["gain_low"] <= row["gain"] <= row["gain_high"]


def test_a_context_in_too_few_images_is_left_out() -> None:
    made = some_insertions(3)
    few = made.contexts != 4
    few[np.flatnonzero(made.contexts == 4)[: FEWEST_INSERTIONS - 1]] = True
    cut = Insertions(**{name: values[few] for name, values in vars(made).items()})
    assert set(insertion_gains(KEY, cut, VOCABULARY)["context_concept"]) == {"sky", "tree"}
