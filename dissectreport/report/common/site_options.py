"""The options of a site: how much of the results it shows, and under which address it will be published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

import numpy as np

from dissectreport.analysis.results.dissection import Dissection, ExampleKind, Examples, Layer, Pictures
from dissectreport.errors import BadOption, UnknownName
from dissectreport.report.html import images

SITE_LIMIT = 1000
"""Most megabytes of one model's files: GitHub Pages publishes no site above 1 GB."""
CAP = 25
"""Most megabytes of a report as one file, which mail still takes."""


@dataclass(frozen=True)
class Detail:
    """How much of a dissection a site shows."""

    name: str
    left_out: str
    """What it does not show, as every page says it; '' where it shows all."""
    every_example: bool = True
    """Whether units show intermediate and random images, besides those with the highest activations."""
    side: int = 0
    """Most pixels along a side of an image; 0 for the images' own size."""
    quality: int = images.QUALITY
    """Quality of strips and images, of 100."""
    unit_pages: bool = True

    @property
    def picture_quality(self) -> int:
        """Quality of images that are shown by themselves, which bear less than strips."""
        return self.quality + 8


_FEW = Detail("few examples", "images with intermediate activations and random images", every_example=False)
_SMALL = replace(
    _FEW, name="small images", left_out=f"{_FEW.left_out}, and pixels of larger images", side=images.TILE, quality=45
)
_CARDS = replace(
    _SMALL, name="no unit pages", left_out=f"{_SMALL.left_out}, and the page of each unit", unit_pages=False
)
DETAILS = (Detail("all", ""), _FEW, _SMALL, _CARDS)
"""From everything down: every step leaves out what the one before does, and more."""


def detail_named(name: str) -> Detail:
    """The step of this name."""
    by_name = {detail.name: detail for detail in DETAILS}
    if name not in by_name:
        raise UnknownName.of("detail", name, by_name)
    return by_name[name]


@dataclass(frozen=True)
class SiteSettings:
    """What a site depends on besides the results."""

    detail: Detail = DETAILS[0]
    fit: bool = False
    """Whether less is shown, step by step, where all would be larger than the limit."""
    base_url: str = ""
    """The address of the published site, which ends in '/'; '' for the one that the site holds already, if it holds
    any, and `NOWHERE` for pages free of any absolute address."""
    replace: bool = False
    """Whether files of others in the site's folder may be replaced."""
    paint: bool = True
    """Whether there is a Paint page, where the network was exported."""

    @property
    def steps(self) -> Sequence[Detail]:
        """The details to try, in order."""
        first = DETAILS.index(self.detail)
        return DETAILS[first:] if self.fit else DETAILS[first : first + 1]


NOWHERE = "none"
"""What takes a site's address away again."""
PLAIN = SiteSettings()


def checked_address(address: str) -> str:
    """The address of a site that will be published, ended by '/'; '' and `NOWHERE` stay as they are."""
    if address == NOWHERE:
        return address
    if address and not _is_web_address(address):
        raise BadOption(
            f"--base-url is the address of the published site, like https://name.github.io/project/, not {address!r}"
        )
    return quote(address.rstrip("/"), safe=":/@[]%~+,;=!$&'()*") + "/" if address else ""


def _is_web_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    return bool(parts.scheme in ("http", "https") and host and not parts.query and not parts.fragment)


def with_detail(dissection: Dissection, detail: Detail) -> Dissection:
    """The dissection with as much of its pictures as `detail` shows, and a note of what is left out."""
    if not detail.left_out:
        return dissection
    layers = dissection.layers if detail.every_example else tuple(_with_top(layer) for layer in dissection.layers)
    pictures = _shown(dissection.pictures, layers)
    pixels = pictures.pixels
    if detail.side:
        pixels = np.stack([images.picture(image, detail.side) for image in pixels])
    causes = dissection.interventions
    if causes is not None and not detail.unit_pages:
        causes = replace(causes, unit_pictures={}, strips={})
    note = f"To limit the size of the site, these pages leave out {detail.left_out}."
    return replace(
        dissection,
        layers=layers,
        pictures=Pictures(pictures.numbers, pixels),
        notes=(*dissection.notes, note),
        interventions=causes,
    )


def _with_top(layer: Layer) -> Layer:
    shown = layer.examples
    top = shown.kind == ExampleKind.TOP
    few = Examples(shown.kind[top], shown.samples[:, top], shown.peaks[:, top], shown.maps[:, top])
    return replace(layer, examples=few)


def _shown(pictures: Pictures, layers: Sequence[Layer]) -> Pictures:
    """The pictures that examples and the look-up page show, and those at the head of pages."""
    used = np.concatenate(
        [part for layer in layers for part in (layer.examples.samples.reshape(-1), layer.lookup.samples)]
    )
    is_shown = np.isin(pictures.numbers, used)
    is_shown[: images.HEAD] = True
    return Pictures(pictures.numbers[is_shown], pictures.pixels[is_shown])
