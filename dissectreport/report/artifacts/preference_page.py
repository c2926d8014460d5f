"""Which looks better, before or after a repair? Pairs of images in an order and on sides that give nothing away.

A picture is called by the hash of its bytes, and the two of a pair are listed in the order of these; which one is
repaired stands in one row of bits, which the page's script reads when all has been chosen.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.results.artifacts import Artifacts
from dissectreport.report.common.model import Site
from dissectreport.report.html import images
from dissectreport.report.html.frame import Frame, Link


@dataclass(frozen=True)
class Pairs:
    """The same latents without and with an edit."""

    before: NDArray[np.uint8]
    """(n, h, w, 3) as the model makes them."""
    after: NDArray[np.uint8]
    """(n, h, w, 3) with the edit."""
    samples: NDArray[np.int64]
    """(n,) numbers of the latents."""
    edit: str
    """The edit in words, as 'units 3, 17 of layer4 switched off': choices about the same can be added up."""
    repair: bool = True
    """Whether the edit is a repair that is recommended."""

    @cached_property
    def files(self) -> tuple[tuple[bytes, bytes], ...]:
        """The two pictures of each pair, before and after."""
        pairs = zip(self.before, self.after, strict=True)
        return tuple((_picture(before), _picture(after)) for before, after in pairs)

    @property
    def different(self) -> tuple[int, ...]:
        """The pairs whose pictures are not the same."""
        return tuple(i for i, (before, after) in enumerate(self.files) if before != after)


def pairs_of(found: Artifacts) -> Pairs:
    """Random images before and after the repair, or after the edit that is shown where none is recommended."""
    units = f"unit{'s' * (len(found.shown) > 1)} {', '.join(map(str, sorted(found.shown)))}"
    edit = f"{units} of {found.layer} switched off"
    return Pairs(found.pairs.before, found.pairs.after, found.pairs.samples, edit, bool(found.chosen))


def _picture(pixels: NDArray[np.uint8]) -> bytes:
    return images.webp(images.picture(pixels), quality=90)


def name_of(picture: bytes) -> str:
    """A name that tells nothing."""
    return hashlib.sha256(picture).hexdigest()[:16]


@dataclass(frozen=True)
class PreferencePage:
    """Blind choices between two images."""

    frame: Frame
    model: str
    edit: str
    repair: bool
    pairs: int
    same: int
    """Pairs that are left out, because the edit changes nothing in them."""
    data: Mapping[str, Any]


def preference_page(site: Site, pairs: Pairs) -> PreferencePage:
    """The page with what its script needs to know."""
    found, places = site.dissection, site.places
    here = places.page("preference")
    title = f"Before or after · {found.title}"
    around = site.frame(here, title, "Which of two images looks better?", site.assets.preference)
    around = replace(around, crumbs=(Link(around.to(places.page("index")), found.title),))
    listed = [pairs.files[i] for i in pairs.different]
    named = [sorted((name_of(before), name_of(after))) for before, after in listed]
    bits = [names[1] == name_of(after) for names, (_, after) in zip(named, listed, strict=True)]
    data = {
        "model": found.model,
        "identity": str(found.provenance.generator.get("identity", "")),
        "edit": pairs.edit,
        "file": f"{places.home}-preference.json",
        "folder": around.to(places.blind("x")).removesuffix("x.webp"),
        "pairs": named,
        "samples": [int(pairs.samples[i]) for i in pairs.different],
        "key": base64.b64encode(np.packbits(np.array(bits, np.bool_)).tobytes()).decode(),
    }
    return PreferencePage(
        around, found.title, pairs.edit, pairs.repair, len(named), len(pairs.files) - len(named), data
    )


def preference_images(site: Site, pairs: Pairs) -> dict[str, bytes]:
    """The pictures of all pairs, by their addresses."""
    listed = [picture for i in pairs.different for picture in pairs.files[i]]
    return {site.places.blind(name_of(picture)): picture for picture in listed}
