"""What a published site tells others, and sites that show less to stay within a size."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from dissectreport import __version__
from dissectreport.analysis.results.dissection import Dissection
from dissectreport.errors import BadOption, OutputError
from dissectreport.report.causes.share_card import INDENT, beside
from dissectreport.report.common.sharing import SIZE
from dissectreport.report.common.site_options import (
    DETAILS,
    NOWHERE,
    SiteSettings,
    checked_address,
    detail_named,
    with_detail,
)
from dissectreport.report.export.dissect_json import dissect_json, old_pictures, read_dissect_json
from dissectreport.report.export.imported import write_imported
from dissectreport.report.html.citation import licence_of
from dissectreport.report.site.build import write_site
from dissectreport.report.site.fixed_comparison import write_comparison
from dissectreport.report.site.writing import Written
from tests.support.dissections import example_dissection, with_interventions
from tests.support.pictures import random_pixels
from tests.support.sites import Page, broken_links, contents, pages

BASE = "https://someone.github.io/what%20is%20inside/"


@pytest.fixture(scope="module")
def dissection() -> Dissection:
    return with_interventions(example_dissection(units=8))


@pytest.fixture(scope="module")
def told(dissection: Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that knows its address."""
    out = tmp_path_factory.mktemp("told")
    write_site(dissection, out, settings=SiteSettings(base_url=BASE))
    return out


def meta(page: Path) -> dict[str, str]:
    """What a page tells others, by name or property."""
    found = (attributes for tag, attributes, _, _ in Page(page.read_text("utf-8")).elements if tag == "meta")
    return {a.get("property", a.get("name", "")): a["content"] for a in found if "content" in a}


@pytest.mark.parametrize("words", ["20 units off: 61% less sky", "20 units off: 61% less " + "windowpane, glass " * 9])
def test_words_on_a_preview_picture_stay_below_their_own_image(words: str) -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    with Image.open(BytesIO(beside((white, "a model"), (white, words)))) as made:
        assert made.size == SIZE
        line = np.asarray(made.convert("L"))[-60:-20].max(0)
    right = SIZE[0] // 2
    assert line[right:].max() > 200 and line[:right].max() > 200
    assert line[-INDENT + 4 :].max() < 80 and line[right - 20 : right + 20].max() < 80


def canonical(page: Path) -> list[str]:
    elements = Page(page.read_text("utf-8")).elements
    return [a["href"] for tag, a, _, _ in elements if tag == "link" and a.get("rel") == "canonical"]


def test_every_page_names_its_own_address_and_a_picture_that_exists(told: Path) -> None:
    for page in pages(told):
        place = re.sub(r"(^|/)index\.html$", r"\1", page.relative_to(told).as_posix())
        assert canonical(page) == [BASE + place]
        said = meta(page)
        assert said["og:url"] == BASE + place
        assert said["og:title"] and said["og:description"]
        picture = Image.open(told / said["og:image"].removeprefix(BASE))
        assert picture.format == "JPEG" and picture.size == (1200, 630)


def test_the_sitemap_lists_every_page_of_every_model_once(dissection: Dissection, tmp_path: Path) -> None:
    write_site(example_dissection(units=6, layers=1, name="another"), tmp_path, settings=SiteSettings(base_url=BASE))
    write_site(dissection, tmp_path, settings=SiteSettings(base_url=BASE))
    root = ElementTree.parse(tmp_path / "sitemap.xml").getroot()
    listed = [str(one.text) for one in root.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert listed[0] == BASE
    assert sorted(listed) == sorted(canonical(page)[0] for page in pages(tmp_path))


def test_a_site_keeps_its_address_whatever_is_added(dissection: Dissection, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(dissection, out, settings=SiteSettings(base_url=BASE))
    before = contents(out)
    assert write_site(dissection, out).changed == 0 and contents(out) == before
    write_site(example_dissection(units=6, layers=1, name="another"), out)
    old = tmp_path / "results"
    old.mkdir()
    (old / "dissect.json").write_bytes(dissect_json(dissection, old_pictures(dissection)))
    write_imported(read_dissect_json(old / "dissect.json"), old, out)
    page = write_comparison(out, ["planted", "another"]).index
    root = ElementTree.parse(out / "sitemap.xml").getroot()
    listed = [str(one.text) for one in root.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert sorted(listed) == sorted(canonical(page)[0] for page in pages(out))
    assert BASE + page.relative_to(out).as_posix() in listed
    assert meta(page)["og:image"].startswith(BASE)
    assert page.relative_to(out).as_posix() in (out / "compare.html").read_text("utf-8"), "nobody would find it"


def test_without_an_address_no_page_holds_one_and_the_sitemap_goes(tmp_path: Path) -> None:
    dissection = example_dissection(units=6, layers=1)
    write_site(dissection, tmp_path / "told", settings=SiteSettings(base_url=BASE))
    write_site(dissection, tmp_path / "told", settings=SiteSettings(base_url=NOWHERE))
    write_site(dissection, tmp_path / "never")
    never = contents(tmp_path / "never")
    assert contents(tmp_path / "told") == never
    assert "sitemap.xml" not in never and "planted/card.jpg" not in never
    for name, content in never.items():
        if name.endswith(".html"):
            markup = re.sub(rb"<pre.*?</pre>", b"", content, flags=re.DOTALL)  # what is quoted is no link
            markup = re.sub(rb'href="https://(arxiv\.org|doi\.org)/', b"", markup)  # papers
            assert not re.search(rb"(href|src|content)=\"?(https?:)?//", markup), name


@pytest.mark.extended
def test_somebody_elses_sitemap_is_left_alone(dissection: Dissection, tmp_path: Path) -> None:
    write_site(example_dissection(units=6, layers=1), tmp_path)
    (tmp_path / "sitemap.xml").write_text("<urlset/>")
    write_site(example_dissection(units=6, layers=1), tmp_path)
    assert (tmp_path / "sitemap.xml").read_text() == "<urlset/>"


def test_addresses_are_checked_and_end_with_a_slash() -> None:
    assert (checked_address(""), checked_address(NOWHERE)) == ("", NOWHERE)
    assert checked_address("https://a.b/c d") == checked_address("https://a.b/c d/") == "https://a.b/c%20d/"
    for wrong in ("a.b", "file:///x", "https://", "https://a.b/?q=1", "https://a.b/#top", "javascript:alert(1)"):
        with pytest.raises(BadOption, match="--base-url is the address of the published site"):
            checked_address(wrong)


def test_every_page_has_an_icon_that_is_a_file_of_the_site(told: Path) -> None:
    for page in pages(told):
        links = [a for tag, a, _, _ in Page(page.read_text("utf-8")).elements if tag == "link" and a["rel"] == "icon"]
        kinds = [Path(a["href"]).suffix for a in links]
        assert kinds == [".ico", ".svg"]
        assert all((page.parent / a["href"]).is_file() for a in links)
    assert Image.open(told / "favicon.ico").size == (32, 32)


def drawn(found: Dissection, out: Path, name: str) -> Written:
    return write_site(found, out, settings=SiteSettings(detail_named(name)))


@pytest.mark.extended
def test_every_step_takes_less_and_its_links_still_lead_somewhere(tmp_path: Path) -> None:
    dissection = with_interventions(example_dissection(units=6, layers=1))
    large = replace(dissection.pictures, pixels=dissection.pictures.pixels.repeat(4, 1).repeat(4, 2))
    found, sizes = replace(dissection, pictures=large), []
    for detail in DETAILS:
        out = tmp_path / detail.name
        sizes.append(drawn(found, out, detail.name).bytes)
        assert broken_links(out.resolve()) == [], detail.name
        text = (out / "planted" / "methods.html").read_text()
        assert detail.left_out in text and ("To limit the size of the site" in text) == bool(detail.left_out)
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(DETAILS)
    assert not list((tmp_path / "no unit pages").rglob("unit-*.html"))
    assert not list((tmp_path / "no unit pages" / "planted").glob("layer*/img/*-off.webp")), "only unit pages show them"
    shown = Image.open(next((tmp_path / "small images" / "planted" / "img").glob("[0-9]*.webp")))
    assert max(shown.size) == 128


def test_less_detail_keeps_every_picture_that_is_shown(dissection: Dissection) -> None:
    few = with_detail(dissection, detail_named("few examples"))
    assert set(few.layers[0].examples.kind) == {"top"}
    assert len(few.pictures.numbers) < len(dissection.pictures.numbers)
    for layer in few.layers:
        for sample in {*layer.examples.samples.reshape(-1).tolist(), *layer.lookup.samples.tolist()}:
            assert np.array_equal(few.pictures.of(sample), dissection.pictures.of(sample))


def heavy() -> Dissection:
    """A dissection whose images are large, and whose pages are few."""
    made = example_dissection(units=6, layers=1)
    pixels = random_pixels((*made.pictures.pixels.shape[:1], 300, 300, 3))
    return replace(made, pictures=replace(made.pictures, pixels=pixels), trust=())


def test_a_site_that_is_to_fit_leaves_out_step_by_step_what_it_says(tmp_path: Path) -> None:
    found = heavy()
    drawn(found, tmp_path / "few", "few examples")
    own = {name: b for name, b in contents(tmp_path / "few" / "planted").items() if name != "manifest.json"}
    limit = -(-sum(map(len, own.values())) // 10**6)
    fitted = write_site(found, tmp_path / "fit", limit=limit, settings=SiteSettings(fit=True))
    assert [line.split(": ")[0] for line in fitted.left_out] == [
        "left out images with intermediate activations and random images"
    ]
    assert contents(tmp_path / "fit") == contents(tmp_path / "few")


def test_what_cannot_be_made_to_fit_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"more than the 1 MB of --site-limit.*or with --fit"):
        write_site(heavy(), tmp_path / "site", limit=1)
    assert not (tmp_path / "site").exists()


def test_the_picture_beside_a_link_shows_images(told: Path) -> None:
    pixels = np.asarray(Image.open(told / "planted" / "card.jpg"))
    rows = pixels[:200], pixels[215:415], pixels[430:]
    assert all(row.std() > 20 for row in rows)
    assert not any(np.array_equal(one, other) for one, other in ((rows[0], rows[1]), (rows[1], rows[2])))


@pytest.mark.parametrize(
    ("facts", "licence"),
    [
        ({"licence": "CC BY-NC 4.0"}, "CC BY-NC 4.0"),
        ({"license": "MIT", "card": {"licence": "other"}}, "MIT"),
        ({"card": {"licence": "Apache-2.0"}}, "Apache-2.0"),
        ({"card": "no card"}, ""),
        ({}, ""),
    ],
)
def test_the_licence_of_a_model_is_the_one_that_its_facts_or_its_card_tell(
    facts: dict[str, object], licence: str
) -> None:
    assert licence_of(facts) == licence


def test_the_methods_page_cites_both_papers_this_version_and_the_licence(told: Path) -> None:
    text = (told / "planted" / "methods.html").read_text()
    cited = text.partition('id="bibtex">')[2].partition("</pre>")[0]
    assert [line for line in cited.splitlines() if line.startswith("@")] == [
        "@inproceedings{bau2019gandissection,",
        "@article{bau2020units,",
        "@misc{dissectreport,",
    ]
    assert cited.count("{") == cited.count("}")
    assert f"Version {__version__}" in cited and "10.1073/pnas.1907375117" in cited
    assert "<dt>licence of the model</dt>" in text
