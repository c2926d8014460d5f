"""Pages as parts of one document: their addresses become anchors, and their pictures are embedded."""

from __future__ import annotations

import base64
import io
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from urllib.parse import parse_qs, unquote

from markupsafe import Markup, escape
from PIL import Image

from dissectreport.image_files import opened_image

Attributes = list[tuple[str, str | None]]

_VOID = frozenset({"img", "br", "hr", "input", "meta", "link", "wbr", "source", "col"})
_REFERRING = frozenset({"for", "aria-labelledby", "aria-describedby", "aria-controls", "data-save", "data-copy"})
_TYPES = {"webp": "image/webp", "png": "image/png", "jpg": "image/jpeg", "svg": "image/svg+xml"}
_LEFT_OUT = frozenset({"crumbs", "doors", "downloads", "to-downloads", "numbers", "plotly-host"})
"""Classes and anchors of what leads to other files, or is drawn by the script of a page."""
_WORKING = frozenset({"data-save", "data-copy"})
"""What buttons do that work without the script of their own page."""


@dataclass(frozen=True)
class Leaf:
    """One page within a document."""

    key: str
    """Its anchor, and the beginning of every anchor in it."""
    title: str
    kind: str
    content: Markup


@dataclass(frozen=True)
class Binding:
    """How pages are joined into one document."""

    pages: Mapping[str, str]
    """The anchor of each page by its address."""
    picture: Callable[[str], str]
    """The picture at an address as a data URI."""
    cards: int = 0
    """Most units of a layer whose cards are kept; 0 for all."""


def key_of(page: str) -> str:
    """The anchor of a page, from its address within its model's folder; a folder's first page is the folder.

    It is a name of XML, as anchors within charts have to be, and no two pages have the same.
    """
    key = re.sub(r":index$", ":", page.removesuffix(".html").replace("/", ":"))
    return key if key[:1].isalpha() else f"_{key}"


def leaf(address: str, page: str, binding: Binding) -> Leaf:
    """The page at an address of the site as a leaf."""
    bound = _Bound(address, binding)
    bound.feed(page)
    bound.close()
    title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    kind = re.search(r'<body class="([^"]*)"', page)
    assert title is not None and kind is not None, f"{address} is a page of ours"
    words = Markup(title[1]).unescape().removesuffix(" · dissectreport")
    return Leaf(binding.pages[address], words, kind[1], Markup("".join(bound.parts)))


def as_data(content: bytes, name: str, scale: float = 1.0) -> str:
    """A picture within a page; a WebP may be made smaller."""
    suffix = name.rpartition(".")[2]
    if scale < 1 and suffix == "webp":
        content = _smaller(content, scale)
    return f"data:{_TYPES[suffix]};base64,{base64.b64encode(content).decode()}"


def _smaller(content: bytes, scale: float) -> bytes:
    out = io.BytesIO()
    with opened_image(content) as image:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image.resize(size, Image.Resampling.LANCZOS).save(out, "WEBP", quality=60, method=4)
    return out.getvalue()


@dataclass(frozen=True)
class _Section:
    """An element that is kept only if something in it is."""

    start: int
    """The place of its first part."""
    depth: int
    worth: bool = field(default=False)


class _Bound(HTMLParser):
    """What a page's <main> holds, without what needs a script of the page or leads out of the document."""

    def __init__(self, here: str, binding: Binding) -> None:
        super().__init__(convert_charrefs=False)
        self.here, self.binding, self.key = here, binding, binding.pages[here]
        self.parts: list[str] = []
        self.depth = self.skipped = self.cards = 0
        self.exploring: _Section | None = None

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        attributes = dict(attrs)
        if not self.depth:
            self.depth = int(tag == "main")
            return
        inner = tag not in _VOID
        if self.skipped or self._is_out(tag, attributes):
            self.skipped += inner
            return
        if "explore" in (attributes.get("class") or "").split():
            self.exploring = _Section(len(self.parts), self.depth)
        elif tag == "details" and self.exploring:
            self.exploring = replace(self.exploring, worth=True)
        self.depth += inner
        self.parts.append(self._start(tag, attrs))

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        if self.depth and not self.skipped:
            self.parts.append(self._start(tag, attrs).removesuffix(">") + "/>")

    def handle_endtag(self, tag: str) -> None:
        if self.skipped:
            self.skipped -= tag not in _VOID
        elif self.depth:
            self.depth -= 1
            if self.depth:
                self.parts.append(f"</{tag}>")
            self._leave()

    def _leave(self) -> None:
        """Remove a chart that only a script would draw, where no table has its numbers."""
        was_exploring = self.exploring
        if was_exploring is not None and self.depth <= was_exploring.depth:
            if not was_exploring.worth:
                del self.parts[was_exploring.start :]
            self.exploring = None

    def handle_data(self, data: str) -> None:
        self._add(data)

    def handle_entityref(self, name: str) -> None:
        self._add(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._add(f"&#{name};")

    def _add(self, words: str) -> None:
        if self.depth and not self.skipped:
            self.parts.append(words)

    def _is_out(self, tag: str, attributes: Mapping[str, str | None]) -> bool:
        classes = (attributes.get("class") or "").split()
        if "card" in classes and attributes.get("id"):
            self.cards += 1
            return 0 < self.binding.cards < self.cards
        needs_script = "js" in classes and not _WORKING & attributes.keys()
        away = tag == "a" and (
            "hidden" in attributes or ("more" in classes and self._anchor(attributes.get("href") or "") == "")
        )
        return tag == "script" or needs_script or away or bool(_LEFT_OUT & {*classes, attributes.get("id") or ""})

    def _start(self, tag: str, attrs: Attributes) -> str:
        kept = [pair for name, value in attrs for pair in self._bound(tag, name, value)]
        return "".join([f"<{tag}", *(f" {n}" if v is None else f' {n}="{escape(v)}"' for n, v in kept), ">"])

    def _bound(self, tag: str, name: str, value: str | None) -> Attributes:
        """The attribute as it is in the document; nothing where it would lead out of it."""
        if value is None:
            return [(name, value)]
        if name == "id":
            return [(name, self._within(value))]
        if name in _REFERRING:
            return [(name, " ".join(map(self._within, value.split())))]
        if name == "href":
            anchor, words = self._anchor(value), parse_qs(value.partition("#")[2]).get("c", [""])[0]
            return [*([(name, f"#{anchor}")] if anchor else []), *([("data-words", words)] if anchor and words else [])]
        if name == "src":
            return [(name, self.binding.picture(self._resolved(value)))]
        if name in ("download", "data-shortcut"):
            return []
        return [(name, re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{self._within(m[1])})", value))]

    def _within(self, anchor: str) -> str:
        return f"{self.key}-{anchor}"

    def _resolved(self, link: str) -> str:
        """The address of the site to which a relative link leads."""
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.here), unquote(link)))

    def _anchor(self, href: str) -> str:
        """Where a link leads within the document; '' where it leads out of it."""
        path, _, fragment = href.partition("#")
        key = self.binding.pages.get(self._resolved(path) if path else self.here, "")
        view = parse_qs(fragment)
        inside = f"u{view['u'][0]}" if "u" in view else "units" if view else fragment
        return key and (f"{key}-{inside}" if inside else key)
