"""Blind preference: which image looks better, before or after a repair? Order and sides reveal nothing.

A picture is named by the hash of its bytes, and the two of a pair are listed in the order of these names. Which one is
repaired is stored in one row of bits, which the page's script reads after the last choice.
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
from dissectreport.review.preferences import VERDICTS, outcomes

TEXTS = {
    "ties": " ({ties} without a preference)",
    "nothing": "Nothing was decided{ties}.",
    "result": "The image after the edit was preferred in {after} of {decided} decided pairs{ties}: {share}"
    " [{low}, {high}]. {verdict}",
}
"""Sentences of the page's script, with the names of what it fills in."""


@dataclass(frozen=True)
class Pairs:
    """The same latents without and with an edit."""

    before: NDArray[np.uint8]
    """(n, h, w, 3) without edit."""
    after: NDArray[np.uint8]
    """(n, h, w, 3) with the edit."""
    samples: NDArray[np.int64]
    """(n,) numbers of the latents."""
    edit: str
    """The edit in words, as 'units 3, 17 of layer4 ablated': choices about the same edit can be added up."""
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


def pairs_of(artifacts: Artifacts) -> Pairs:
    """Random images before and after the repair, or after the edit that is shown where none is recommended."""
    units = f"unit{'s' * (len(artifacts.shown) > 1)} {', '.join(map(str, sorted(artifacts.shown)))}"
    edit = f"{units} of {artifacts.layer} ablated"
    return Pairs(artifacts.pairs.before, artifacts.pairs.after, artifacts.pairs.samples, edit, bool(artifacts.chosen))


def _picture(pixels: NDArray[np.uint8]) -> bytes:
    return images.webp(images.picture(pixels), quality=90)


def name_of(picture: bytes) -> str:
    """A name that does not reveal which picture it is."""
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
    dissection, places = site.dissection, site.places
    here = places.page("preference")
    title = f"Before or after · {dissection.title}"
    frame = site.frame(here, title, "Which of two images looks better?", site.assets.preference)
    frame = replace(frame, crumbs=(Link(frame.to(places.page("index")), dissection.title),))
    listed = [pairs.files[i] for i in pairs.different]
    named = [sorted((name_of(before), name_of(after))) for before, after in listed]
    bits = [names[1] == name_of(after) for names, (_, after) in zip(named, listed, strict=True)]
    data = {
        "model": dissection.model,
        "identity": str(dissection.provenance.generator.get("identity", "")),
        "edit": pairs.edit,
        "file": f"{places.home}-preference.json",
        "folder": frame.to(places.blind("x")).removesuffix("x.webp"),
        "pairs": named,
        "samples": [int(pairs.samples[i]) for i in pairs.different],
        "outcomes": outcomes(len(named)),
        "texts": {"verdicts": VERDICTS, **TEXTS},
        "key": base64.b64encode(np.packbits(np.array(bits, np.bool_)).tobytes()).decode(),
    }
    return PreferencePage(
        frame, dissection.title, pairs.edit, pairs.repair, len(named), len(pairs.files) - len(named), data
    )


def preference_images(site: Site, pairs: Pairs) -> dict[str, bytes]:
    """The pictures of all pairs, by their addresses."""
    listed = [picture for i in pairs.different for picture in pairs.files[i]]
    return {site.places.blind(name_of(picture)): picture for picture in listed}
