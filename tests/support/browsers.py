"""A page in a real browser, and what every page must hold to there."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, Response

SYSTEM_BROWSERS = ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")
"""The same engine; the first one has no windows and takes a fifth less time."""


def browser_path() -> str | None:
    """The program of the browser: the one named in DISSECTREPORT_CHROMIUM, else the system's; None for Playwright's."""
    if named := os.environ.get("DISSECTREPORT_CHROMIUM"):
        return named
    return next((path for path in SYSTEM_BROWSERS if Path(path).exists()), None)


@contextmanager
def open_page(browser: Browser, folder: Path, name: str, **options: Any) -> Iterator[Page]:
    """A page from the folder; whatever reaches outside it, or complains, fails the test."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(8000)
    trouble: list[str] = []
    here = folder.as_uri()

    def guard(request: Request) -> None:
        if not request.url.startswith((here, "data:", "blob:")):
            trouble.append(f"reached for {request.url}")

    context.on("request", guard)  # Nothing is held up: to ask Python at each request takes longer than most pages.
    page = context.new_page()
    page.on("console", lambda message: trouble.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.goto(f"{here}/{name}")
    yield page
    context.close()
    assert trouble == []


def wait_until(page: Page, script: str, argument: Any = None, seconds: float = 30) -> None:
    """Wait until a script in the page is true; Playwright's own waiting evaluates text, which pages forbid."""
    deadline = monotonic() + seconds
    while not page.evaluate(script, argument):
        assert monotonic() < deadline, f"never true: {script}"
        page.wait_for_timeout(50)


WIDTHS = (390, 768, 1440)
"""Of a phone, a tablet and a desktop, in pixels."""


def assert_fits(page: Page) -> None:
    """Nothing of the page lies outside the screen at any width, the widest at last."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


ABOUT_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
"""The rules of axe that a theme decides."""


def violations(page: Page, theme: Literal["light", "dark"]) -> list[dict[str, Any]]:
    """What axe finds: in light by all of its rules, in dark by those that a theme decides."""
    page.emulate_media(color_scheme=theme)
    options: dict[str, Any] = {"preload": False, "resultTypes": ["violations"]}
    options |= {"runOnly": ABOUT_COLOURS} if theme == "dark" else {}
    found: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
    return found


def assert_no_violation(page: Page) -> None:
    """Nothing that axe finds, however slight, in light and in dark."""
    for theme in THEMES:
        assert [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in violations(page, theme)] == [], theme


THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def compressed_size(answer: Response) -> int:
    """Bytes of an answer as a web server that compresses text sends them."""
    body, kind = answer.body(), answer.headers.get("content-type", "")
    return len(gzip.compress(body, 6)) if kind.startswith(TEXT) else len(body)


TEXT = ("text/", "application/json", "image/svg", "application/javascript")
