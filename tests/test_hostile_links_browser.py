"""Links that anybody can make: whatever stands behind the #, a page neither hangs nor complains."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from dissectreport.report.export.single_file import single_file
from dissectreport.report.site.build import write_site
from tests.support.browsers import open_page, wait_until
from tests.support.dissections import example_dissection, with_interventions
from tests.support.tiers import extended

pytestmark = pytest.mark.browser
PAGES = (
    *("index.html", "compare.html", "one/index.html", "one/layer1/index.html", "one/layer1/table.html"),
    *("one/layer1/unit-1.html", "one/concepts.html", "one/concepts/tree.html", "one/lookup.html", "single.html"),
)
FEW = ("compare.html", "one/layer1/index.html", "single.html")
"""Those whose scripts read most of what stands behind the #."""
MANY = 500_000
"""Characters, a quarter of what a browser takes."""
LINKS = {
    "numbers": "s=9007199254740991&u=1e308&image=-1&at=1e308,-1e308&off=1e400&layer=99999999999&page=2e9",
    "words": "q=" + "a+" * (MANY // 2) + "&c=" + "a+" * 100,
    "categories": "cat=" + ",".join(map(str, range(MANY // 7))) + "&kind=" + "a," * 1000,
    "models": "&".join(["m=one/layer1", "m=nobody"] * (MANY // 22)),
    "keys": "&".join(f"k{number}=" for number in range(MANY // 8)),
    "percents": "%" * 1000 + "&c=%E0%A4%A&q=%00%ff&m=%&u=%u0041",
    "markup": "c=<img src=x onerror=alert(1)>&q=<script>alert(1)</script>&embed=<b>&m=javascript:alert(1)",
    "selectors": 'embed="],*[a="&s="]&sort=\\"*&u=.&layer=[',
    "names": "__proto__=1&constructor=2&m=__proto__&layer=constructor&s=toString&c=hasOwnProperty",
    "an id": "x" * MANY,
}
"""What stands behind the #, by what it is."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("links") / "site"
    for name, seed in (("one", 0), ("two", 1)):
        write_site(with_interventions(example_dissection(units=12, layers=1, name=name, seed=seed)), out)
    (out / "single.html").write_bytes(single_file(with_interventions(example_dissection(units=12, layers=1)))[0])
    return out


@pytest.mark.parametrize("name", [name if name in FEW else extended(name) for name in PAGES])
def test_no_link_makes_a_page_hang(chromium: Browser, folder: Path, name: str) -> None:
    with open_page(chromium, folder, name) as page:
        for link in LINKS.values():
            page.evaluate("(link) => { location.hash = link; }", link)
            wait_until(page, "() => document.readyState === 'complete'", seconds=5)
            assert page.evaluate("() => document.querySelectorAll('img[src=x]').length") == 0


@pytest.mark.parametrize("link", LINKS)
def test_a_page_that_is_opened_by_a_link_is_ready_at_once(chromium: Browser, folder: Path, link: str) -> None:
    with open_page(chromium, folder, f"one/layer1/index.html#{LINKS[link]}") as page:
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
