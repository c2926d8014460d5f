"""The pages of a classifier: its classes, the units of each, and links both ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.models.planted_classifier import CLASSES, UNIT
from dissectreport.pipeline.measure import measure
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.render import assembled
from dissectreport.report.site.build import write_site
from tests.support.damage import unnoticed_in_cache, unnoticed_in_site
from tests.support.sites import Page, broken_links

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def dissection(cache: Path) -> Dissection:
    options = Options(
        "planted_classifier", samples=96, grid=16, pilot=48, controls=False, workers=1, cache=cache, budget="quick"
    )
    return assembled(measure(options), cache)


@pytest.fixture(scope="module")
def site(dissection: Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    write_site(dissection, out)
    return out / "planted_classifier"


def words(path: Path) -> str:
    """The text of a page, with single spaces."""
    page = Page(path.read_text("utf-8"))
    return " ".join(page.text(0).split())


@pytest.mark.extended
def test_no_bit_of_what_was_measured_and_written_changes_unnoticed(cache: Path, site: Path) -> None:
    unnoticed, tried = unnoticed_in_cache(cache)
    assert unnoticed == [] and tried > 1000
    files = sorted(path for path in site.rglob("*class*") if path.is_file())
    names = [path.relative_to(site.parent).as_posix() for path in files]
    assert len(names) > 1 and unnoticed_in_site(site.parent, names) == []


def test_every_link_leads_somewhere(site: Path) -> None:
    assert broken_links(site.parent) == []


def test_the_page_leads_with_what_was_found(site: Path) -> None:
    text = words(site / "classes.html")
    assert "planted_classifier predicts the correct class of" in text
    assert "that matter most to" in text
    for name in CLASSES[:3]:
        assert f"Balanced accuracy of {name} by number of units" in text


def test_the_page_says_how_classes_were_chosen_and_which_have_few_images(site: Path) -> None:
    text = words(site / "classes.html")
    assert "4 of 4 classes, those with most images." in text
    assert "A half has fewer than 20 images for" in text
    assert "without the 4 units that matter most" in text


def test_classes_that_were_named_are_said_to_be(dissection: Dissection, tmp_path: Path) -> None:
    classes = dissection.classes
    assert classes is not None
    write_site(replace(dissection, classes=replace(classes, most_images=False)), tmp_path)
    assert "classes, those that --classes names." in words(tmp_path / "planted_classifier" / "classes.html")


def test_the_overview_and_the_menu_lead_to_it(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")
    assert page.count('href="classes.html"') >= 2
    assert "What they do for classes" in page


def test_units_and_classes_link_to_each_other(site: Path, dissection: Dissection) -> None:
    classes = dissection.classes
    assert classes is not None
    unit = site / "features" / f"unit-{UNIT['ball']}.html"
    assert f'href="../classes.html#class-{CLASSES.index("ball")}"' in unit.read_text("utf-8")
    assert "that matter most to ball" in words(unit)
    assert f'href="features/unit-{UNIT["ball"]}.html"' in (site / "classes.html").read_text("utf-8")


def test_a_card_says_what_its_unit_matters_to(site: Path) -> None:
    assert "matters to ball" in words(site / "features" / "index.html")


def test_every_unit_that_matters_is_listed_with_its_classes(site: Path, dissection: Dissection) -> None:
    classes = dissection.classes
    assert classes is not None
    page = (site / "classes.html").read_text("utf-8")
    listed = page.partition('id="units"')[2].partition("</section>")[0]
    mattering = classes.class_units[classes.class_units["matters"]]
    assert mattering["unit"].nunique() == listed.count('<th scope="row">')
    for row in mattering.rename(columns={"class": "name"}).itertuples():
        assert f'href="features/unit-{row.unit}.html"' in listed
        assert f">{row.name}</a>" in listed


def test_a_unit_without_weight_says_so(site: Path) -> None:
    text = words(site / "features" / f"unit-{UNIT['dead']}.html")
    assert "It is not among the 4 units that matter most to any of the" in text


def test_tables_are_files(site: Path, dissection: Dissection) -> None:
    classes = dissection.classes
    assert classes is not None
    for name in ("classes", "curves", "class_units", "attacks"):
        table = pd.read_csv(site / "data" / f"features-classes-{name}.csv")
        assert list(table.columns) == list(getattr(classes, name).columns)
        assert len(table) == len(getattr(classes, name))


def test_images_without_labels_are_said_to_agree_with_the_network_itself(
    dissection: Dissection, tmp_path: Path
) -> None:
    classes = dissection.classes
    assert classes is not None
    write_site(replace(dissection, classes=replace(classes, labelled=False)), tmp_path)
    text = words(tmp_path / "planted_classifier" / "classes.html")
    assert "agreement of the network with its own predictions" in text
    assert "so the predictions of planted_classifier itself are the truth" in text


def estimated(made: Dissection, tested: int) -> Dissection:
    """The same with estimates of what classes lose, of which so many units were checked by ablation."""
    classes = made.classes
    assert classes is not None
    units = classes.class_units.assign(estimated_loss=classes.class_units["certainty_lost"] * 0.9)
    table = classes.classes.assign(estimate_correlation=0.875)
    return replace(
        made, classes=replace(classes, class_units=units, classes=table, closed_form=False, tested=tested, checked=4)
    )


def test_estimates_stand_beside_what_was_measured(dissection: Dissection, tmp_path: Path) -> None:
    classes = dissection.classes
    assert classes is not None
    assert 'id="estimates"' not in site_page(dissection, tmp_path / "closed").read_text("utf-8")
    every = words(site_page(estimated(dissection, classes.units), tmp_path / "every"))
    assert "Estimated and measured loss" in every
    assert "0.88" in every
    assert "no result on this page depends on the estimate" in every
    some = words(site_page(estimated(dissection, 6), tmp_path / "some"))
    assert "so only 6 were ablated alone: 4 random ones, with which the estimate is checked" in some


def test_the_page_says_which_images_score_units(dissection: Dissection, tmp_path: Path) -> None:
    classes = dissection.classes
    assert classes is not None
    halves = words(site_page(dissection, tmp_path / "halves"))
    assert "The images of every class are divided into halves." in halves
    made = replace(dissection, classes=replace(classes, validation="val", balanced=True))
    both = words(site_page(made, tmp_path / "both"))
    assert "validation images, those of val, as Bau et al. (2020) do." in both
    assert "so each studied class has up to 20 images in each half" in both
    assert "divided into halves" not in both


def site_page(made: Dissection, folder: Path) -> Path:
    """The page of classes of a site in a folder."""
    write_site(made, folder)
    return folder / "planted_classifier" / "classes.html"


def test_a_classifier_without_the_page_says_why(dissection: Dissection, tmp_path: Path) -> None:
    made = replace(dissection, classes=None, no_classes="fewer than two classes have four images")
    overview = site_page(made, tmp_path).with_name("index.html")
    assert "for the classes was not measured: fewer than two classes have four images." in words(overview)


def test_other_models_have_no_such_page(dissection: Dissection, tmp_path: Path) -> None:
    write_site(replace(dissection, classes=None), tmp_path)
    assert not (tmp_path / "planted_classifier" / "classes.html").exists()
    assert "classes.html" not in (tmp_path / "planted_classifier" / "index.html").read_text("utf-8")
