"""The Content-Security-Policy of every page: what a browser loads and runs, even if a name slipped in some markup.

A page runs the scripts of the site's own folder, and its inline scripts by their hashes, and nothing else. It connects
to nothing. `file:` is beside 'self', because a page that was opened from a folder has no origin of its own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

from markupsafe import Markup

from dissectreport.report.html.assets import plotly_bundle, templates_folder

LISTENING = ((b"connect-src 'none'", b"connect-src 'self'"), (b"script-src ", b"script-src 'self' "))
"""What `dissectreport serve` replaces in the policy of a page that listens for changes."""
_FOLDER = ("'self'", "file:")


@lru_cache(maxsize=1)
def theme_script() -> str:
    """The script that runs before a page is drawn."""
    return (templates_folder() / "static" / "theme.js").read_text("utf-8").strip()


def chart_styles() -> list[str]:
    """The styles that the chart library puts into a page as it starts."""
    found = _STYLE.findall(plotly_bundle().read_text("utf-8"))
    return [_ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), text) for text in found]


_STYLE = re.compile(r"createElement\(\"style\"\);(?:\w+\.id=\"\w+\",)?\w+\.textContent='((?:[^'\\]|\\.)*)'")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@lru_cache(maxsize=1)
def site_policy() -> Markup:
    """Of a page of the site, which loads style, fonts and scripts from files beside it.

    The chart library adds its rules to an empty style, and has a style for maps.
    """
    scripts = (*_FOLDER, _hash(theme_script()))
    return _policy(scripts, (*_FOLDER, *map(_hash, ("", *chart_styles()))), (*_FOLDER, "data:", "blob:"), (*_FOLDER,))


@lru_cache(maxsize=1)
def paint_policy() -> Markup:
    """Of the page that runs a network: also WebAssembly, and a worker and a module that the page makes itself."""
    scripts = (*_FOLDER, _hash(theme_script()), "blob:", "'wasm-unsafe-eval'")
    styles = (*_FOLDER, *map(_hash, ("", *chart_styles())))
    return _policy(scripts, styles, (*_FOLDER, "data:", "blob:"), (*_FOLDER,), workers=("blob:",))


def single_policy(scripts: Iterable[str], styles: Iterable[str], pictures: Iterable[str] = ("data:",)) -> Markup:
    """Of a page that is complete in one file: these scripts and styles are written in it."""
    return _policy(tuple(map(_hash, scripts)), tuple(map(_hash, styles)), tuple(pictures), ("data:",))


def _policy(
    scripts: tuple[str, ...],
    styles: tuple[str, ...],
    pictures: tuple[str, ...],
    fonts: tuple[str, ...],
    workers: tuple[str, ...] = (),
) -> Markup:
    """Attributes with a style remain: lengths of bars are in them, and they can load nothing that is not allowed."""
    directives = {
        "default-src": ("'none'",),
        "script-src": scripts,
        "style-src": styles,
        "style-src-attr": ("'unsafe-inline'",),
        "img-src": pictures,
        "font-src": fonts,
        "connect-src": ("'none'",),
        "base-uri": ("'none'",),
        "form-action": ("'none'",),
    } | ({"worker-src": workers} if workers else {})
    # Hashes and keywords have nothing that an attribute in double quotes would have to escape.
    return Markup("; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items()))


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
