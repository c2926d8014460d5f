"""Style, scripts, fonts and plotly, each under a name that holds the hash of its content."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from dissectreport.report.html.frame import Assets

COMPARE = ("compare_elements", "compare_charts", "compare_figures", "compare_sections", "compare_choice", "compare")
PAINT = (
    *(
        "paint_random",
        "paint_strokes",
        "paint_worker",
        "paint_windows",
        "paint_network",
        "paint_stage",
        "paint_panel",
        "paint",
    ),
    "paint_live",
)
SCRIPTS = (
    *(
        "site",
        "charts",
        "menus",
        "unit_labels",
        "units",
        "unit",
        "lookup",
        "causes",
        "map",
        *COMPARE,
        "index",
        "review",
        "preference",
        "search",
    ),
    *PAINT,
)
FONTS = {"serif": "source-serif-4-latin-wght-normal.woff2", "sans": "inter-latin-wght-normal.woff2"}


def templates_folder() -> Path:
    """The templates: inside the installed package, or next to the package in a checkout."""
    installed = Path(__file__).parents[2] / "templates"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "templates"


def _hashed(name: str, content: bytes) -> str:
    stem, _, suffix = name.partition(".")
    return f"assets/{stem}.{hashlib.sha256(content).hexdigest()[:10]}.{suffix}"


@lru_cache(maxsize=1)
def load_assets() -> tuple[Assets, dict[str, bytes]]:
    """Where each asset goes, and the bytes to write there."""
    static = templates_folder() / "static"
    files: dict[str, bytes] = {}
    names: dict[str, str] = {}

    def add(key: str, name: str, content: bytes) -> None:
        names[key] = _hashed(name, content)
        files[names[key]] = content

    for key, font in FONTS.items():
        add(key, font, (static / "fonts" / font).read_bytes())
    style = style_sheet()
    for key, font in FONTS.items():
        style = style.replace(f"fonts/{font}", names[key].removeprefix("assets/"))
    add("style", "site.css", style.encode())
    for script in SCRIPTS:
        name = f"{script.replace('_', '-')}.js"
        add(script, name, (static / name).read_bytes())
    add("icon", "icon.svg", (static / "icon.svg").read_bytes())
    add("plotly", "plotly.min.js", plotly_bundle().read_bytes())
    return Assets(**names), files


def favicon() -> bytes:
    """The icon that browsers ask the top of a site for."""
    return (templates_folder() / "static" / "favicon.ico").read_bytes()


def style_sheet() -> str:
    """The style of all pages, and then that of each kind of page, whose rules reach no other kind."""
    static = templates_folder() / "static"
    sheets = [static / "site.css", *sorted((static / "pages").glob("*.css"))]
    return "".join(sheet.read_text("utf-8") for sheet in sheets)


def style_alone() -> bytes:
    """The style with its fonts inside, for a page that needs no other file and therefore waits for them."""
    static = templates_folder() / "static"
    style = style_sheet()
    for font in FONTS.values():
        font_data = base64.b64encode((static / "fonts" / font).read_bytes()).decode()
        style = style.replace(f"fonts/{font}", f"data:font/woff2;base64,{font_data}")
    return style.replace("font-display: optional", "font-display: block").encode()


def plotly_bundle() -> Path:
    """plotly.js as it lies in plotly's Python package."""
    spec = find_spec("plotly")
    assert spec is not None, "plotly is a dependency"
    assert spec.origin is not None, "plotly is a package"
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"
