"""The site as files: links, bytes, downloads, names, and what happens when it cannot be written."""

from __future__ import annotations

import csv
import errno
import json
import math
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dissectreport.analysis.results.dissection import COLUMNS, Dissection
from dissectreport.errors import OutputError
from dissectreport.report.common.ledger import LEDGER
from dissectreport.report.common.model import Site, counts
from dissectreport.report.common.wording import WORDINGS, against_directions
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.names import link, safe_name, safe_names
from dissectreport.report.html.numbers import SHADES, percent, share, times
from dissectreport.report.html.places import Places
from dissectreport.report.site.build import write_site
from dissectreport.report.site.gather import gather
from dissectreport.run.rules import RULES
from tests.support.dissections import example_dissection
from tests.support.pictures import random_pixels
from tests.support.sites import Page, broken_links, contents, ious_without_context, page_text, pages
from tests.support.tiers import extended
from tests.support.variants import as_published_run, with_hostile_names


@pytest.fixture(scope="module")
def dissection() -> Dissection:
    return example_dissection()


@pytest.fixture(scope="module")
def site(dissection: Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    write_site(dissection, out)
    return out


def test_every_link_leads_to_a_file_of_the_site(site: Path) -> None:
    assert broken_links(site.resolve()) == []


@pytest.mark.usefixtures("rendered_anew")
def test_the_same_dissection_gives_the_same_bytes(dissection: Dissection, site: Path, tmp_path: Path) -> None:
    write_site(example_dissection(), tmp_path)
    assert contents(tmp_path) == contents(site)


def test_a_second_render_writes_nothing_and_the_reported_size_is_that_on_disk(
    dissection: Dissection, tmp_path: Path
) -> None:
    first = write_site(dissection, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    again = write_site(dissection, tmp_path)
    assert first.changed == first.files
    assert again.changed == 0
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before
    ledgers = sum(path.stat().st_size for path in tmp_path.rglob("manifest.json"))
    assert first.bytes == again.bytes == sum(map(len, contents(tmp_path).values())) - ledgers
    assert first.index == tmp_path / "index.html"


def test_every_iou_is_shown_with_its_chance_level_and_its_interval(site: Path) -> None:
    found = 0
    for path in pages(site):
        page = Page(path.read_text("utf-8"))
        assert ious_without_context(page) == [], path
        found += sum("iou" in page.classes(i) for i in range(len(page.elements)))
    assert found > 100


def test_the_check_of_ious_notices_a_bare_one() -> None:
    assert ious_without_context(Page('<p><data class="iou" value="0.4">0.40</data></p>'))
    assert ious_without_context(
        Page('<p class="agree"><data class="iou" value="0.4">0.40</data><i class="ci">[0.3, 0.5]</i></p>')
    )
    assert ious_without_context(Page("<p>IoU 0.40</p>"))


def test_hostile_names_break_neither_pages_nor_folders(dissection: Dissection, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(with_hostile_names(dissection), out)
    assert [p.name for p in tmp_path.iterdir()] == ["site"]
    for path in pages(out):
        text = path.read_text("utf-8")
        assert "<b>x</b>" not in text, path
        for script in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL):
            json.loads(script)
    assert broken_links(out.resolve()) == []
    assert all(re.fullmatch(r"[\w.-]+", part) for p in out.rglob("*") for part in p.relative_to(out).parts)


def test_names_become_different_safe_file_names() -> None:
    assert safe_name("layer4") == "layer4"
    assert safe_name("Layer4", taken=["layer4"]) != "Layer4"
    assert safe_name("con") != "con"
    assert safe_name("..").strip(".")
    assert safe_name("") != ""
    names = ["a/b", "a b", "a-b", "A-B", "ä-b", "…", "data"]
    given = safe_names(names, taken=["data"])
    assert len({n.casefold() for n in given.values()} | {"data"}) == len(names) + 1


def test_links_are_relative() -> None:
    assert link("m/layer/unit-1.html", "m/img/3.webp") == "../img/3.webp"
    assert link("index.html", "m/index.html") == "m/index.html"


def test_csv_and_json_twins_say_the_same(site: Path, dissection: Dissection) -> None:
    tables = sorted((site / "planted" / "data").glob("*.csv"))
    assert len(tables) == 2 + 11 * len(dissection.layers)
    for path in tables:
        with path.open(newline="", encoding="utf-8-sig") as file:
            left = list(csv.DictReader(file))
        right = json.loads(path.with_suffix(".json").read_text("utf-8"), parse_constant=pytest.fail)
        assert len(left) == len(right) > 0
        assert set(left[0]) == set(right[0]) <= set(COLUMNS), path
        for one, two in zip(left, right, strict=True):
            for name, value in two.items():
                assert one[name] == _as_in_csv(value, one[name]), (path, name)


def _as_in_csv(value: object, there: str) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and math.isclose(float(there), value, rel_tol=1e-9):
        return there
    return str(value)


def test_every_table_of_the_dissection_can_be_downloaded(site: Path, dissection: Dissection) -> None:
    for layer in dissection.layers:
        rows = json.loads((site / "planted" / "data" / f"{layer.name}-units.json").read_text("utf-8"))
        assert list(rows[0]) == list(layer.table.columns)
        assert [r["iou"] is None for r in rows] == layer.table["iou"].isna().tolist()


def test_units_that_say_nothing_are_listed(site: Path) -> None:
    text = (site / "planted" / "layer1" / "index.html").read_text("utf-8")
    assert "dead" in text
    assert "duplicate of 5" in text


def test_provenance_is_on_the_methods_page(site: Path, dissection: Dissection) -> None:
    text = (site / "planted" / "methods.html").read_text("utf-8")
    facts = dissection.provenance
    for words in (
        facts.command,
        facts.generator["sha256"],
        facts.segmenter["identity"],
        *facts.versions.values(),
    ):
        assert str(words) in text
    assert "A made-up dissection" in text


def test_the_trust_page_shows_how_well_the_segmenter_finds_each_concept(site: Path, dissection: Dissection) -> None:
    text = (site / "planted" / "trust.html").read_text("utf-8")
    finds = text[text.index('id="finds"') :]
    for row in dissection.concepts.itertuples():
        listed = f"</i>{row.concept}<" in finds
        assert listed == (row.segmenter_iou == row.segmenter_iou)
        assert listed or re.search(rf"There is no accuracy for [^.]*{row.concept}", finds)


def test_every_image_has_an_alternative_text(site: Path) -> None:
    for path in pages(site):
        for tag, attributes, _, _ in Page(path.read_text("utf-8")).elements:
            assert tag != "img" or "alt" in attributes
    unit = (site / "planted" / "layer1" / "unit-1.html").read_text("utf-8")
    assert re.search(r'alt="layer1 unit 1, top image 3 of 8: \w+"', unit)


def test_pages_reach_for_nothing_outside_the_folder(site: Path) -> None:
    for path in [
        *pages(site),
        *site.glob("assets/*.css"),
        *(p for p in site.glob("assets/*.js") if "plotly" not in p.name),
    ]:
        text = re.sub(r"xmlns='http://www.w3.org/2000/svg'|http://www.w3.org/2000/svg", "", path.read_text("utf-8"))
        text = re.sub(r'<a href="https://(arxiv\.org/abs|doi\.org)/[\w./]+">', "", text)  # papers
        assert not re.search(r"https?://|@import|\bfetch\(|XMLHttpRequest|type=.module", text), path


@pytest.mark.extended
def test_rendering_needs_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path; from tests.support.dissections import example_dissection\n"
        "from dissectreport.report.site.build import write_site\n"
        f"write_site(example_dissection(units=6, layers=1), Path({str(tmp_path)!r}))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[1], timeout=60)


def test_two_models_share_a_site_and_its_first_page(tmp_path: Path) -> None:
    write_site(example_dissection(units=6, layers=1, name="one"), tmp_path)
    write_site(example_dissection(units=6, layers=1, name="two", seed=1), tmp_path)
    text = (tmp_path / "index.html").read_text("utf-8")
    assert "one/index.html" in text
    assert "two/index.html" in text
    assert (tmp_path / ".nojekyll").exists()
    assert broken_links(tmp_path.resolve()) == []


@pytest.mark.extended
def test_models_whose_names_differ_only_in_case_do_not_share_a_folder(tmp_path: Path) -> None:
    write_site(example_dissection(units=6, layers=1, name="one"), tmp_path)
    write_site(example_dissection(units=6, layers=1, name="One"), tmp_path)
    folders = [p.parent.name.casefold() for p in tmp_path.glob("*/summary.json")]
    assert len(set(folders)) == 2


def test_pages_that_are_gone_are_removed_and_foreign_files_are_not(tmp_path: Path) -> None:
    write_site(example_dissection(units=6, layers=2), tmp_path)
    mine = tmp_path / "planted" / "layer2" / "notes.txt"
    mine.write_text("mine")
    write_site(example_dissection(units=6, layers=1), tmp_path)
    assert not (tmp_path / "planted" / "layer2" / "index.html").exists()
    assert mine.read_text() == "mine"
    mine.unlink()
    assert broken_links(tmp_path.resolve()) == []


def test_a_ledger_that_points_outside_removes_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("kept")
    out = tmp_path / "site"
    write_site(example_dissection(units=6, layers=1), out)
    ledger = out / "planted" / LEDGER
    ledger.write_text(json.dumps({"files": ["../../kept.txt", str(kept), "a/../../../kept.txt"]}))
    write_site(example_dissection(units=6, layers=1), out)
    assert kept.read_text() == "kept"


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file")
    with pytest.raises(OutputError) as error:
        write_site(example_dissection(units=6, layers=1), tmp_path / "site")
    assert "\n" not in str(error.value)
    assert str(tmp_path / "site") in str(error.value)


@pytest.mark.extended
def test_a_site_above_its_limit_is_refused_before_anything_is_written(dissection: Dissection, tmp_path: Path) -> None:
    large = replace(
        dissection, pictures=replace(dissection.pictures, pixels=random_pixels(dissection.pictures.pixels.shape))
    )
    with pytest.raises(
        OutputError, match=r"take [\d.]+ MB, more than the 1 MB of --site-limit.*fewer --layers"
    ) as error:
        write_site(large, tmp_path / "site", limit=1)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "site").exists()
    assert write_site(large, tmp_path / "site", limit=0).bytes > 10**6


@pytest.mark.slow
def test_a_full_disk_leaves_old_or_new_files_and_never_half_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = example_dissection(units=6, layers=1), example_dissection(units=6, layers=1, seed=3)
    write_site(old, tmp_path / "old")
    write_site(new, tmp_path / "new")
    before, after = contents(tmp_path / "old"), contents(tmp_path / "new")
    real = Path.write_bytes
    writes = 0

    def fail_at(limit: int) -> None:
        nonlocal writes
        writes = 0

        def write(path: Path, content: bytes) -> int:
            nonlocal writes
            writes += 1
            if writes > limit:
                real(path, content[: len(content) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(path, content)

        monkeypatch.setattr(Path, "write_bytes", write)

    from dissectreport.report.site import build as module

    gathered: dict[int, Any] = {}
    monkeypatch.setattr(module, "gather", lambda site, *_: gathered[id(site.dissection)])
    for one in (old, new):
        places = Places.of(one)
        gathered[id(one)] = gather(Site(one, places, load_assets()[0]))
    for limit in (*range(0, 8, 2), *range(8, 400, 39)):
        out = tmp_path / "site"
        monkeypatch.setattr(Path, "write_bytes", real)
        write_site(old, out)
        fail_at(limit)
        try:
            write_site(new, out)
            break
        except OutputError as error:
            told = str(error)
        if "disk is full" not in told:
            pytest.fail(told)
        for name, content in contents(out).items():
            possible = {before.get(name), after.get(name)}
            assert content in possible or name.endswith(LEDGER), name
    else:
        pytest.fail("the disk was never big enough")
    assert limit > 20
    monkeypatch.setattr(Path, "write_bytes", real)
    write_site(new, out)
    assert contents(out) == after


def test_progress_counts_units(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_site(example_dissection(units=20, layers=2), tmp_path, lambda done, total: seen.append((done, total)))
    assert seen == [(16, 40), (20, 40), (36, 40), (40, 40)]


@pytest.mark.usefixtures("rendered_anew")
def test_the_same_files_are_rendered_by_any_process_and_in_any_order(tmp_path: Path) -> None:
    def last_first(work: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        for part in reversed(parts):
            # What other processes do goes there and comes back in bytes.
            yield part, pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(work))(part)))

    dissection = example_dissection(units=20, layers=1)
    write_site(dissection, tmp_path / "here")
    write_site(dissection, tmp_path / "there", spread=last_first)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_a_layer_without_interpretable_units_can_be_rendered(tmp_path: Path) -> None:
    made = example_dissection(units=6, layers=1)
    layer = made.layers[0]
    table = layer.table.assign(interpretable=False, beats_chance=False)
    empty = replace(layer, table=table, pairs=layer.pairs[:0], labels=layer.labels[:0], correlated=layer.correlated[:0])
    write_site(replace(made, layers=(empty,), trust=(), notes=()), tmp_path)
    assert broken_links(tmp_path.resolve()) == []


def test_numbers_are_honest_at_both_ends() -> None:
    assert [share(v) for v in (0, 0.0004, 0.42, 0.9999, 1, -0.03, math.nan)] == [
        "0",
        "<0.01",
        "0.42",
        ">0.99",
        "1",
        "−0.03",
        "–",
    ]
    assert [percent(v) for v in (0, 0.00001, 0.031, 0.9999, 1)] == [
        "0%",
        "<0.01%",
        "3.1%",
        ">99.9%",
        "100%",
    ]
    assert times(math.nan) == "–"
    assert times(5.52) == "5.5×"


def test_a_curve_without_intervals_prints_no_iou(tmp_path: Path) -> None:
    made = example_dissection(units=6, layers=1)
    bare = replace(made.layers[0], curves=replace(made.layers[0].curves, low=None, high=None))
    write_site(replace(made, layers=(bare,)), tmp_path)
    page = Page((tmp_path / "planted" / "layer1" / "unit-1.html").read_text("utf-8"))
    assert ious_without_context(page) == []


def test_a_concept_counts_in_its_own_category_even_if_another_label_leads(site: Path) -> None:
    text = (site / "planted" / "layer1" / "index.html").read_text("utf-8")
    data = json.loads(re.findall(r'id="units-data">(.*?)</script>', text, re.DOTALL)[0])
    columns = re.findall(r'aria-label="(\w+): (\d+) units"', text)
    for concept, units in columns:
        counted = ([name for name, *_, sure in labels if sure] for labels in data["labels"])
        assert sum(concept in names for names in counted) == int(units)
    assert len(columns) > 5


def test_each_category_of_columns_has_its_count_and_its_controls_above_it(site: Path, dissection: Dissection) -> None:
    layer = dissection.layers[0]
    text = (site / "planted" / layer.name / "index.html").read_text("utf-8")
    found = layer.controls.astype(object).set_index(["control", "category"])
    for category in layer.labels.loc[layer.labels["interpretable"], "category"].unique():
        own, random_directions, untrained, chance_level = (
            found.loc[(name, category)] for name in ("measured", "random_directions", "untrained", "chance")
        )
        assert f">{own.units} units [{own.units_low}, {own.units_high}]<" in text
        assert (
            f">random directions {random_directions.units} · untrained {untrained.units}"
            f" · chance level {chance_level.units}<" in text
        )
        assert own.units == (layer.labels["interpretable"] & (layer.labels["category"] == category)).sum()


def test_the_overview_compares_layers_within_each_category(site: Path, dissection: Dissection) -> None:
    page = Page((site / "planted" / "index.html").read_text("utf-8"))
    told = [" ".join(page.text(i).split()) for i in range(len(page.elements)) if "rivals" in page.classes(i)]
    rows = [layer.controls[layer.controls["category"] != ""] for layer in dissection.layers]
    wanted = [
        f"random directions {by['random_directions']} · untrained {by['untrained']} · chance level {by['chance']}"
        for controls in rows
        for by in (part.set_index("control")["units"] for _, part in controls.groupby("category", sort=False))
    ]
    assert told == wanted


HALVES = re.compile(r"scoring half|choosing half|selection images|\d held-out images|not tested|used for selection")
"""What is true under the corrected rule alone."""


@pytest.mark.parametrize(
    ("random_directions", "interval", "verdict"),
    [
        (426, (-9, 30), "By this count, single units are not significantly more interpretable than random directions."),
        (426, (3, 20), "By this count, single units are only slightly more interpretable than random directions."),
        (200, (190, 260), "By this count, single units are more interpretable than random directions."),
        (470, (-40, -20), "By this count, single units are less interpretable than random directions."),
    ],
)
def test_units_are_compared_with_random_directions_by_the_interval_of_the_difference(
    random_directions: int, interval: tuple[int, int], verdict: str
) -> None:
    counts, found = against_directions(437, random_directions, 480, *interval)
    assert found == verdict
    assert counts.startswith(
        f"437 of 480 units are interpretable, and {random_directions} of 480 random directions on average: a"
        " difference of"
    )


def test_the_interval_of_the_difference_comes_from_shared_replicates(dissection: Dissection, tmp_path: Path) -> None:
    units = [int(layer.table["interpretable"].sum()) for layer in dissection.layers]
    random_directions = [int(counts(layer)["random_directions"].units) for layer in dissection.layers]
    noise = np.arange(-50, 50)
    layers = tuple(
        replace(layer, resampled={"measured": n + noise, "random_directions": m + noise}, by_rotation=())
        for layer, n, m in zip(dissection.layers, units, random_directions, strict=True)
    )
    write_site(replace(dissection, layers=layers), tmp_path)
    text = page_text(tmp_path / "planted" / "index.html")
    more = int(sum(units) - sum(random_directions))
    assert f"a difference of +{more} [+{more}, +{more}] (95% interval over images and random bases)." in text, (
        "what all replicates share is no uncertainty"
    )


def test_the_overview_leads_with_the_units_that_localise_their_concept(site: Path, dissection: Dissection) -> None:
    table = pd.concat([layer.table for layer in dissection.layers])
    good = table[table["interpretable"]]
    localise = good[good["kind"] == "object"]
    objects = int(localise["category"].isin(("object", "part")).sum())
    text = page_text(site / "planted" / "index.html")
    assert (
        f"{len(localise)} of {len(table)} units show where their concept is within an image; {objects} of them match"
        " an object or a part." in text
    )


def test_every_card_shows_its_iou_in_four_shades(site: Path, dissection: Dissection) -> None:
    page = (site / "planted" / "layer1" / "index.html").read_text("utf-8")
    known = int(dissection.layers[0].table["iou"].notna().sum())
    shades = re.findall(r'<i class="iou-parts ink-\w+" style="(.*?)"></i>', page)
    assert len(shades) == known
    assert all(re.findall(r"--([a-d]):[\d.]+%", one) == list("abcd") for one in shades)
    assert len(SHADES) == 4


def test_every_concept_names_its_best_unit_with_that_units_figures_for_it(site: Path, dissection: Dissection) -> None:
    text = (site / "planted" / "concepts.html").read_text("utf-8")
    rows = [row for row in re.findall(r"<tr.*?</tr>", text[text.index('id="all"') :], re.DOTALL) if "<td" in row]
    labels = pd.concat([layer.labels.assign(layer=layer.name) for layer in dissection.layers], ignore_index=True)
    good = labels[labels["interpretable"]]
    for concept, row in zip(dissection.concepts["concept"], rows, strict=True):
        units = good[good["concept"] == concept]
        if not len(units):
            assert "unit-" not in row
            continue
        best = units.loc[units["selection_score"].idxmax()] if units["selection_score"].is_unique else None
        if best is not None:
            assert f"{best.layer} unit {best.unit}</a>" in row
            assert f'value="{best.iou:.4f}"' in row
            assert re.search(rf">\s*{share(best.corrected_iou)}\s*<span", row)
            overall = next(la for la in dissection.layers if la.name == best.layer).table["concept"][best.unit]
            assert ("overall label" in row) == (overall != concept)
    shown, leading = good["concept"].nunique(), pd.concat([la.interpretable for la in dissection.layers])["concept"]
    assert (
        f"{shown} concepts are labels of interpretable units, {leading.nunique()} of them the overall label of a unit"
        in page_text(site / "planted" / "concepts.html")
    )


def test_negatively_correlated_units_are_listed_separately(dissection: Dissection, tmp_path: Path) -> None:
    (one, *rest) = dissection.layers
    turned = one.correlated.assign(correlation=[0.5, -0.5] * (len(one.correlated) // 2))
    write_site(replace(dissection, layers=(replace(one, correlated=turned), *rest)), tmp_path)
    text = (tmp_path / "planted" / one.name / "unit-1.html").read_text("utf-8")
    same, opposite = text.split("Positively correlated units</h2>")[1].split("Negatively correlated units</h2>")
    assert "correlation 0.50" in same and "−" not in "".join(re.findall("correlation [^<]*", same))
    assert "correlation −0.50" in opposite and "correlation 0.50" not in opposite


def test_a_model_is_called_what_it_calls_itself(dissection: Dissection, tmp_path: Path) -> None:
    facts = dissection.provenance
    own = replace(dissection, model="./mine.py:load", provenance=replace(facts, generator={"name": "mine"}))
    written = write_site(own, tmp_path)
    (home,) = (path.parent for path in tmp_path.glob("*/summary.json"))
    assert home.name != "mine", "the address of its pages is that of the model"
    assert "<h1>mine</h1>" in (home / "index.html").read_text("utf-8")
    top = written.index.read_text("utf-8")
    assert ">mine</a>" in top and "./mine.py:load" in top


def test_every_rule_has_its_own_wording() -> None:
    assert set(WORDINGS) == set(RULES)
    for words in WORDINGS.values():
        assert set(words.columns) <= set(COLUMNS)


@pytest.mark.parametrize("rule", [extended("iclr2019"), "pnas2020"])
def test_a_published_rule_claims_neither_halves_nor_chance(rule: str, dissection: Dissection, tmp_path: Path) -> None:
    made = as_published_run(rule, dissection)
    write_site(made, tmp_path)
    for path in pages(tmp_path):
        assert not HALVES.search(page_text(path)), (path, HALVES.search(page_text(path)))
        claims = re.findall(r"Matches [a-z ]+ better than chance|units match a concept better", page_text(path))
        assert not claims, path
    labelled = [len(layer.interpretable) for layer in made.layers]
    beats = [int((layer.table["interpretable"] & layer.table["beats_chance"]).sum()) for layer in made.layers]
    cut = share(RULES[rule].interpretable["iou"])
    home, layer1 = (
        page_text(tmp_path / "planted" / "index.html"),
        page_text(tmp_path / "planted" / "layer1" / "index.html"),
    )
    assert f"{sum(beats)} of the {sum(labelled)} labelled units also match" in home
    assert f"{beats[0]} of the {labelled[0]} labelled units also match" in layer1
    assert f"have an IoU above {cut}" in home and f"have an IoU above {cut}" in layer1
    assert f"{sum(beats)} of the {sum(labelled)} labelled units also" in page_text(tmp_path / "index.html")
    methods = page_text(tmp_path / "planted" / "methods.html")
    assert ("the same 10,000 images" if rule == "pnas2020" else "on 10,000 images of another seed") in methods
    assert "All 15 concepts that occur were tested" in methods


def test_the_corrected_rule_names_the_held_out_images(site: Path) -> None:
    methods = page_text(site / "planted" / "methods.html")
    assert "chosen on 5,000 selection images. All scores come from the other 5,000 held-out images" in methods
    assert (
        "its chance-corrected IoU is significantly above 0.04: the q-value of the test against 0.04 is below 0.05"
        in methods
    )
    assert "also match" not in page_text(site / "planted" / "index.html")


def test_a_page_that_shows_an_untested_concept_says_why(dissection: Dissection, tmp_path: Path) -> None:
    layer = dissection.layers[0]
    rare = replace(layer, pairs=layer.pairs.assign(tested=layer.pairs["concept"] != "sun"))
    concepts = dissection.concepts.assign(tested=dissection.concepts["concept"] != "sun")
    write_site(replace(dissection, layers=(rare,), concepts=concepts), tmp_path)
    why = "A concept is tested only if it occurs in at least 20 selection images and 20 held-out images."
    assert "sun not tested" in page_text(tmp_path / "planted" / "concepts.html")
    assert why in page_text(tmp_path / "planted" / "concepts.html")
    for unit in range(layer.units):
        words = page_text(tmp_path / "planted" / "layer1" / f"unit-{unit}.html")
        shown = (layer.pairs.loc[layer.pairs["unit"] == unit, "concept"] == "sun").any()
        assert ("sun not tested" in words) == (why in words) == bool(shown)


def test_the_heat_map_and_its_table_hold_the_same_numbers(site: Path) -> None:
    text = (site / "planted" / "concepts.html").read_text("utf-8")
    figure = json.loads(re.findall(r'id="plot-heatmap-data">(.*?)</script>', text, re.DOTALL)[0])["data"][0]
    table = re.findall(r'id="heatmap-table"[^>]*>(.*?)</table>', text, re.DOTALL)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.DOTALL)
    assert len(rows) == len(figure["y"]) > 5
    for row, concept, corrected_iou, units in zip(rows, figure["y"], figure["z"], figure["text"], strict=True):
        cells = [
            re.sub(r"\s+", " ", re.sub(r"<.*?>", "", cell)).strip()
            for cell in re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)
        ]
        assert f"</i>{concept}<" in row
        told = ["–" if v is None else f"{share(v)} {n}" for v, n in zip(corrected_iou, units, strict=True)]
        assert cells == [words.replace(" 1 units", " 1 unit") for words in told]


@pytest.mark.extended
def test_the_page_of_512_units_weighs_less_than_a_megabyte_before_scrolling(tmp_path: Path) -> None:
    from dissectreport.report.common.model import Site
    from dissectreport.report.common.rendering import render
    from dissectreport.report.html.assets import load_assets
    from dissectreport.report.html.places import Places
    from dissectreport.report.pages.layers import layer_page

    made = example_dissection(units=512, layers=1)
    assets, shared = load_assets()
    page = render("layer.html", layer_page(Site(made, Places.of(made), assets), made.layers[0]))
    beside = sum(len(content) for name, content in shared.items() if not re.search("plotly|paint|compare", name))
    assert len(page) + beside < 1_000_000
