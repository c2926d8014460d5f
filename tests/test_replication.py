"""Which claims of a run a second measurement replicates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dissectreport.analysis.comparison.replication import Claim, claims_of, digest, replicated, replication, stored
from dissectreport.analysis.results.dissection import Dissection
from dissectreport.analysis.results.replication import ClaimKind
from dissectreport.cache.reader import save
from dissectreport.cache.store import Store
from dissectreport.errors import BadOption
from dissectreport.pipeline.measure import measure
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.render import load_dissection
from dissectreport.pipeline.replicate import again_options, replicate
from dissectreport.records.replication import ReplicatedClaims
from dissectreport.report.pages.replication import _group
from dissectreport.report.site.build import write_site
from tests.support.damage import unnoticed_in_cache, unnoticed_in_site
from tests.support.dissections import example_dissection, with_interventions
from tests.support.sites import page_text


def with_repair(made: Dissection) -> Dissection:
    """The same with two artifact units, which are also the repair; only what claims need to know."""
    effects = {"unit": [0, 1, 2], "measured_effect": [0.1, 0.2, 0.0]}
    ends = {"measured_effect_low": [0.05, 0.1, -0.1], "measured_effect_high": [0.15, 0.3, 0.1]}
    change = {"change": [-0.3], "change_low": [-0.4], "change_high": [-0.2]}
    known: Any = SimpleNamespace(
        layer=made.layers[-1].name,
        features="drawn shapes",
        listed=(1, 0),
        repair=(1, 0),
        units=pd.DataFrame(effects | ends),
        quality=pd.concat(
            pd.DataFrame({"set": [name], "units": [2], "measure": ["kernel_distance"], **change})
            for name in ("worst", "marked")
        ),
    )
    return replace(made, artifacts=known)


@pytest.fixture(scope="module")
def first() -> Dissection:
    return with_repair(with_interventions(example_dissection()))


def labels(claims: tuple[Claim, ...]) -> list[Claim]:
    return [claim for claim in claims if claim.kind == ClaimKind.LABEL]


def test_a_run_claims_its_interpretable_units_its_causal_sets_its_artifact_units_and_its_repair(
    first: Dissection,
) -> None:
    claims = claims_of(first)
    assert len(labels(claims)) == sum(len(layer.interpretable) for layer in first.layers)
    assert first.interventions is not None and first.artifacts is not None
    causal = [claim for claim in claims if claim.kind == ClaimKind.CAUSAL_SET]
    significant = first.interventions.removal[first.interventions.removal["difference_low"] > 0]
    assert 0 < len(causal) <= significant["concept"].nunique()
    assert all(len(set(claim.units)) == len(claim.units) > 1 for claim in causal)
    single = [claim.units[0] for claim in claims if claim.kind == ClaimKind.ARTIFACT_UNIT]
    assert tuple(single) == first.artifacts.listed
    (repair,) = [claim for claim in claims if claim.kind == ClaimKind.REPAIR]
    assert repair.units == first.artifacts.repair and repair.value == (0.3, 0.2, 0.4), "a decrease is above 0"
    assert [bool(o.replicated) for o in replicated((*claims[-3:],), first, first, {})] == [True, True, True]


def test_claims_are_fixed_by_their_digest(first: Dissection) -> None:
    claims = claims_of(first)
    assert digest(claims) == digest(claims_of(first)) and len(digest(claims)) == 64
    value, low, high = claims[0].value
    assert digest((replace(claims[0], value=(value + 0.01, low, high)), *claims[1:])) != digest(claims)
    assert digest(claims[1:]) != digest(claims)


def test_the_same_numbers_replicate_every_label_and_other_units_do_not(first: Dissection) -> None:
    claims = tuple(labels(claims_of(first)))
    outcomes = replicated(claims, first, first, {})
    assert all(outcome.replicated for outcome in outcomes)
    assert np.allclose([outcome.value[0] for outcome in outcomes], [claim.value[0] for claim in claims])
    turned = tuple(
        replace(layer, labels=layer.labels.assign(unit=(layer.labels["unit"] + 1) % layer.units))
        for layer in first.layers
    )
    moved = replicated(claims, first, replace(first, layers=turned), {})
    assert np.mean([bool(outcome.replicated) for outcome in moved]) < 0.6


def test_a_concept_that_the_second_segmenter_does_not_know_cannot_be_tested(first: Dissection) -> None:
    claims = tuple(labels(claims_of(first)))
    gone = claims[0].concept
    other = replace(first, concepts=first.concepts[first.concepts["concept"] != gone])
    for claim, outcome in zip(claims, replicated(claims, first, other, {}), strict=True):
        assert (outcome.replicated is None) == (claim.concept == gone)


def test_a_causal_set_must_beat_what_random_sets_removed(first: Dissection) -> None:
    claims = tuple(claim for claim in claims_of(first) if claim.kind == ClaimKind.CAUSAL_SET)
    bound = claims[0].bound
    for low, held in ((bound + 0.01, True), (bound - 0.01, False)):
        (outcome, *_) = replicated(claims[:1], first, first, {claims[0]: (low + 0.1, low, low + 0.2)})
        assert outcome.replicated is held
    assert replicated(claims[:1], first, first, {})[0].replicated is None


def test_what_was_found_is_kept_and_shown(first: Dissection, tmp_path: Path) -> None:
    first = replace(first, artifacts=None)
    claims = claims_of(first)
    outcomes = replicated(claims, first, first, {})
    kept = ReplicatedClaims.from_arrays(stored(claims, outcomes, first).arrays())
    found = replication(kept, first)
    assert found.is_current and not replication(kept, replace(first, layers=first.layers[:1])).is_current
    assert found.claims["replicated"].isin(["yes", "no", "untested"]).all()
    write_site(replace(first, replication=found), tmp_path)
    text = page_text(tmp_path / "planted" / "replication.html")
    of_labels = found.claims[found.claims["claim"] == "label"]
    assert f"{len(of_labels)} of {len(of_labels)} labels were replicated" in text
    assert found.digest in text and "claims have changed" not in text
    failed = found.claims.assign(replicated=["yes"] * (len(found.claims) - 1) + ["no"])
    group = _group(ClaimKind.LABEL, failed.assign(claim=ClaimKind.LABEL))
    assert group.rows[0].replicated == "no" and len(group.rows) == len(failed), "what was not replicated comes first"
    assert (tmp_path / "planted" / "data" / "replication.csv").is_file()
    names = ["planted/replication.html", "planted/data/replication.csv"]
    assert unnoticed_in_site(tmp_path, names) == []
    store = Store.open(tmp_path / "cache" / "measurements", {"kind": "replication"})
    save(store, kept)
    unnoticed, tried = unnoticed_in_cache(tmp_path / "cache")
    assert unnoticed == [] and tried > 50


@pytest.mark.slow
def test_a_run_of_the_planted_model_is_replicated_on_fresh_latents(tmp_path: Path) -> None:
    options = Options(
        "planted",
        layers=("features",),
        samples=240,
        pilot=96,
        controls=False,
        interventions=False,
        artifacts=False,
        workers=1,
        cache=tmp_path,
    )
    before = measure(options)
    record = replicate(options)
    dissection = load_dissection("planted", cache=tmp_path)
    found = dissection.replication
    assert record.replication and found is not None and found.is_current
    assert dissection.provenance.seed == before.plan["seed"] != found.seed, "the run with the claims stays the newest"
    assert (found.claims["replicated"] == "yes").mean() > 0.8
    assert measure(options).replication == record.replication, "a later run of the same plan keeps it"
    with pytest.raises(BadOption, match="shares latents"):
        again_options(options, record, record.plan["seed"] + 1)


SECOND = """
import torch
from dissectreport.segmenters.planted import PlantedSegmenter, load


class Shifted(PlantedSegmenter):
    def to(self, device):
        return self

    def __call__(self, images):
        return torch.roll(super().__call__(images), 1, -1)


def make():
    known = load()
    return Shifted(known.colours, known.shows, name="shifted", identity="shifted-1")
"""


@pytest.mark.extended
def test_a_second_segmenter_bounds_the_error_of_the_labels(tmp_path: Path) -> None:
    (tmp_path / "second.py").write_text(SECOND)
    few: dict[str, Any] = {"layers": ("features",), "samples": 96, "pilot": 48, "workers": 1, "cache": tmp_path / "c"}
    options = Options("planted", controls=False, interventions=False, artifacts=False, paint=False, **few)
    measure(options)
    assert "iou_total_low" not in load_dissection("planted", cache=options.cache).layers[0].table
    replicate(replace(options, segmenter=f"{tmp_path / 'second.py'}:make"))
    made = load_dissection("planted", cache=options.cache)
    known = made.concepts[made.concepts["label_error_from"] == "the segmenter shifted"]
    assert len(known) and (known["label_wrong"] > 0).all() and (known["label_missed"] > 0).all()
    table = made.layers[0].table.dropna(subset=["iou_total_low"])
    assert len(table) and (table["iou_total_low"] < table["iou_low"]).all()
    assert made.replication is not None and made.replication.segmenter == "shifted"
    replicate(options)
    again = load_dissection("planted", cache=options.cache)
    assert again.replication is not None and again.replication.segmenter == "planted"
    assert "iou_total_low" in again.layers[0].table, "what was known of the labels stays"
