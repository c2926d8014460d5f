"""The methods, the glossary, and every table to download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissectreport.analysis.results import real_images, replication, spike_in, words
from dissectreport.analysis.results.dissection import Dissection
from dissectreport.analysis.results.formulas import FormulaCounts
from dissectreport.analysis.results.spike_in import SpikeIn
from dissectreport.analysis.results.words import WordFacts
from dissectreport.report.artifacts.summary import ArtifactMethods, artifact_methods
from dissectreport.report.causes.summary import dictionary, listed, meaning
from dissectreport.report.common.glossary import glossary
from dissectreport.report.common.model import Pairs, Site, cards, core, flat
from dissectreport.report.common.wording import Wording
from dissectreport.report.html.citation import bibtex, licence_of
from dissectreport.report.html.effect_charts import ranking_mark, ranking_words
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.numbers import listing
from dissectreport.run.rankings import NEAREST, Ranking


@dataclass(frozen=True)
class Download:
    """A table of one layer or of the whole model."""

    rows: int
    csv: str
    json: str
    words: str


@dataclass(frozen=True)
class CausalMethods:
    """How causal effects were measured, for the methods page."""

    layer: str
    href: str
    samples: int
    selection: int
    random_sets: int
    random_images: int
    nearest: int
    """Units among which each random unit is drawn."""
    random_sizes: str
    """The sizes of the random sets, in words."""
    block: float
    concepts: int
    rankings: tuple[tuple[str, str, str], ...]
    learned: bool
    """Whether the learned mask is among the ranking methods."""
    settings: Pairs
    columns: Mapping[str, str]


@dataclass(frozen=True)
class MethodsPage:
    """The methods, the glossary, and where the numbers are."""

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
    download_groups: tuple[tuple[str, tuple[str, ...]], ...]
    """The tables by subject."""
    columns: Mapping[str, str]
    causes: CausalMethods | None
    artifacts: ArtifactMethods | None
    kinds: bool
    """Whether it was measured what each IoU is made of."""
    formulas: tuple[tuple[str, FormulaCounts], ...]
    """By layer what the search for formulas of concepts found; nothing where it was not made."""
    words: WordFacts | None
    """What units were described with."""
    with_words: int
    """Units that have a word."""
    label_error: tuple[str, ...]
    """What the segmenter's error is known from, where pages have the ranges of IoU that it allows."""
    spike_in: SpikeIn | None
    """What the run found of planted units."""
    smallest: tuple[tuple[str, float], ...]
    """By concept the smallest chance-corrected IoU that the run would have found."""
    bases: int
    """Random bases of the units in which directions were measured."""
    uninformative: Mapping[str, int]
    """Units that are constant or copies of others, by kind."""
    licence: str
    """Of the model; '' where it is unknown."""
    bibtex: str
    glossary: Mapping[str, str]


def methods_page(site: Site, rows: Mapping[tuple[str, str], int]) -> MethodsPage:
    """`rows` gives the number of rows of each (table, layer) that can be downloaded."""
    dissection, places = site.dissection, site.places
    facts = dissection.provenance
    frame = site.frame(
        places.page("methods"),
        f"Methods & data · {dissection.title}",
        f"How {dissection.title} was dissected, with downloads.",
        current="methods and tables",
    )
    return MethodsPage(
        frame=frame,
        model=dissection.title,
        facts=facts,
        layers=tuple(layer.name for layer in dissection.layers),
        units=sum(layer.units for layer in dissection.layers),
        tested=int(dissection.concepts["tested"].sum()),
        untested=tuple(dissection.concepts.loc[~dissection.concepts["tested"].astype(bool), "concept"]),
        generator=core(facts.generator),
        segmenter=core(facts.segmenter),
        cards=cards("network" if facts.reads else "generator", facts.generator) + cards("segmenter", facts.segmenter),
        wording=site.wording,
        downloads=_downloads(site, frame, rows),
        download_groups=_download_groups([name for name, _ in rows]),
        columns={
            **site.wording.dictionary(),
            **(real_images.COLUMNS if dissection.reality is not None else {}),
            **(spike_in.COLUMNS if dissection.spike_in is not None else {}),
            **(words.COLUMNS if dissection.words is not None else {}),
            **(replication.COLUMNS if dissection.replication is not None else {}),
        },
        causes=causal_methods(site, frame),
        artifacts=artifact_methods(site, frame),
        kinds=any(bool((layer.table["kind"] != "").any()) for layer in dissection.layers),
        formulas=tuple((layer.name, layer.formulas) for layer in dissection.layers if layer.formulas is not None),
        words=dissection.words,
        with_words=sum(int(layer.table.get("word_better", pd.Series()).sum()) for layer in dissection.layers),
        label_error=_sources_of_label_error(dissection),
        spike_in=dissection.spike_in,
        smallest=_smallest_found(dissection),
        bases=max((len(layer.by_rotation) for layer in dissection.layers), default=0),
        uninformative=_uninformative(dissection),
        licence=licence_of(facts.generator),
        bibtex=bibtex(),
        glossary=glossary(site),
    )


def _sources_of_label_error(dissection: Dissection) -> tuple[str, ...]:
    if "label_error_from" not in dissection.concepts:
        return ()
    return tuple(sorted({str(source) for source in dissection.concepts["label_error_from"] if source}))


def _downloads(site: Site, frame: Frame, rows: Mapping[tuple[str, str], int]) -> Mapping[str, Mapping[str, Download]]:
    downloads: dict[str, dict[str, Download]] = {}
    for (name, layer), number in rows.items():
        csv, json = (frame.to(site.places.data(name, kind, layer or None)) for kind in ("csv", "json"))
        downloads.setdefault(name, {})[layer] = Download(number, csv, json, f"{name} of {layer or 'the model'}")
    return downloads


def _download_groups(names: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The names of the tables by subject, of the subjects that have any."""
    groups: dict[str, list[str]] = {words: [] for words in ("The model and its layers", *DOWNLOAD_GROUPS.values())}
    for name in dict.fromkeys(names):
        words = DOWNLOAD_GROUPS.get(name.split("-")[0], "The model and its layers")
        groups[words].append(name)
    return tuple((words, tuple(names)) for words, names in groups.items() if names)


DOWNLOAD_GROUPS = {"causes": "Causal effects", "artifacts": "Artifact units"}
"""The subject of the tables whose names begin with a word."""


def _smallest_found(dissection: Dissection) -> tuple[tuple[str, float], ...]:
    if dissection.spike_in is None:
        return ()
    table = dissection.spike_in.concepts
    return tuple(zip(table["concept"].tolist(), table["smallest_found"].tolist(), strict=True))


def _uninformative(dissection: Dissection) -> Mapping[str, int]:
    states = pd.concat([layer.table["unit_state"] for layer in dissection.layers])
    kinds = states[states != ""].str.replace(r"\d+", "another unit", regex=True)
    return {str(kind): int(units) for kind, units in kinds.value_counts().items()}


def causal_methods(site: Site, frame: Frame) -> CausalMethods | None:
    """How causal effects were measured; None where they were not."""
    interventions = site.dissection.interventions
    if interventions is None:
        return None
    rankings = listed([str(order) for order in interventions.curves["ranking"]])
    return CausalMethods(
        interventions.layer,
        frame.to(site.places.page("causes")),
        interventions.samples,
        interventions.selection,
        interventions.random_sets,
        interventions.random_images,
        NEAREST,
        listing(
            sorted(
                set(interventions.curves.loc[interventions.curves["ranking"] == Ranking.RANDOM, "units"].tolist()) - {0}
            ),
            "or",
        ),
        interventions.block,
        len(interventions.concepts),
        tuple((ranking_words(o), ranking_mark(o), meaning(o, interventions)) for o in rankings),
        Ranking.LEARNED_MASK in rankings,
        flat(interventions.settings),
        dictionary(site, interventions),
    )
