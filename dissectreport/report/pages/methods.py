"""How it was done, what the words mean, and every table to take away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissectreport.analysis.results.real_images import COLUMNS as REALITY
from dissectreport.report.artifacts.summary import ArtifactMethods, artifact_methods
from dissectreport.report.causes.summary import dictionary, listed, meaning
from dissectreport.report.common.model import Pairs, Site, cards, core, flat
from dissectreport.report.common.wording import Wording
from dissectreport.report.html.citation import bibtex, licence_of
from dissectreport.report.html.effect_charts import order_mark, order_words
from dissectreport.report.html.frame import Frame


@dataclass(frozen=True)
class Download:
    """A table to take away, of one layer or of the whole model."""

    rows: int
    csv: str
    json: str
    words: str


@dataclass(frozen=True)
class CausalMethods:
    """How interventions were measured, for the page of methods."""

    layer: str
    href: str
    samples: int
    choosing: int
    random_sets: int
    random_sizes: str
    """Of how many units they are, in words."""
    block: float
    concepts: int
    orders: tuple[tuple[str, str, str], ...]
    learned: bool
    """Whether the order alpha is among them."""
    settings: Pairs
    columns: Mapping[str, str]


@dataclass(frozen=True)
class MethodsPage:
    """How it was done, what the words mean, and where the numbers are."""

    frame: Frame
    model: str
    facts: Any
    layers: tuple[str, ...]
    units: int
    tested: int
    untested: tuple[str, ...]
    generator: Pairs
    segmenter: Pairs
    cards: tuple[tuple[str, Pairs], ...]
    wording: Wording
    downloads: Mapping[str, Mapping[str, Download]]
    """By table and then by layer, '' for the whole model."""
    columns: Mapping[str, str]
    causes: CausalMethods | None
    artifacts: ArtifactMethods | None
    set_aside: Mapping[str, int]
    licence: str
    """Of the model; '' where it is not told."""
    bibtex: str


def methods_page(site: Site, rows: Mapping[tuple[str, str], int]) -> MethodsPage:
    """`rows` gives the number of rows of each (table, layer) that can be downloaded."""
    found, places = site.dissection, site.places
    facts = found.provenance
    around = site.frame(
        places.page("methods"),
        f"Methods & data · {found.title}",
        f"How {found.title} was dissected, with downloads.",
        current="methods & data",
    )
    downloads: dict[str, dict[str, Download]] = {}
    for (name, layer), n in rows.items():
        csv, json = (around.to(places.data(name, kind, layer or None)) for kind in ("csv", "json"))
        downloads.setdefault(name, {})[layer] = Download(n, csv, json, f"{name} of {layer or 'the model'}")
    states = pd.concat([layer.table["state"] for layer in found.layers]).str.replace(r"\d+", "another", regex=True)
    return MethodsPage(
        frame=around,
        model=found.title,
        facts=facts,
        layers=tuple(layer.name for layer in found.layers),
        units=sum(layer.units for layer in found.layers),
        tested=int(found.concepts["tested"].sum()),
        untested=tuple(found.concepts.loc[~found.concepts["tested"].astype(bool), "concept"]),
        generator=core(facts.generator),
        segmenter=core(facts.segmenter),
        cards=cards("network" if facts.reads else "generator", facts.generator) + cards("segmenter", facts.segmenter),
        wording=site.wording,
        downloads=downloads,
        columns={**site.wording.dictionary(), **(REALITY if found.reality is not None else {})},
        causes=causal_methods(site, around),
        artifacts=artifact_methods(site, around),
        set_aside={str(k): int(v) for k, v in states[states != ""].value_counts().items()},
        licence=licence_of(facts.generator),
        bibtex=bibtex(),
    )


def _any_of(sizes: list[int]) -> str:
    """Numbers of units in words.

    >>> _any_of([1, 10, 20])
    '1, 10 or 20'
    """
    return " or ".join(filter(None, [", ".join(map(str, sizes[:-1])), *map(str, sizes[-1:])]))


def causal_methods(site: Site, around: Frame) -> CausalMethods | None:
    """How interventions were measured; None where they were not."""
    found = site.dissection.interventions
    if found is None:
        return None
    orders = listed([str(order) for order in found.curves["order"]])
    return CausalMethods(
        found.layer,
        around.to(site.places.page("causes")),
        found.samples,
        found.choosing,
        found.random_sets,
        _any_of(sorted(set(found.curves.loc[found.curves["order"] == "random", "units"].tolist()) - {0})),
        found.block,
        len(found.concepts),
        tuple((order_words(o), order_mark(o), meaning(o, found)) for o in orders),
        "alpha" in orders,
        flat(found.settings),
        dictionary(site, found),
    )
