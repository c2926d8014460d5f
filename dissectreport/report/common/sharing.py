"""What a published site offers to search engines and other sites: a preview picture and a list of pages."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.common.model import Site, leading_units, rows_of
from dissectreport.report.html import images
from dissectreport.report.html.frame import full_address
from dissectreport.report.html.places import CARD
from dissectreport.report.html.strips import strip_of

SIZE = (1200, 630)
"""Width and height of the preview picture of a link, in the proportions that sites expect."""
MOST_LISTED = 50_000
"""Pages that the sitemaps protocol allows in one file."""
_ROWS, _LONG, _MARGIN = 3, 8, 15


def first_card(out: Path, homes: Iterable[str]) -> str:
    """The address of the first preview picture among models of the site at `out`; '' without any."""
    places = (f"{home}/{CARD}" for home in homes)
    return next((place for place in places if (out / place).is_file()), "")


def card(site: Site) -> bytes:
    """A JPEG of the strips of the strongest units of different concepts, one under the other."""
    strips = [strip_of(site.dissection, layer, unit, _LONG) for layer, unit in _strongest(site)]
    width, height = SIZE
    tall = (height - (_ROWS - 1) * _MARGIN) // _ROWS
    sheet = Image.new("RGB", SIZE, images.DARK)
    for row, pixels in enumerate(strips):
        scaled = Image.fromarray(pixels).resize(
            (max(width, round(pixels.shape[1] * tall / pixels.shape[0])), tall), Image.Resampling.LANCZOS
        )
        sheet.paste(scaled.crop((0, 0, width, tall)), (0, row * (tall + _MARGIN)))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=85)
    return out.getvalue()


def _strongest(site: Site) -> list[tuple[Layer, int]]:
    """A unit a row, of different concepts where there are as many."""
    layers = site.dissection.layers
    tables = [leading_units(layer).assign(at=i) for i, layer in enumerate(layers)]
    joined = pd.concat(tables, ignore_index=True)
    ranked = joined.sort_values(["set_aside", "selection_score"], ascending=[True, False], kind="stable")
    chosen = pd.concat([ranked.drop_duplicates("concept"), ranked]).drop_duplicates(["at", "unit"]).head(_ROWS)
    return [(layers[row.at], int(row.unit)) for row in rows_of(chosen)]


@dataclass(frozen=True)
class Sitemap:
    """The full addresses of all pages."""

    addresses: tuple[str, ...]


def sitemap(base_url: str, places: Iterable[str]) -> Sitemap:
    """The pages of a site, its first page first, and then those nearest to it."""
    pages = [place for place in places if place.endswith(".html")]
    pages.sort(key=lambda place: (place.count("/"), place != "index.html", place))
    return Sitemap(tuple(full_address(base_url, page) for page in pages[:MOST_LISTED]))
