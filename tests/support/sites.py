"""A built site as files: its pages, the text of a page, links that lead nowhere, and IoUs without their context."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

VOID = {"img", "meta", "link", "input", "br", "hr"}


class Page(HTMLParser):
    """The elements of a page, each as (tag, attributes, ancestors' numbers, own text)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[int], list[str]]] = []
        self.open: list[int] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}, list(self.open), []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}, list(self.open), []))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.elements[self.open.pop()][0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for number in self.open:
            self.elements[number][3].append(data)

    def text(self, number: int) -> str:
        return "".join(self.elements[number][3])

    def classes(self, number: int) -> list[str]:
        return self.elements[number][1].get("class", "").split()


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


PAPERS = ("https://arxiv.org/abs/", "https://doi.org/")
"""Where links to papers lead: the only ones out of a site."""


def broken_links(site: Path) -> list[str]:
    """Every href and src that is not a file of the site, or names an anchor that its page lacks."""
    parsed = {page: Page(page.read_text("utf-8")) for page in pages(site)}
    anchors = {page: {e[1]["id"] for e in p.elements if "id" in e[1]} for page, p in parsed.items()}
    wrong = []
    for page, inside in parsed.items():
        for _, attributes, _, _ in inside.elements:
            for address in (attributes.get("href"), attributes.get("src")):
                if address is None or address.startswith(("data:", *PAPERS)):
                    continue
                path, _, fragment = address.partition("#")
                there = (page.parent / unquote(path)).resolve() if path else page
                state = "=" in fragment  # a view, read by the page's script
                if re.match(r"[a-z]+:|/", address) or not there.is_relative_to(site) or not there.is_file():
                    wrong.append(f"{page.relative_to(site)}: {address}")
                elif fragment and not state and fragment not in anchors[there]:
                    wrong.append(f"{page.relative_to(site)}: no #{fragment}")
    return wrong


NUMBER = r"(0|1|[<>−]?0\.\d+)"


def ious_without_context(page: Page) -> list[str]:
    """Every IoU of a page without an interval and a chance level in its own box."""
    wrong = []
    below: dict[int, list[int]] = {}
    for number, (_, _, above, _) in enumerate(page.elements):
        for one in above:
            below.setdefault(one, []).append(number)
    for number, (tag, attributes, above, _) in enumerate(page.elements):
        if not (tag == "data" and "iou" in page.classes(number)):
            continue
        assert 0 <= float(attributes["value"]) <= 1
        box = next((a for a in reversed(above) if "agree" in page.classes(a)), None)
        if box is None:
            wrong.append(f"IoU {page.text(number)} stands alone")
            continue
        inside = below.get(box, [])
        interval = [page.text(i).strip() for i in inside if "ci" in page.classes(i)]
        chance_level = [page.text(i).strip() for i in inside if "chance_level" in page.classes(i)]
        if len(interval) != 1 or not re.fullmatch(rf"\[{NUMBER}, {NUMBER}\]", interval[0]):
            wrong.append(f"interval {interval}")
        if len(chance_level) != 1 or not re.fullmatch(rf"(chance (level )?)?{NUMBER}", chance_level[0]):
            wrong.append(f"null {chance_level}")
    for number, (tag, _, above, own) in enumerate(page.elements):
        bare = re.search(r"(?<!chance-corrected )IoU\s*[<>]?0?\.\d", "".join(own))
        if not bare or tag == "script":
            continue
        if not any("agree" in page.classes(one) for one in [*above, number, *below.get(number, [])]):
            wrong.append(f"an IoU in plain words: {''.join(own)[:80]}")
    return wrong


def page_text(path: Path) -> str:
    """The words of a page."""
    page = Page(path.read_text("utf-8"))
    return re.sub(r"\s+", " ", next(page.text(i) for i, e in enumerate(page.elements) if e[0] == "body"))
