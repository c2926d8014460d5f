"""Comparisons: intervals of differences, what is shared, what is said, and the pages that say it."""

from __future__ import annotations

import json
import math
import re
import shutil
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
    difference,
    distinct,
    is_significant,
    rounded_outwards,
    total,
)
from dissectreport.analysis.comparison.pairs import (
    KeptLabels,
    LayerPair,
    ModelPair,
    checkpoint_series,
    training_progress,
)
from dissectreport.analysis.comparison.profiles import Estimate, Profile, Quality, Training, profile_of
from dissectreport.analysis.dissection.corrected_rule import UnitLabels
from dissectreport.analysis.dissection.counted import ConceptNames
from dissectreport.analysis.dissection.interpretable_counts import counts_of, tally
from dissectreport.analysis.results.dissection import Dissection
from dissectreport.cli.app import app
from dissectreport.errors import BadOption, OutputError, UnknownName
from dissectreport.report.common.ledger import read_ledger
from dissectreport.report.common.site_options import DETAILS, SiteSettings, with_detail
from dissectreport.report.compare.arrangement import ComparedModels
from dissectreport.report.compare.live_files import CALL, FOLDER
from dissectreport.report.compare.profile_files import Sited, read_sited
from dissectreport.report.compare.scales import round_up, scales_of
from dissectreport.report.compare.sentences import (
    Sentence,
    by_chance,
    layer_sentences,
    model_sentences,
    pairing,
    training_sentence,
)
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.compare.warnings import layer_warnings, model_warnings
from dissectreport.report.compare.wording import signed, tenths, thousandths
from dissectreport.report.html.numbers import count
from dissectreport.report.site.build import write_site
from dissectreport.report.site.fixed_comparison import write_comparison
from dissectreport.report.site.summaries import read_summaries
from dissectreport.vocabulary import Vocabulary
from tests.support.dissections import example_dissection, with_interventions
from tests.support.sites import PAPERS, Page, broken_links, contents, ious_without_context
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
def written(one: Dissection, two: Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of both models, which no test changes."""
    out = tmp_path_factory.mktemp("models")
    for made in (one, two):
        write_site(made, out)
    return out


@pytest.fixture(scope="module")
def site(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, to which tests add fixed pages."""
    return shutil.copytree(written, tmp_path_factory.mktemp("with pages") / "site")


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    """The same, which one test may change."""
    return shutil.copytree(written, tmp_path / "copied")


def layers_of(one: Dissection, other: Dissection, layer: int = 0) -> LayerPair:
    """Two dissections by one of their layers each."""
    profiles = profile_of(one), profile_of(other)
    return LayerPair(ModelPair(*profiles), *(profile.layers[layer] for profile in profiles))


def statements(pair: LayerPair) -> tuple[Sentence, ...]:
    """All that is said of a pair."""
    names = (ONE, TWO)
    return (*layer_sentences(pair, names), *model_sentences(pair.models, names), *by_chance(pair))


def words(pair: LayerPair) -> list[str]:
    return [sentence.words for sentence in statements(pair)]


def caveats(pair: LayerPair) -> tuple[str, ...]:
    return (*model_warnings(pair.models, (ONE, TWO)), *layer_warnings(pair, (ONE, TWO)))


def test_an_interval_of_a_difference_holds_the_truth_as_often_as_it_says() -> None:
    random, n = np.random.default_rng(0), 40
    for p, q in ((0.1, 0.3), (0.5, 0.5), (0.05, 0.9)):
        covered = []
        for a, b in zip(random.binomial(n, p, 1500), random.binomial(n, q, 1500), strict=True):
            estimate = difference(wilson(a, n), wilson(b, n))
            covered.append(estimate.low <= q - p <= estimate.high)
        assert 0.93 < np.mean(covered) < 0.99


def wilson(k: int, n: int) -> Estimate:
    """The share k / n with Wilson's interval."""
    z, share = 1.96, k / n
    middle = (share + z * z / 2 / n) / (1 + z * z / n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / 4 / n / n) / (1 + z * z / n)
    return Estimate(share, min(middle - reach, share), max(middle + reach, share))


def test_a_difference_keeps_the_skew_of_the_intervals_and_turns_with_its_sign() -> None:
    a, b = Estimate(10, 7, 10), Estimate(4, 2, 5)
    there = difference(b, a)
    assert (there.value, there.low, there.high) == (6, 6 - math.sqrt(10), 6 + 2)
    back = difference(a, b)
    assert (back.value, back.low, back.high) == (-there.value, -there.high, -there.low)


def test_a_difference_with_nothing_known_is_not_significant() -> None:
    unknown = Estimate(3, math.nan, math.nan)
    assert not difference(unknown, Estimate(1, 0, 2)).known
    assert not is_significant(difference(Estimate(1, 1, 1), unknown))


@given(st.floats(-50, 50), st.floats(0, 9), st.floats(0, 9), st.sampled_from([1.0, 0.1]))
def test_rounding_never_makes_an_interval_narrower(value: float, down: float, up: float, step: float) -> None:
    rounded = rounded_outwards(Estimate(value, value - down, value + up), step)
    assert rounded.low <= value - down and rounded.high >= value + up
    assert rounded.low > value - down - step - 1e-9 and rounded.high < value + up + step + 1e-9


def judged(column: list[int], passed: list[list[int]], labels: list[list[int]]) -> UnitLabels:
    """A verdict on some units with two replicates or more."""
    sure = np.array([c >= 0 for c in column])
    blank = np.zeros(len(column))
    return UnitLabels(
        column=np.array(column),
        runner_up=np.array(column),
        p=blank,
        q=blank,
        interpretable=sure,
        beats_chance=sure,
        stability=blank,
        labels=np.array(labels),
        passed=np.array(passed, bool),
        matched=np.zeros((len(labels), len(column))),
        corrected_iou=blank,
        groups=13,
    )


def test_units_are_counted_by_concept_in_the_measurement_and_in_every_replicate() -> None:
    labelled = ConceptNames(Vocabulary.of(object=("sky", "tree")), np.array([1, 2]))
    verdict = judged([0, 0, 1, -1], [[1, 1, 1, 0], [1, 0, 1, 1]], [[0, 0, 1, 0], [0, 0, 0, 1]])
    table = counts_of(tally("measured", lambda among: verdict, labelled)).by_concept
    assert table.to_dict("records") == [
        {"control": "measured", "category": "object", "concept": "sky", "units": 2, "units_low": 2, "units_high": 2},
        {"control": "measured", "category": "object", "concept": "tree", "units": 1, "units_low": 1, "units_high": 1},
    ]
    rows = tally("measured", lambda among: verdict, labelled)
    assert rows[1]["units"] == table["units"].sum()


def test_a_change_is_that_of_the_tables(one: Dissection, two: Dissection) -> None:
    tables = [each.layers[0].by_concept for each in (one, two)]
    changes = layers_of(one, two).changes
    assert len(changes) == 15
    for change in changes:
        rows = [t[(t["control"] == "measured") & (t["concept"] == change.concept[0])] for t in tables]
        (a, a_low, a_high), (b, b_low, b_high) = (
            (0, 0, 0) if row.empty else row.iloc[0][["units", "units_low", "units_high"]] for row in rows
        )
        assert change.difference.value == b - a
        assert change.difference.low == math.floor(b - a - math.sqrt((b - b_low) ** 2 + (a_high - a) ** 2))
        assert change.difference.high == math.ceil(b - a + math.sqrt((b_high - b) ** 2 + (a - a_low) ** 2))


def test_what_only_one_model_has_is_not_in_the_other(one: Dissection, two: Dissection) -> None:
    counts = [
        {r.concept: r.units for r in each.layers[0].by_concept.itertuples() if r.control == "measured"}
        for each in (one, two)
    ]
    for of_other in (False, True):
        mine, others = counts[of_other], counts[not of_other]
        expected = {c for c, n in mine.items() if n and not others.get(c)}
        assert {each.concept[0] for each in layers_of(one, two).exclusive(of_other)} == expected


def test_without_a_common_vocabulary_only_shared_concepts_count(one: Dissection, two: Dissection) -> None:
    pair = layers_of(one, with_concept_renamed(two, "tree", "fir"))
    shared = pair.models.shared
    assert ("tree", "object") not in shared and ("fir", "object") not in shared
    assert caveats(pair) == (
        "Different vocabularies; only the 14 shared concepts are compared. Only in one: tree. Only in two: fir.",
    )
    rows = one.layers[0].by_concept
    rows = rows[(rows["control"] == "measured") & (rows["concept"] != "tree")]
    assert total(pair.layer, shared).value == rows["units"].sum()
    assert distinct(pair.layer, shared).value == (rows["units"] > 0).sum()
    said = [each.words for each in layer_sentences(pair, (ONE, TWO))]
    assert not any("tree" in each or "fir" in each for each in said)
    assert any("labels of units among shared concepts" in each for each in said)
    assert not any("interpretable units among" in each or "mean chance-corrected IoU" in each for each in said)


def test_what_is_not_alike_is_warned_of(one: Dissection, two: Dissection) -> None:
    facts = replace(two.provenance, held_out=900, grid=32, segmenter={"name": "other", "identity": "other-1"})
    far = under_rule(replace(two, provenance=facts), "pnas2020")
    said = " ".join(caveats(layers_of(one, far)))
    for part in (
        "Different rules: corrected for one and pnas2020 for two",
        f"{count(5000)} images for one and 900 images for two",
        "Different segmenters: exact for one and other for two",
        "Grids of different size: 64 for one and 32 for two",
    ):
        assert part in said
    assert caveats(layers_of(one, two)) == ()


def test_layers_of_different_size_are_compared_per_100_units(one: Dissection) -> None:
    pair = layers_of(one, example_dissection(units=16, name=TWO, seed=2))
    assert caveats(pair)[-1] == (
        "Layers of different size: 12 units for one and 16 units for two."
        " Differences between these two are per 100 units."
    )
    units = [layer.counts["measured"].units for layer in (pair.layer, pair.other_layer)]
    assert pair.unit_change.value == pytest.approx(100 * (units[1].value / 16 - units[0].value / 12))
    assert any("interpretable units per 100 units" in each for each in words(pair))


def test_quality_of_other_features_and_units_of_other_layers_are_warned_of(one: Dissection, two: Dissection) -> None:
    first, other = profile_of(one), profile_of(two)
    assert first.causes is not None and other.causes is not None
    seen = replace(first, quality=Quality("eyes, 1,000 images", ()))
    apart = replace(other, causes=replace(other.causes, layer="layer9"), quality=Quality("ears, 1,000 images", ()))
    said = " ".join(model_warnings(ModelPair(seen, apart), (ONE, TWO)))
    assert "measured differently: eyes, 1,000 images for one and ears, 1,000 images for two" in said
    assert f"Units were ablated in different layers: {first.causes.layer} for one and layer9 for two" in said
    alike = model_warnings(ModelPair(seen, other), (ONE, TWO))
    assert alike == (), "what only one has cannot be mistaken"


@pytest.mark.extended
def test_on_a_site_without_pages_of_units_comparisons_lead_to_their_cards(
    one: Dissection, two: Dissection, tmp_path: Path
) -> None:
    for made in (one, two):
        write_site(with_detail(made, DETAILS[-1]), tmp_path, settings=SiteSettings(DETAILS[-1]))
    page = write_comparison(tmp_path, [ONE, TWO]).index.read_text("utf-8")
    assert "index.html#u=" in page and "/unit-" not in page
    assert not broken_links(tmp_path)


def test_variants_that_differ_in_more_than_one_thing_are_called_confounded(one: Dissection, two: Dissection) -> None:
    base, one_more, both_more = (
        of_training(two, "drawn", 60_000, variant) for variant in ("", "pixel norm", "batch norm, pixel norm")
    )
    assert caveats(layers_of(base, one_more))[0] == (
        "Variants of one training: two was trained with pixel norm, unlike one."
        " Each was trained once, so every difference includes chance in training."
    )
    said = caveats(layers_of(both_more, base))[0]
    assert "two was trained without batch norm and pixel norm, unlike one. These changes are confounded" in said
    variant = layers_of(one, of_training(two, "drawn", 60_000, "pixel norm"))
    assert variant.kept_labels() is None, "their units do not correspond"


def test_a_concept_that_is_too_rare_for_one_is_not_compared(one: Dissection, two: Dissection) -> None:
    rare = replace(two, concepts=two.concepts.assign(tested=two.concepts["concept"] != "sky"))
    pair = layers_of(one, rare)
    assert caveats(pair) == ("Not compared, because too rare in the images of one of the two: sky.",)
    assert not any("sky" in each.words for each in layer_sentences(pair, (ONE, TWO)))


def test_a_difference_is_called_significant_where_its_interval_excludes_0(one: Dissection, two: Dissection) -> None:
    ends = re.compile(r"([+−]?[\d.]+) \[([+−]?[\d.]+), ([+−]?[\d.]+)\]")
    number = lambda text: float(text.replace("−", "-"))  # noqa: E731
    checked = 0
    for sentence in statements(layers_of(one, two, layer=1)):
        if sentence.kind == "fact" or "has units for" in sentence.words:
            continue
        for _, low, high in ends.findall(sentence.words):
            assert (number(low) > 0 or number(high) < 0) == (sentence.kind == "differs"), sentence.words
            checked += 1
        none = re.search(r"[Nn]o significant difference|^None of", sentence.words) is not None
        assert none == (sentence.kind == "same")
    assert checked >= 2


def test_the_same_model_against_itself_differs_in_nothing(one: Dissection) -> None:
    said = statements(layers_of(one, one))
    assert not [each for each in said if each.kind == "differs"]
    assert any(each.words.startswith("None of 15 concepts has significantly more or fewer units") for each in said)


def test_concepts_with_more_and_fewer_units_are_named_with_their_intervals(one: Dissection) -> None:
    def with_units(**units: tuple[int, int, int]) -> Dissection:
        rows = [("measured", "object", c, *figures) for c, figures in units.items()]
        table = pd.DataFrame(rows, columns=one.layers[0].by_concept.columns)
        return replace(one, layers=(replace(one.layers[0], by_concept=table),))

    before, after = (
        with_units(tree=(2, 1, 3), sky=(9, 8, 10), hill=(1, 0, 2)),
        with_units(tree=(7, 6, 8), sky=(4, 3, 5)),
    )
    said = words(layers_of(before, after))
    assert "two has significantly more units than one for one concept: tree +5 [+3, +7]." in said
    assert "two has significantly fewer units than one for one concept: sky −5 [−7, −3]." in said
    assert "For the other 13 of 15 concepts, there is no significant difference." in said
    assert (
        "one has units for hill 1 [0, 2], where two has none, but so few that the difference is not significant."
    ) in said


def sited(*made: Dissection) -> SiteModels:
    """Some dissections as the models of a site that was never written."""
    profiles = [profile_of(each) for each in made]
    folders = [{layer.name: layer.name for layer in profile.layers} for profile in profiles]
    ends = ("unit-", ".html")
    return SiteModels(
        {f"m{i}": Sited(f"m{i}", 128, p, f, ends, "") for i, (p, f) in enumerate(zip(profiles, folders, strict=True))}
    )


def subject(*made: Dissection, layers: tuple[str, ...] = ()) -> ComparedModels:
    site = sited(*made)
    return ComparedModels.of(site, list(site.sited), layers or ("layer1",) * len(made))


def test_checkpoints_are_sorted_by_training_progress(one: Dissection) -> None:
    made = [of_training(one, "run", images) for images in (90_000, 1_000, 40_000)]
    chosen = subject(*made, of_training(one, "another", 5))
    assert [member.place for member, _ in chosen.checkpoints] == [1, 2, 0]
    assert [trend.progress for _, trend in chosen.checkpoints] == [1_000, 40_000, 90_000]
    assert chosen.training is not None
    assert chosen.training.words.startswith(f"From {count(1000)} to {count(90000)} training images, the number of")
    two_layers = subject(*made, *made[:2], layers=("layer1",) * 3 + ("layer2",) * 2)
    assert [m.place for m, _ in two_layers.checkpoints] == [1, 2, 0], "a line over training stays in one layer"
    assert not subject(made[0], of_training(one, "run", 1_000, "without noise")).checkpoints
    plain = example_dissection(units=6, layers=1)
    assert not subject(plain, plain).checkpoints


def test_a_line_over_training_keeps_to_one_rule_one_segmenter_and_a_point_a_checkpoint(one: Dissection) -> None:
    early, late = (of_training(one, "run", images) for images in (1_000, 90_000))
    assert not subject(early, under_rule(early, "pnas2020")).checkpoints, "one checkpoint under two rules"
    chosen = subject(early, under_rule(late, "pnas2020"), early, late)
    assert [member.place for member, _ in chosen.checkpoints] == [0, 3]
    seen = replace(late, provenance=replace(late.provenance, segmenter={"name": "other", "identity": "other-1"}))
    assert not subject(early, seen).checkpoints
    assert layers_of(early, seen).kept_labels() is None
    assert layers_of(early, under_rule(late, "pnas2020")).kept_labels() is None
    assert layers_of(early, late).kept_labels() is not None
    assert training_sentence(layers_of(late, early)) is None, "a training does not run backwards"
    plain = profile_of(example_dissection(units=6, layers=1))
    assert checkpoint_series(plain, plain.layers[0]) == (), "of no training that is named"
    unknown = replace(plain, training=Training("run", "", math.nan, math.nan))
    assert checkpoint_series(unknown, unknown.layers[0]) == () and training_progress(unknown) is None
    assert training_progress(replace(plain, training=Training("run", "", math.nan, 7.0))) == (7.0, "steps")


def test_whose_images_correspond_is_said(one: Dissection, two: Dissection) -> None:
    def said(a: Dissection, b: Dissection) -> str:
        return pairing(ModelPair(profile_of(a), profile_of(b)))

    early, late = (of_training(made, "run", 9) for made in (one, two))
    other = of_training(two, "another", 9)
    moved = replace(other, provenance=replace(other.provenance, seed=5))
    assert "same latents of one training. A paired" in said(early, late)
    seen = replace(late, provenance=replace(late.provenance, segmenter={"name": "other", "identity": "other-1"}))
    assert "same latents of one training. A paired" in said(early, seen), "the images are the same ones"
    assert "unrelated images in different trainings" in said(early, other)
    assert "different latents" in said(early, moved)
    plain = example_dissection(units=6, layers=1, name="own")
    assert "same latents of one training" in said(plain, under_rule(plain, "pnas2020")), "one model"
    assert [m.place for m in subject(early, other, late).with_same_images] == [0, 2]


def test_without_any_shared_concept_nothing_is_compared(one: Dissection, two: Dissection, tmp_path: Path) -> None:
    other = two
    for concept in two.vocabulary["concept"]:
        other = other if concept == "-" else with_concept_renamed(other, concept, f"a {concept}")
    pair = layers_of(one, other)
    assert not total(pair.layer, ()).known and not distinct(pair.layer, ()).known
    assert not pair.unit_change.known and not pair.concept_change.known
    said = words(pair)
    assert "The units of one and two cannot be compared: no concept can be a label in both models." in said
    assert not any("significant difference" in each or "differences compared" in each for each in said)
    for made in (one, other):
        write_site(made, tmp_path)
    text = write_comparison(tmp_path, [ONE, TWO]).index.read_text("utf-8")
    assert "The vocabularies have no concept in common." in text and "No shared concept has units." in text
    assert not re.search(r"\bnan\b", re.sub(r'"data:[^"]*"', "", text), re.IGNORECASE)


def test_what_does_not_differ_has_its_interval_and_all_differences_are_counted(
    one: Dissection, two: Dissection
) -> None:
    pair = layers_of(with_quality(one, 0.2), with_quality(two, 0.195))
    said = words(pair)
    assert "No significant difference in KID between one and two: −0.005 [−0.019, +0.009]." in said
    causes = [each for each in said if "blating the leading" in each]
    assert causes and all("units of layer2" in each for each in causes)
    effects = pair.models.effect_changes
    assert sum(each.count("points") for each in causes) == len(effects)
    differences = len(pair.models.comparable) + 2 + 1 + len(effects) + 1
    assert said[-1] == (f"Of {differences} differences compared here, about 1 would be significant by chance alone.")


def test_how_well_units_match_is_compared_by_a_mean_with_its_interval(one: Dissection, two: Dissection) -> None:
    def with_mean(made: Dissection, mean: float) -> Dissection:
        ends = {
            "mean_corrected_iou": mean,
            "mean_corrected_iou_low": mean - 0.03,
            "mean_corrected_iou_high": mean + 0.04,
        }
        return replace(made, layers=(replace(made.layers[0], controls=made.layers[0].controls.assign(**ends)),))

    assert (
        "The units of two match their labels significantly better than those of one, by the mean chance-corrected IoU"
        " of all units: +0.100 [+0.050, +0.150]."
    ) in words(layers_of(with_mean(one, 0.2), with_mean(two, 0.3)))
    said = words(layers_of(with_mean(one, 0.2), with_mean(two, 0.22)))
    assert any(each.startswith("No significant difference in the mean chance-corrected IoU") for each in said)
    other = with_concept_renamed(with_mean(two, 0.3), "tree", "fir")
    assert not any("mean chance-corrected IoU" in each for each in words(layers_of(with_mean(one, 0.2), other)))


def test_units_that_keep_their_label_are_counted_against_shuffled_labels(one: Dissection) -> None:
    def with_labels(names: list[str]) -> Dissection:
        table = one.layers[0].table.assign(
            concept=names, category="object", interpretable=[name != "" for name in names]
        )
        return replace(one, layers=(replace(one.layers[0], table=table),))

    ours = ["sky"] * 5 + ["tree"] * 3 + ["house", "house", "", "sky"]
    theirs = ["sky"] * 4 + ["tree"] * 5 + ["", "sky", "house"]
    first, second = with_labels(ours), of_training(with_labels(theirs), "drawn", 60_000)
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a and b]
    random = np.random.default_rng(0)
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    shuffled = np.array([(a == random.permutation(b)).sum() for _ in range(20_000)])
    assert layers_of(first, second).kept_labels() == KeptLabels(
        both=len(pairs),
        same=sum(x == y for x, y in pairs),
        low=max(math.floor(shuffled.mean() - 2 * shuffled.std()), 0),
        high=min(math.ceil(shuffled.mean() + 2 * shuffled.std()), len(pairs)),
    )
    assert layers_of(first, example_dissection(units=12, name=TWO)).kept_labels() is None, "of another training"
    assert layers_of(first, first).kept_labels() is None


def test_models_of_one_name_have_different_names_on_a_site(one: Dissection, two: Dissection) -> None:
    twin = replace(two, provenance=replace(two.provenance, generator=one.provenance.generator))
    assert list(sited(one, twin).names.values()) == ["one (m0)", "one (m1)"]
    assert list(sited(one, under_rule(one, "pnas2020"), two).names.values()) == [
        "one (corrected)",
        "one (pnas2020)",
        "two",
    ]
    assert subject(one, two).labels == ("one", "two")
    assert subject(one, two, layers=("layer1", "layer2")).labels == ("one layer1", "two layer2")


def test_models_are_compared_by_the_layer_with_most_labels_that_all_have(one: Dissection, two: Dissection) -> None:
    def led(*made: Dissection) -> list[str]:
        site = sited(*made)
        return [member.profile.name for member in ComparedModels.of(site, list(site.sited), ("",) * len(made)).members]

    labels = [layer.counts["measured"].concepts.value for layer in profile_of(one).layers]
    assert led(one, two) == [f"layer{1 + int(np.argmax(labels))}"] * 2
    assert led(one, replace(two, layers=two.layers[1:])) == ["layer2", "layer2"]
    moved = replace(two, layers=tuple(replace(layer, name=f"own {layer.name}") for layer in two.layers))
    assert led(one, moved)[1].startswith("own ")


def test_all_models_of_a_site_fit_its_axes_and_another_rarely_changes_them(one: Dissection, two: Dissection) -> None:
    profiles = [profile_of(one), profile_of(two)]
    scales = scales_of(profiles)
    for profile in profiles:
        for layer in profile.layers:
            counts = layer.counts["measured"]
            assert counts.units.high / layer.units <= scales.interpretable and counts.concepts.high <= scales.labels
            for (_, category), units in layer.concepts.items():
                assert units.measured.high / layer.units <= scales.units[category]
            assert all(iou <= scales.iou for iou, _, _ in layer.spread)
    assert scales.of(profiles[0]) == scales_of([*profiles, profiles[0]]).of(profiles[0])
    assert [round_up(value) for value in (0.05, 0.051, 0.21, 7, 1.0, 99)] == [0.05, 0.06, 0.3, 8, 1.0, 100]


def test_numbers_have_their_sign_and_halves_go_up() -> None:
    assert [signed(v, count) for v in (3, -3, 0, math.nan)] == ["+3", "−3", "0", "–"]
    assert [tenths(v) for v in (6.25, 6.24, -0.05, math.nan)] == ["6.3", "6.2", "0.0", "–"]
    assert [thousandths(v) for v in (0.0005, -0.2, math.nan)] == ["0.001", "−0.200", "–"]
    assert [signed(v, thousandths) for v in (0.25, -0.0001)] == ["+0.250", "0.000"]


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
    assert (site / ONE / "data" / "compare.json").stat().st_size < 30_000


def test_quality_is_compared_where_it_was_measured_and_left_out_where_not(
    one: Dissection, two: Dissection, tmp_path: Path
) -> None:
    said = words(layers_of(with_quality(one, 0.2), with_quality(two, 0.1)))
    assert ("The images of two are significantly better than those of one by KID: −0.100 [−0.114, −0.086].") in said
    assert not any("kernel" in each for each in words(layers_of(one, with_quality(two, 0.1))))
    for made in (with_quality(one, 0.2), with_quality(two, 0.1)):
        write_site(made, tmp_path)
    text = write_comparison(tmp_path, [ONE, TWO]).index.read_text("utf-8")
    assert "0.200 [0.190, 0.210]" in text and "−0.100 [−0.114, −0.086]" in text


def changed_files(out: Path, before: dict[Path, int]) -> set[str]:
    """The files of a site that were written since."""
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    return {str(path.relative_to(out)) for path in after if before.get(path) != after[path]}


def times(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_another_model_changes_its_own_files_and_what_it_is_compared_in(one: Dissection, copied: Path) -> None:
    before = times(copied)
    written = write_site(replace(one, model="three", layers=one.layers[:1], interventions=None), copied)
    changed = changed_files(copied, before)
    own = {name for name in changed if name.startswith("three/")}
    compared = {name for name in changed if name.startswith(f"{FOLDER}/three/")}
    assert compared == {
        f"{FOLDER}/three/{name}"
        for name in ("model.js", "layers/layer1.js", "against/one.js", "against/two.js", "against/three.js")
    }
    against = {f"{FOLDER}/{home}/against/three.js" for home in (ONE, TWO)}
    shared = {"index.html", "compare.html", "search.js", "manifest.json", f"{FOLDER}/manifest.json"} | against
    parts = ("model.js", "layers/layer1.js", "layers/layer2.js")
    renamed = {f"{FOLDER}/{ONE}/{part}" for part in parts}
    assert changed - own - compared == shared | renamed, "a title that two models share carries the folder"
    expected = len(own) - 1 + 3 + len(compared) + len(against) + len(renamed)
    assert written.changed == expected, "ledgers are not counted"
    before = times(copied)
    write_site(example_dissection(units=6, layers=1, name="three", seed=2), copied)
    others = {name for name in changed_files(copied, before) if name.startswith((f"{FOLDER}/one", f"{FOLDER}/two"))}
    drawn = {f"{FOLDER}/{home}/layers/layer{number}.js" for home in (ONE, TWO) for number in (1, 2)}
    named_as_before = {f"{FOLDER}/{ONE}/model.js"}
    assert others - drawn == against | named_as_before, "wider axes change what was drawn, and no other pair"


def test_pairs_of_a_model_that_is_gone_are_removed(one: Dissection, copied: Path) -> None:
    (copied / FOLDER / "own.txt").write_text("of the user", "utf-8")
    shutil.rmtree(copied / TWO)
    write_site(one, copied)
    left = {path.relative_to(copied / FOLDER).as_posix() for path in (copied / FOLDER).rglob("*") if path.is_file()}
    assert left == {
        "manifest.json",
        "own.txt",
        *(f"one/{name}.js" for name in ("model", "layers/layer1", "layers/layer2", "against/one")),
    }


@pytest.mark.extended
def test_a_pair_is_computed_again_after_a_run_that_died(two: Dissection, copied: Path) -> None:
    whole = contents(copied)
    ledger = read_ledger(copied, FOLDER)
    assert ledger is not None
    died = replace(ledger, before=ledger.files, sources={**ledger.sources, "two/against/one.js": ""})
    (copied / FOLDER / "manifest.json").write_bytes(died.content(FOLDER))
    (copied / FOLDER / "two/against/one.js").write_text("half a fi", "utf-8")
    (copied / FOLDER / "one/against/two.js").unlink()
    before = times(copied)
    write_site(two, copied)
    assert contents(copied) == whole
    assert changed_files(copied, before) == {
        f"{FOLDER}/{name}" for name in ("manifest.json", "two/against/one.js", "one/against/two.js")
    }


@pytest.mark.extended
def test_a_model_under_another_rule_is_beside_itself(tmp_path: Path) -> None:
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


KINDS = ("differs", "same", "fact")


def test_the_fixed_page_is_one_file_that_says_what_was_computed(one: Dissection, two: Dissection, site: Path) -> None:
    written = write_comparison(site, [ONE, TWO], ["layer2"])
    assert written.index == site / "compare" / "one-vs-two-layer2.html"
    text = written.index.read_text("utf-8")
    page = Page(text)
    items = [page.text(i).strip() for i, e in enumerate(page.elements) if e[0] == "li" and e[2] and "differs" in text]
    for sentence in statements(layers_of(one, two, layer=1)):
        assert sentence.words in items
    kinds = "".join(e[1]["class"][0] for e in page.elements if e[0] == "li" and e[1].get("class") in KINDS)
    assert re.fullmatch("f+d+s+f+", kinds), "what differs comes before what does not"
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
    assert hrefs and all(href.startswith(("#", *PAPERS)) for href in hrefs)


@pytest.mark.extended
def test_rendering_a_model_again_keeps_fixed_pages(copied: Path) -> None:
    page = write_comparison(copied, [ONE, TWO]).index
    held = page.read_bytes()
    write_site(example_dissection(units=6, layers=1, name=ONE), copied)
    assert page.read_bytes() == held


@pytest.mark.extended
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
    text = (out / FOLDER / strange / "model.js").read_text("utf-8")
    name, part = json.loads(f"[{text.removeprefix(CALL).removesuffix(f');{chr(10)}')}]")
    assert "\u2028" not in text and name == f"{strange}/model" and part["notes"] == [HOSTILE]


@pytest.mark.extended
def test_a_model_named_like_the_comparison_page_does_not_replace_it(tmp_path: Path) -> None:
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
        ([ONE, ONE], ["layer1"], BadOption, "one with layer1 is named twice; name another model, or other --layers"),
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


@pytest.mark.extended
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


def test_a_site_that_is_empty_or_of_another_version_is_refused(one: Dissection, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no model in"):
        write_comparison(tmp_path, [ONE, TWO])
    write_site(one, tmp_path)
    file = tmp_path / ONE / "data" / "compare.json"
    file.write_text(file.read_text("utf-8").replace('"version":2', '"version":0'), "utf-8")
    with pytest.raises(OutputError, match=r"cannot be read \(version 0\); render one again"):
        write_comparison(tmp_path, [ONE, ONE])


def test_an_index_of_many_models_is_a_table_and_of_one_a_page(one: Dissection, site: Path, tmp_path: Path) -> None:
    many = Page((site / "index.html").read_text("utf-8"))
    rows = [i for i, e in enumerate(many.elements) if e[0] == "th" and e[1].get("scope") == "row"]
    assert [many.text(i).strip()[:3] for i in rows] == [ONE, TWO]
    write_site(one, tmp_path)
    assert '<article class="model">' in (tmp_path / "index.html").read_text("utf-8")
    assert "There is one model on this site." in (tmp_path / "compare.html").read_text("utf-8")


@pytest.mark.extended
def test_comparing_twice_gives_the_same_bytes(one: Dissection, two: Dissection, site: Path, tmp_path: Path) -> None:
    for made in (two, one):
        write_site(made, tmp_path)
    write_comparison(tmp_path, [ONE, TWO], ["layer2"])
    write_comparison(site, [ONE, TWO], ["layer2"])
    mine, theirs = contents(tmp_path), contents(site)
    assert all(theirs[name] == content for name, content in mine.items())
