"""Comparisons: intervals of differences, what is shared, what is said, and the pages that say it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from dissectreport.analysis.comparison.differences import (
    Chosen,
    Scale,
    apart_from_zero,
    changes,
    comparable,
    difference,
    distinct,
    kept,
    only,
    outwards,
    shared_concepts,
    total,
    trend,
)
from dissectreport.analysis.comparison.profiles import Estimate, Profile, Quality, profile_of
from dissectreport.analysis.dissection.corrected_rule import UnitLabels
from dissectreport.analysis.dissection.units import Words, counts_of, tally
from dissectreport.analysis.results.dissection import Dissection
from dissectreport.cli.app import app
from dissectreport.errors import BadOption, OutputError, UnknownName
from dissectreport.report.common.site_options import DETAILS, Drawing, lessened
from dissectreport.report.compare.data import CALL, read_sited
from dissectreport.report.compare.sentences import (
    effect_changes,
    intervals,
    labels,
    more,
    summary,
    tenths,
    warnings,
    whole,
)
from dissectreport.report.site.build import read_summaries, write_comparison, write_site
from tests.support.dissections import example_dissection, with_interventions
from tests.support.sites import Page, broken_links, contents, ious_without_context
from tests.support.variants import (
    HOSTILE,
    of_training,
    under_rule,
    with_concept_renamed,
    with_hostile_names,
    with_quality,
)

ONE, TWO = "one", "two"


@pytest.fixture(scope="module")
def one() -> Dissection:
    return with_interventions(of_training(example_dissection(units=12, name=ONE), "drawn", 20_000))


@pytest.fixture(scope="module")
def two() -> Dissection:
    return with_interventions(of_training(example_dissection(units=12, name=TWO, seed=1), "drawn", 60_000), seed=7)


@pytest.fixture(scope="module")
def site(one: Dissection, two: Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models")
    for made in (one, two):
        write_site(made, out)
    return out


def chosen(*made: Dissection, layer: int = 0) -> list[Chosen]:
    profiles = [profile_of(each) for each in made]
    return [Chosen(each, each.layers[layer]) for each in profiles]


def test_an_interval_of_a_difference_holds_the_truth_as_often_as_it_says() -> None:
    random, n = np.random.default_rng(0), 40
    for p, q in ((0.1, 0.3), (0.5, 0.5), (0.05, 0.9)):
        held = []
        for a, b in zip(random.binomial(n, p, 1500), random.binomial(n, q, 1500), strict=True):
            found = difference(wilson(a, n), wilson(b, n))
            held.append(found.low <= q - p <= found.high)
        assert 0.93 < np.mean(held) < 0.99


def wilson(k: int, n: int) -> Estimate:
    """The share k / n with Wilson's interval."""
    z, share = 1.96, k / n
    middle = (share + z * z / 2 / n) / (1 + z * z / n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / 4 / n / n) / (1 + z * z / n)
    return Estimate(share, min(middle - reach, share), max(middle + reach, share))


def test_a_difference_keeps_the_skew_of_the_intervals_and_turns_with_its_sign() -> None:
    a, b = Estimate(10, 7, 10), Estimate(4, 2, 5)
    found = difference(b, a)
    assert (found.value, found.low, found.high) == (6, 6 - math.sqrt(10), 6 + 2)
    back = difference(a, b)
    assert (back.value, back.low, back.high) == (-found.value, -found.high, -found.low)


def test_a_difference_with_nothing_known_is_not_called_none() -> None:
    unknown = Estimate(3, math.nan, math.nan)
    assert not difference(unknown, Estimate(1, 0, 2)).known
    assert not apart_from_zero(difference(Estimate(1, 1, 1), unknown))


@given(st.floats(-50, 50), st.floats(0, 9), st.floats(0, 9), st.sampled_from([1.0, 0.1]))
def test_rounding_never_makes_an_interval_narrower(value: float, down: float, up: float, step: float) -> None:
    found = outwards(Estimate(value, value - down, value + up), step)
    assert found.low <= value - down and found.high >= value + up
    assert found.low > value - down - step - 1e-9 and found.high < value + up + step + 1e-9


def judged(column: list[int], passed: list[list[int]], labels: list[list[int]]) -> UnitLabels:
    """A verdict on some units with two replicates or more."""
    sure = np.array([c >= 0 for c in column])
    blank = np.zeros(len(column))
    return UnitLabels(
        np.array(column), np.array(column), blank, blank, sure, sure, blank, np.array(labels), np.array(passed, bool)
    )


def test_units_are_counted_by_concept_in_the_measurement_and_in_every_replicate() -> None:
    vocabulary = pd.DataFrame({"concept": ["-", "sky", "tree"], "category": ["-", "object", "object"]})
    words = Words(vocabulary, np.array([1, 2]))
    verdict = judged([0, 0, 1, -1], [[1, 1, 1, 0], [1, 0, 1, 1]], [[0, 0, 1, 0], [0, 0, 0, 1]])
    _, _, table = counts_of(tally("measured", lambda among: verdict, words))
    assert table.to_dict("records") == [
        {"control": "measured", "category": "object", "concept": "sky", "units": 2, "units_low": 2, "units_high": 2},
        {"control": "measured", "category": "object", "concept": "tree", "units": 1, "units_low": 1, "units_high": 1},
    ]
    rows = tally("measured", lambda among: verdict, words)
    assert rows[1]["units"] == table["units"].sum()


def test_a_change_is_that_of_the_tables(one: Dissection, two: Dissection) -> None:
    pair = chosen(one, two)
    shared = shared_concepts([each.profile for each in pair])
    tables = [each.layers[0].by_concept for each in (one, two)]
    for change in changes(*pair, shared, Scale(False)):
        rows = [t[(t["control"] == "measured") & (t["concept"] == change.concept[0])] for t in tables]
        (a, a_low, a_high), (b, b_low, b_high) = (
            (0, 0, 0) if row.empty else row.iloc[0][["units", "units_low", "units_high"]] for row in rows
        )
        assert change.difference.value == b - a
        assert change.difference.low == math.floor(b - a - math.sqrt((b - b_low) ** 2 + (a_high - a) ** 2))
        assert change.difference.high == math.ceil(b - a + math.sqrt((b_high - b) ** 2 + (a - a_low) ** 2))


def test_what_only_one_has_is_in_no_other(one: Dissection, two: Dissection) -> None:
    pair = chosen(one, two)
    for at, other in ((0, 1), (1, 0)):
        counts = [
            {r.concept: r.units for r in each.layers[0].by_concept.itertuples() if r.control == "measured"}
            for each in (one, two)
        ]
        wanted = {c for c, n in counts[at].items() if n and not counts[other].get(c)}
        assert {found.concept[0] for found in only(pair, at)} == wanted


def test_without_a_common_vocabulary_only_shared_concepts_count(one: Dissection, two: Dissection) -> None:
    pair = chosen(one, with_concept_renamed(two, "tree", "fir"))
    shared = shared_concepts([each.profile for each in pair])
    assert ("tree", "object") not in shared and ("fir", "object") not in shared
    told = warnings(pair, (ONE, TWO))
    assert told[:-1] == (
        (
            "The vocabularies differ; compared on the 14 concepts that all share."
            " Not in all: tree (one). Not in all: fir (two)."
        ),
    )
    rows = one.layers[0].by_concept
    rows = rows[(rows["control"] == "measured") & (rows["concept"] != "tree")]
    assert total(pair[0].layer, shared).value == rows["units"].sum()
    assert distinct(pair[0].layer, shared).value == (rows["units"] > 0).sum()
    assert not any("tree" in s.words or "fir" in s.words for s in summary(pair, (ONE, TWO)))
    assert any("labels of units for shared concepts" in s.words for s in summary(pair, (ONE, TWO)))
    assert not any("interpretable units for shared" in s.words for s in summary(pair, (ONE, TWO)))


def test_what_is_not_alike_is_told(one: Dissection, two: Dissection) -> None:
    facts = replace(two.provenance, scoring=900, grid=32, segmenter={"name": "other", "identity": "other-1"})
    far = under_rule(replace(two, provenance=facts), "pnas2020")
    told = " ".join(warnings(chosen(one, far), (ONE, TWO)))
    for words in (
        "different rules: corrected for one and pnas2020 for two",
        "5\u202f000 images for one and 900 images for two",
        "segmenters: exact for one and other for two",
        "grids of different sides: 64 for one and 32 for two",
    ):
        assert words in told
    assert warnings(chosen(one, two), (ONE, TWO)) == (f"All: {one.notes[0]}",)


def test_quality_of_other_features_and_units_of_other_layers_are_told(one: Dissection, two: Dissection) -> None:
    first, other = chosen(one, two)
    assert first.profile.causes is not None and other.profile.causes is not None
    seen = replace(first, profile=replace(first.profile, quality=Quality("eyes, 1,000 images", ())))
    causes = replace(other.profile.causes, layer="layer9")
    apart = replace(other, profile=replace(other.profile, causes=causes, quality=Quality("ears, 1,000 images", ())))
    told = " ".join(warnings([seen, apart], (ONE, TWO)))
    assert "Quality told by different features or images: eyes, 1,000 images for one and ears, 1,000 images" in told
    assert f"Units turned off in different layers: {first.profile.causes.layer} for one and layer9 for two" in told
    alike = " ".join(warnings([seen, other], (ONE, TWO)))
    assert "features" not in alike and "turned off" not in alike, "what only one has cannot be mistaken"


def test_on_a_site_without_pages_of_units_comparisons_lead_to_their_cards(
    one: Dissection, two: Dissection, tmp_path: Path
) -> None:
    for made in (one, two):
        write_site(lessened(made, DETAILS[-1]), tmp_path, drawing=Drawing(DETAILS[-1]))
    page = write_comparison(tmp_path, [ONE, TWO]).index.read_text("utf-8")
    assert "index.html#u=" in page and "/unit-" not in page
    assert not broken_links(tmp_path)


def test_variants_that_differ_in_more_than_one_thing_are_called_confounded(one: Dissection, two: Dissection) -> None:
    base, one_more, both_more = (
        of_training(two, "drawn", 60_000, variant) for variant in ("", "pixel norm", "batch norm, pixel norm")
    )
    told = warnings(chosen(base, one_more), (ONE, TWO))[0]
    assert told == (
        "Variants of one training: two was trained with pixel norm, unlike one."
        " Each was trained once, so that chance in training is part of every difference."
    )
    told = warnings(chosen(both_more, base), (ONE, TWO))[0]
    assert "two was trained without batch norm and pixel norm, unlike one. These are confounded" in told
    assert kept(*chosen(one, of_training(two, "drawn", 60_000, "pixel norm"))) is None, "their units do not correspond"


def test_a_concept_that_is_too_rare_for_one_is_not_compared(one: Dissection, two: Dissection) -> None:
    rare = replace(two, concepts=two.concepts.assign(tested=two.concepts["concept"] != "sky"))
    pair = chosen(one, rare)
    assert warnings(pair, (ONE, TWO))[0] == "Not compared, because too rare in the images of some: sky."
    assert not any("sky" in s.words for s in summary(pair, (ONE, TWO)) if "urning off" not in s.words)


def test_a_difference_whose_interval_includes_0_is_said_to_be_none(one: Dissection, two: Dissection) -> None:
    found = summary(chosen(one, two, layer=1), (ONE, TWO))
    ends = re.compile(r"([+−]?[\d.]+) \[([+−]?[\d.]+), ([+−]?[\d.]+)\]")
    number = lambda words: float(words.replace("−", "-"))  # noqa: E731
    checked = 0
    for sentence in found:
        if sentence.kind == "told" or "Only" in sentence.words:
            continue
        for _, low, high in ends.findall(sentence.words):
            assert (number(low) > 0 or number(high) < 0) == (sentence.kind == "differs"), sentence.words
            checked += 1
        assert ("not told apart" in sentence.words or "includes 0" in sentence.words) == (sentence.kind == "same")
    assert checked >= 2


def test_the_same_model_against_itself_differs_in_nothing(one: Dissection) -> None:
    found = summary(chosen(one, one), ("one", "one (2)"))
    assert not [s for s in found if s.kind == "differs"]
    assert any("no concept surely gains or loses units: for all 15" in s.words for s in found)


def test_gained_and_lost_units_are_named_with_their_intervals(one: Dissection) -> None:
    def with_units(**units: tuple[int, int, int]) -> Dissection:
        rows = [("measured", "object", c, *figures) for c, figures in units.items()]
        table = pd.DataFrame(rows, columns=one.layers[0].by_concept.columns)
        return replace(one, layers=(replace(one.layers[0], by_concept=table),))

    before, after = (
        with_units(tree=(2, 1, 3), sky=(9, 8, 10), hill=(1, 0, 2)),
        with_units(tree=(7, 6, 8), sky=(4, 3, 5)),
    )
    words = [s.words for s in summary(chosen(before, after), ("early", "late"))]
    assert "From early to late, one concept gains units: tree +5 [+3, +7]." in words
    assert "From early to late, one concept loses units: sky −5 [−7, −3]." in words
    assert "For the other 13 of 15 concepts, the interval of the difference includes 0." in words
    assert "Only early has units for hill 1 [0, 2], but so few that their intervals include 0." in words


def test_checkpoints_are_put_in_the_order_of_their_training(one: Dissection) -> None:
    made = [of_training(one, "run", images) for images in (90_000, 1_000, 40_000)]
    found = trend(chosen(*made, of_training(one, "another", 5)))
    assert found is not None
    assert (found.told, found.at, found.far) == ("images", (1, 2, 0), (1_000, 40_000, 90_000))
    by_two_layers = [*chosen(*made), *chosen(*made[:2], layer=1)]
    again = trend(by_two_layers)
    assert again is not None and again.at == (1, 2, 0), "a line over training stays in one layer"
    assert trend(chosen(made[0], of_training(one, "run", 1_000, "without noise"))) is None
    assert trend(chosen(example_dissection(units=6, layers=1), example_dissection(units=6, layers=1))) is None
    told = [s.words for s in summary(chosen(*made), ("a", "b", "c"))]
    assert any(w.startswith("Over 3 checkpoints of one training, from 1\u202f000 to 90\u202f000 images") for w in told)


def test_a_line_over_training_keeps_to_one_rule_one_segmenter_and_a_point_a_checkpoint(one: Dissection) -> None:
    early, late = (of_training(one, "run", images) for images in (1_000, 90_000))
    assert trend(chosen(early, under_rule(early, "pnas2020"))) is None, "one checkpoint under two rules"
    found = trend(chosen(early, under_rule(late, "pnas2020"), early, late))
    assert found is not None and (found.at, found.far) == ((0, 3), (1_000, 90_000))
    seen = replace(late, provenance=replace(late.provenance, segmenter={"name": "other", "identity": "other-1"}))
    assert trend(chosen(early, seen)) is None
    assert kept(*chosen(early, seen)) is None and kept(*chosen(early, under_rule(late, "pnas2020"))) is None
    assert kept(*chosen(early, late)) is not None


def test_whose_images_have_to_do_with_each_other_is_told(one: Dissection, two: Dissection) -> None:
    early, late = (of_training(made, "run", 9) for made in (one, two))
    other = of_training(two, "another", 9)
    moved = replace(other, provenance=replace(other.provenance, seed=5))
    assert "same latents of one training. What an odd" in intervals(chosen(early, late))
    seen = replace(late, provenance=replace(late.provenance, segmenter={"name": "other", "identity": "other-1"}))
    assert "same latents of one training. What an odd" in intervals(chosen(early, seen)), "the images are the same ones"
    assert "unrelated images in other trainings" in intervals(chosen(early, other))
    assert "They used different latents" in intervals(chosen(early, moved))
    assert "Others are independent" in intervals(chosen(early, late, other))
    plain = example_dissection(units=6, layers=1, name="own")
    assert "same latents of one training" in intervals(chosen(plain, under_rule(plain, "pnas2020"))), "one model"


def test_without_any_shared_concept_nothing_is_said_to_be_alike(
    one: Dissection, two: Dissection, tmp_path: Path
) -> None:
    other = two
    for concept in two.vocabulary["concept"]:
        other = other if concept == "-" else with_concept_renamed(other, concept, f"a {concept}")
    pair = chosen(one, other)
    assert not total(pair[0].layer, ()).known and not distinct(pair[0].layer, ()).known
    words = [s.words for s in summary(pair, (ONE, TWO))]
    assert "The units of one and two do not compare: no concept can be a label in all models." in words
    assert not any("not told apart" in each or "differences with" in each for each in words)
    for made in (one, other):
        write_site(made, tmp_path)
    text = write_comparison(tmp_path, [ONE, TWO]).index.read_text("utf-8")
    assert "No concept can be a label in all models." in text
    assert not re.search(r"\bnan\b", re.sub(r'"data:[^"]*"', "", text), re.IGNORECASE)


def test_what_is_not_told_apart_has_its_interval_and_all_differences_are_counted(
    one: Dissection, two: Dissection
) -> None:
    pair = chosen(with_quality(one, 0.2), with_quality(two, 0.195))
    words = [s.words for s in summary(pair, (ONE, TWO))]
    assert "one and two are not told apart by kernel distance: −0.005 [−0.019, +0.009]." in words
    causes = [each for each in words if "urning off a concept's leading" in each]
    assert causes and all("of layer2, each model's by its best order" in each for each in causes)
    effects = effect_changes(*pair)
    assert sum(each.count("points") for each in causes) == len(effects)
    differences = len(comparable(pair)) + 2 + 1 + len(effects) + 1
    assert any(each.startswith(f"Of {differences} differences with 95 % intervals, about 1 would") for each in words)


def test_how_well_units_agree_is_compared_by_a_mean_with_its_interval(one: Dissection, two: Dissection) -> None:
    def with_mean(made: Dissection, mean: float) -> Dissection:
        ends = {"mean_iou": mean, "mean_iou_low": mean - 0.03, "mean_iou_high": mean + 0.04}
        return replace(made, layers=(replace(made.layers[0], controls=made.layers[0].controls.assign(**ends)),))

    words = [s.words for s in summary(chosen(with_mean(one, 0.2), with_mean(two, 0.3)), (ONE, TWO))]
    assert (
        "Interpretable units of two agree better with their labels than those of one, by mean IoU:"
        " +0.100 [+0.050, +0.150]." in words
    )
    words = [s.words for s in summary(chosen(with_mean(one, 0.2), with_mean(two, 0.22)), (ONE, TWO))]
    assert any(w.startswith("one and two are not told apart by the mean IoU") for w in words)
    other = with_concept_renamed(with_mean(two, 0.3), "tree", "fir")
    assert not any("mean IoU" in s.words for s in summary(chosen(with_mean(one, 0.2), other), (ONE, TWO)))


def test_units_that_keep_their_concept_are_counted_against_labels_dealt_out_at_random(one: Dissection) -> None:
    def with_labels(names: list[str]) -> Dissection:
        table = one.layers[0].table.assign(
            concept=names, category="object", interpretable=[name != "" for name in names]
        )
        return replace(one, layers=(replace(one.layers[0], table=table),))

    ours = ["sky"] * 5 + ["tree"] * 3 + ["house", "house", "", "sky"]
    theirs = ["sky"] * 4 + ["tree"] * 5 + ["", "sky", "house"]
    first, second = with_labels(ours), of_training(with_labels(theirs), "drawn", 60_000)
    found = kept(*chosen(first, second))
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a and b]
    random = np.random.default_rng(0)
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    dealt = np.array([(a == random.permutation(b)).sum() for _ in range(20_000)])
    assert found is not None and (found.both, found.same) == (len(pairs), sum(x == y for x, y in pairs))
    assert found.low == max(math.floor(dealt.mean() - 2 * dealt.std()), 0)
    assert found.high == min(math.ceil(dealt.mean() + 2 * dealt.std()), len(pairs))
    assert kept(*chosen(first, example_dissection(units=12, name=TWO))) is None, (
        "units of another training do not correspond"
    )
    assert kept(*chosen(first, first)) is None


def test_models_of_one_name_are_told_apart(one: Dissection, two: Dissection) -> None:
    twin = replace(two, provenance=replace(two.provenance, generator=one.provenance.generator))
    assert labels(chosen(one, twin), ("one", "two")) == ("one (one)", "one (two)")
    assert labels(chosen(one, under_rule(one, "pnas2020")), ("one", "one-2")) == ("one (corrected)", "one (pnas2020)")
    (first,), (second,) = chosen(one), chosen(one, layer=1)
    assert labels([first, second], ("one", "one")) == ("one layer1", "one layer2")
    assert labels([first, first], ("one", "one")) == ("one", "one (2)")


def test_numbers_have_their_sign_and_halves_go_up() -> None:
    assert [more(whole, v) for v in (3, -3, 0, math.nan)] == ["+3", "−3", "0", "–"]
    assert [tenths(v) for v in (6.25, 6.24, -0.05, math.nan)] == ["6.3", "6.2", "0.0", "–"]


def close(a: Any, b: Any) -> bool:
    """Whether two values are alike but for the digits that are kept."""
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or abs(a - b) < 6e-4
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(close, a, b))
    fields = getattr(a, "__dataclass_fields__", None)
    return bool(a == b) if fields is None else all(close(getattr(a, f), getattr(b, f)) for f in fields)


def test_what_is_kept_beside_a_model_is_what_was_found(one: Dissection, site: Path) -> None:
    kept: Profile = read_sited(site, ONE).profile
    assert close(profile_of(one), kept)
    assert (site / ONE / "data" / "compare.js").stat().st_size < 30_000


def test_quality_is_compared_where_it_was_measured_and_left_out_where_not(
    one: Dissection, two: Dissection, tmp_path: Path
) -> None:
    pair = chosen(with_quality(one, 0.2), with_quality(two, 0.1))
    words = [s.words for s in summary(pair, (ONE, TWO))]
    assert "The images of two are better than those of one by kernel distance: −0.100 [−0.114, −0.086]." in words
    assert not any("kernel" in s.words for s in summary(chosen(one, with_quality(two, 0.1)), (ONE, TWO)))
    for made in (with_quality(one, 0.2), with_quality(two, 0.1)):
        write_site(made, tmp_path)
    text = write_comparison(tmp_path, [ONE, TWO]).index.read_text("utf-8")
    assert "0.200 [0.190, 0.210]" in text and "−0.100 [−0.114, −0.086]" in text


def test_another_model_changes_its_own_files_and_two_more(one: Dissection, two: Dissection, tmp_path: Path) -> None:
    write_site(one, tmp_path)
    write_site(two, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    third = example_dissection(units=6, layers=1, name="three", seed=2)
    written = write_site(third, tmp_path)
    after = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    changed = {str(p.relative_to(tmp_path)) for p in after if before.get(p) != after[p]}
    own = {name for name in changed if name.startswith("three/")}
    assert changed - own == {"index.html", "compare.html"}
    assert written.changed == len(own) - 1 + 2, "the ledger of its folder is not counted"


def test_a_model_under_another_rule_stands_beside_itself(tmp_path: Path) -> None:
    one = example_dissection(units=6, layers=1, name=ONE)
    write_site(one, tmp_path)
    write_site(under_rule(one, "pnas2020"), tmp_path)
    write_site(one, tmp_path)
    write_site(under_rule(one, "pnas2020"), tmp_path)
    assert [(s.home, s.model, s.rule) for s in read_summaries(tmp_path)] == [
        ("one", "one", "corrected"),
        ("one-pnas2020", "one", "pnas2020"),
    ]
    named = {**one.provenance.generator, "name": "a b"}
    for rule in ("corrected", "pnas2020"):
        write_site(under_rule(replace(one, provenance=replace(one.provenance, generator=named)), rule), tmp_path)
    with pytest.raises(UnknownName, match=r"2 models in .* are called 'a b'; name one by its folder"):
        write_comparison(tmp_path, ["a b", "one"])


def test_the_fixed_page_is_one_file_that_says_what_was_computed(one: Dissection, two: Dissection, site: Path) -> None:
    written = write_comparison(site, [ONE, TWO], ["layer2"])
    assert written.index == site / "compare" / "one-vs-two-layer2.html"
    text = written.index.read_text("utf-8")
    page = Page(text)
    items = [page.text(i).strip() for i, e in enumerate(page.elements) if e[0] == "li" and e[2] and "differs" in text]
    for sentence in summary(chosen(one, two, layer=1), (ONE, TWO)):
        assert sentence.words in items
    sources = [e[1][a] for e in page.elements for a in ("src",) if a in e[1]]
    sources += [e[1]["href"] for e in page.elements if e[0] == "link"]
    assert sources and all(source.startswith("data:") for source in sources)
    assert not re.search(r"url\((?!data:)", text)
    assert ious_without_context(page) == []
    assert broken_links(site.resolve()) == []
    again = write_comparison(site, [ONE, TWO], ["layer2"])
    assert again.changed == 0


def test_a_page_outside_the_site_has_no_link_that_breaks(site: Path, tmp_path: Path) -> None:
    written = write_comparison(site, [TWO, ONE], file=tmp_path / "supplement.html")
    assert [p.name for p in tmp_path.iterdir()] == ["supplement.html"]
    assert broken_links(tmp_path.resolve()) == []
    hrefs = [e[1]["href"] for e in Page(written.index.read_text("utf-8")).elements if e[0] == "a"]
    assert hrefs and all(href.startswith("#") for href in hrefs)


def test_rendering_a_model_again_keeps_fixed_pages(one: Dissection, two: Dissection, tmp_path: Path) -> None:
    for made in (one, two):
        write_site(made, tmp_path)
    page = write_comparison(tmp_path, [ONE, TWO]).index
    held = page.read_bytes()
    write_site(example_dissection(units=6, layers=1, name=ONE), tmp_path)
    assert page.read_bytes() == held


def test_hostile_names_are_compared_and_escaped(one: Dissection, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(one, out)
    write_site(with_hostile_names(replace(one, interventions=None)), out)
    strange = next(s.home for s in read_summaries(out) if s.home != ONE)
    written = write_comparison(out, [f"../{HOSTILE}", ONE])
    for path in (written.index, out / "compare.html", out / "index.html"):
        text = path.read_text("utf-8")
        assert "<b>x</b>" not in text and "&lt;b&gt;x&lt;/b&gt;" in text, path
    assert [p.name for p in tmp_path.iterdir()] == ["site"]
    assert re.fullmatch(r"[\w.-]+", written.index.name)
    assert broken_links(out.resolve()) == []
    held = (out / strange / "data" / "compare.js").read_text("utf-8")
    assert "\u2028" not in held and json.loads(held.removeprefix(CALL).removesuffix(");\n"))["home"] == strange


def test_a_model_called_like_the_page_that_compares_does_not_take_its_place(tmp_path: Path) -> None:
    for name in ("compare", "compare.html"):
        write_site(example_dissection(units=6, layers=1, name=name), tmp_path)
    assert (tmp_path / "compare.html").is_file()
    assert not (tmp_path / "compare" / "index.html").exists()
    assert write_comparison(tmp_path, ["compare", "compare.html"]).files == 1


@pytest.mark.parametrize(
    ("models", "layers", "error", "words"),
    [
        ([ONE], [], BadOption, "two to 6 models can be compared at a time, not 1"),
        ([ONE] * 7, [], BadOption, "not 7"),
        ([ONE, "tow"], [], UnknownName, "did you mean two"),
        ([ONE, TWO], ["layer9"], UnknownName, "layer on the pages of one: 'layer9'; did you mean layer"),
        ([ONE, TWO], ["layer1"] * 3, BadOption, "one layer for all models, or 2 of them, not 3"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    models: list[str], layers: list[str], error: type[Exception], words: str, site: Path
) -> None:
    with pytest.raises(error, match=re.escape(words)) as raised:
        write_comparison(site, models, layers)
    assert "\n" not in str(raised.value)


def test_the_command_writes_a_page_and_says_where(site: Path, tmp_path: Path) -> None:
    def run(*words: object) -> Result:
        return CliRunner().invoke(app, ["compare", *map(str, words), "--out", str(site)])

    told = run(ONE, TWO, "--layers", "layer1,layer2", "--to", tmp_path / "a.html")
    assert told.exit_code == 0 and str(tmp_path / "a.html") in told.stdout
    assert "one layer1 against two layer2" in (tmp_path / "a.html").read_text("utf-8")
    wrong = run(ONE, "tow")
    assert wrong.exit_code == 1 and wrong.stderr.count("\n") == 1 and "did you mean two" in wrong.stderr


def test_a_model_of_an_earlier_version_is_listed_but_cannot_be_chosen(one: Dissection, tmp_path: Path) -> None:
    write_site(one, tmp_path)
    path = tmp_path / ONE / "summary.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text("utf-8")).items() if k != "compare"}))
    write_site(example_dissection(units=6, layers=1, name="three"), tmp_path)
    text = (tmp_path / "index.html").read_text("utf-8")
    assert "one/index.html" in text
    assert 'aria-label="Compare one' not in text and 'aria-label="Compare three' in text
    data = re.findall(r'id="compare-data">(.*?)</script>', (tmp_path / "compare.html").read_text("utf-8"), re.DOTALL)
    assert [model["home"] for model in json.loads(data[0])["models"]] == ["three"]


def test_a_site_that_is_empty_or_of_another_version_is_told(one: Dissection, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no model in"):
        write_comparison(tmp_path, [ONE, TWO])
    write_site(one, tmp_path)
    file = tmp_path / ONE / "data" / "compare.js"
    file.write_text(file.read_text("utf-8").replace('"version":1', '"version":0'), "utf-8")
    with pytest.raises(OutputError, match=r"cannot be read \(version 0\); draw one again"):
        write_comparison(tmp_path, [ONE, ONE])


def test_an_index_of_many_models_is_a_table_and_of_one_a_page(one: Dissection, site: Path, tmp_path: Path) -> None:
    many = Page((site / "index.html").read_text("utf-8"))
    rows = [i for i, e in enumerate(many.elements) if e[0] == "th" and e[1].get("scope") == "row"]
    assert [many.text(i).strip()[:3] for i in rows] == [ONE, TWO]
    write_site(one, tmp_path)
    assert '<article class="model">' in (tmp_path / "index.html").read_text("utf-8")
    assert "There is one model on this site." in (tmp_path / "compare.html").read_text("utf-8")


def test_comparing_twice_gives_the_same_bytes(one: Dissection, two: Dissection, site: Path, tmp_path: Path) -> None:
    for made in (two, one):
        write_site(made, tmp_path)
    write_comparison(tmp_path, [ONE, TWO], ["layer2"])
    write_comparison(site, [ONE, TWO], ["layer2"])
    mine, theirs = contents(tmp_path), contents(site)
    assert all(theirs[name] == content for name, content in mine.items())
