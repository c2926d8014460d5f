"""Styles: what belongs to one kind of page reaches no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dissectreport.report.html.assets import templates_folder

STATIC = templates_folder() / "static"
PAGES = sorted((STATIC / "pages").glob("*.css"))
KINDS = {
    kind
    for template in templates_folder().glob("*.html")
    for words in re.findall(r"{% block kind %}([^{]+){% endblock %}", template.read_text("utf-8"))
    for kind in words.split()
}
CLASS = re.compile(r"\.([A-Za-z][\w-]*)")


def selectors(style: str) -> list[str]:
    """Every selector of a style sheet, those in media queries too."""
    rules = re.findall(r"([^{};]+)\{(?=[^{}]*\})", re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL))
    return [part.strip() for rule in rules for part in re.split(r",(?![^(]*\))", rule) if part.strip()]


def scope_of(selector: str) -> str:
    found = re.match(r"(?:\.js )?:where\(\.(page-\w+)\) |\.(page-\w+)\b", selector)
    return "" if found is None else found[1] or found[2]


def test_selectors_are_found_also_in_media_queries() -> None:
    style = "a, b > .c {x: y} @media print { .d:is(e, f) { x: y } } @font-face { x: y }"
    assert selectors(style) == ["a", "b > .c", ".d:is(e, f)", "@font-face"]


@pytest.mark.parametrize("sheet", PAGES, ids=lambda path: path.stem)
def test_every_rule_of_a_page_is_for_that_kind_of_page_alone(sheet: Path) -> None:
    kind = f"page-{sheet.stem}"
    scopes = {selector: scope_of(selector) for selector in selectors(sheet.read_text("utf-8"))}
    assert kind in KINDS and scopes
    assert {selector for selector, scope in scopes.items() if scope != kind} == set()


def test_the_style_of_all_pages_names_no_kind_of_page() -> None:
    assert [s for s in selectors((STATIC / "site.css").read_text("utf-8")) if ".page-" in s] == []


def test_a_class_that_a_page_defines_is_not_defined_for_all_pages_too() -> None:
    shared = {name for s in selectors((STATIC / "site.css").read_text("utf-8")) for name in CLASS.findall(s)[:1]}
    for sheet in PAGES:
        scoped = [s.split(") ", 1)[1] for s in selectors(sheet.read_text("utf-8")) if s.startswith(":where")]
        alone = {CLASS.findall(s)[0] for s in scoped if re.fullmatch(r"\.[\w-]+", s)}
        assert alone & shared == set(), sheet.name
