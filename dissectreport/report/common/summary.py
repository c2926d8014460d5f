"""A model in a few numbers: its row on the first page of a site, and its summary.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import pandas as pd

from dissectreport.analysis.comparison.profiles import Training, training_of
from dissectreport.analysis.results.dissection import Control
from dissectreport.errors import BadOption
from dissectreport.files import is_inside
from dissectreport.report.common.model import (
    InterpretableCount,
    Site,
    above_chance,
    counts,
    counts_by_category,
    different,
)
from dissectreport.report.common.site_options import DETAILS, NOWHERE, checked_address
from dissectreport.report.html.numbers import compact
from dissectreport.report.html.parts import runtime_assets
from dissectreport.report.html.places import COMPARE


@dataclass(frozen=True)
class Summary:
    """What the first page of the site says about a model; also its summary.json."""

    model: str
    home: str
    assets: tuple[str, ...]
    rule: str
    samples: int
    held_out: int
    segmenter: str
    concepts: int
    units: int
    interpretable: int
    above_chance_note: str
    """How many of those also match better than chance, where the rule does not require it."""
    images: str
    band: str
    layers: tuple[Mapping[str, Any], ...]
    has_enough_images: bool = True
    """Whether there were enough images to test which units are interpretable."""
    title: str = ""
    """What the model calls itself; '' in a summary that was written before there was one."""
    reads: bool = False
    """Whether it reads images instead of making them."""
    seed: int = 1
    detail: str = DETAILS[0].name
    """The level of detail of its pages."""
    base_url: str = ""
    """Where its pages say that they are published."""
    compare: str = ""
    """The file from which the model is compared with others; '' in a summary that was written before there was one."""
    trained: str = ""
    """How long it was trained, if its card says so."""
    grid: int = 0
    """Side of the grid that was counted on; 0 in a summary that was written before there was one."""
    source: str = ""
    """A digest of where the model's file lies; '' for a name of the catalogue."""
    identity: str = ""
    """The identity of the network."""
    digest: str = ""
    """SHA-256 of the file that it was imported from; '' where it was measured."""
    headline: str = ""
    """What its units match and cause; '' where that is unknown."""
    story: tuple[tuple[str, str], ...] = ()
    """Addresses of pictures that show it, each with a few words."""

    @classmethod
    def of_json(cls, facts: Mapping[str, Any]) -> Summary:
        """The content of a summary.json; ValueError, TypeError or KeyError for anything else.

        An address of the site that no option would take is left out.
        """
        story = tuple((str(address), str(words)) for address, words in facts.get("story", ()))
        read = cls(**{**facts, "assets": tuple(facts["assets"]), "layers": tuple(facts["layers"]), "story": story})
        for field in fields(read):
            wanted = _KINDS.get(str(field.type))
            if wanted is not None and type(getattr(read, field.name)) is not wanted:
                raise TypeError(f"{field.name} is {getattr(read, field.name)!r:.40}")
        pictures = (address for address, _ in read.story)
        if not all(map(is_inside, (read.home, read.band, *read.assets, *filter(None, [read.compare]), *pictures))):
            raise ValueError("it names a path outside the site")
        if not read.layers:
            raise ValueError("it has no layers")
        for layer in read.layers:
            _check_layer(layer)
        return replace(read, base_url=read.base_url if _is_address(read.base_url) else "")


_KINDS = {"str": str, "int": int, "bool": bool}
"""Types of fields, by their names in the source."""


def _is_address(address: str) -> bool:
    try:
        return address != NOWHERE and checked_address(address) == address
    except BadOption:
        return False


def _check_layer(layer: Mapping[str, Any]) -> None:
    """TypeError or ValueError for what a layer of a summary cannot be."""
    if type(layer["layer"]) is not str or type(layer["units"]) is not int:
        raise TypeError("a layer without a name or its number of units")
    by_control = {name: value for name, value in layer.items() if name not in ("layer", "units", "categories")}
    for count in (layer["measured"], *by_control.values(), *layer.get("categories", {}).values()):
        values = vars(InterpretableCount.of_json(count)).values()
        if not all(type(value) in (int, float) for value in values):
            raise TypeError("a count that is no number")


def summary(site: Site) -> Summary:
    """The model in a few numbers."""
    facts, layers = site.dissection.provenance, site.dissection.layers
    named = pd.concat([layer.interpretable["concept"] for layer in layers])
    return Summary(
        model=site.dissection.model,
        home=site.places.home,
        assets=(*site.assets.files, *(runtime_assets() if site.dissection.painting is not None else ())),
        rule=facts.rule,
        samples=facts.samples,
        held_out=facts.held_out,
        segmenter=str(facts.segmenter.get("name", "")),
        concepts=different(site.dissection, named),
        units=sum(layer.units for layer in layers),
        interpretable=len(named),
        above_chance_note=site.wording.also(len(named), sum(map(above_chance, layers))),
        images=site.wording.images,
        band=site.places.image("band"),
        layers=tuple(
            {
                "layer": layer.name,
                "units": layer.units,
                **{k: asdict(c) for k, c in counts(layer).items()},
                "categories": {
                    c: asdict(by_control[Control.MEASURED]) for c, _, by_control in counts_by_category(site, layer)
                },
            }
            for layer in layers
        ),
        has_enough_images=site.dissection.has_enough_images,
        title=site.dissection.title,
        reads=bool(facts.reads),
        seed=facts.seed,
        detail=site.settings.detail.name,
        base_url=site.settings.base_url,
        compare=site.places.data(COMPARE, "json"),
        trained=trained_words(training_of(facts.generator)),
        grid=facts.grid,
        source=facts.source,
        identity=str(facts.generator.get("identity", "")),
    )


def trained_words(facts: Training) -> str:
    """How long a model was trained: '151k images'."""
    amounts = ((facts.images, "images"), (facts.steps, "steps"))
    return next((f"{compact(value)} {what}" for value, what in amounts if not math.isnan(value)), "")
