"""The Content-Security-Policy of every page: what a browser loads and runs, even if a name slipped in some markup.

A page runs the scripts of the site's own folder, and its inline scripts by their hashes, and nothing else. It connects
to nothing. `file:` stands beside 'self', because a page that was opened from a folder has no origin of its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import lru_cache

from dissectreport.report.html.assets import templates_folder

NO_CONNECTION, OWN_CONNECTION = b"connect-src 'none'", b"connect-src 'self'"
"""What pages say of connections, and what `dissectreport serve`, whose pages listen for changes, makes of it."""
_FOLDER = ("'self'", "file:")


@lru_cache(maxsize=1)
def theme_script() -> str:
    """The script that runs before a page is drawn."""
    return (templates_folder() / "static" / "theme.js").read_text("utf-8").strip()


def site_policy() -> str:
    """Of a page of the site, which loads style, fonts and scripts from files beside it.

    The empty style is that to which the chart library adds its rules.
    """
    scripts = (*_FOLDER, _hash(theme_script()))
    return _policy(scripts, (*_FOLDER, _hash("")), (*_FOLDER, "data:", "blob:"), (*_FOLDER,))


def single_policy(scripts: Iterable[str], styles: Iterable[str], pictures: Iterable[str] = ("data:",)) -> str:
    """Of a page that is complete in one file: these scripts and styles are written in it."""
    return _policy(tuple(map(_hash, scripts)), tuple(map(_hash, styles)), tuple(pictures), ("data:",))


def _policy(
    scripts: tuple[str, ...], styles: tuple[str, ...], pictures: tuple[str, ...], fonts: tuple[str, ...]
) -> str:
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
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
