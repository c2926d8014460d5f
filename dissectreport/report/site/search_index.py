"""The index for the search on pages: a classic script for each model, and one for the models of a site.

The pages load them when somebody searches, from a folder as well. Labels are numbers of concepts, and figures are whole
hundredths, so that 5,000 units take less than 100 kilobytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.common.formulas import UnitFormula
from dissectreport.report.common.glossary import glossary, term_anchor
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.common.summary import Summary
from dissectreport.report.common.words import UnitWord
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.places import OLD


def model_index(site: Site) -> bytes:
    """The pages, layers, units, concepts and terms of a model; addresses are relative to its folder."""
    frame = site.frame(site.places.page("index"), "", "")
    names = [str(name) for name in site.dissection.vocabulary["concept"]]
    artifacts = site.dissection.artifacts
    methods = frame.to(site.places.page("methods"))
    index = {
        "model": site.dissection.title,
        "home": site.places.home,
        "pages": [*([item.words, item.href] for item in frame.pages), ["tables to download", f"{methods}#downloads"]],
        "layers": [_layer(site, frame, layer, names) for layer in site.dissection.layers],
        "concepts": _concepts(site, frame),
        "terms": [
            *([term, f"{methods}#{term_anchor(term)}", meaning] for term, meaning in glossary(site).items()),
            *_classes(site, frame),
        ],
        "vocabulary": _vocabulary(site),
        "artifacts": [] if artifacts is None else [artifacts.layer, list(artifacts.listed)],
    }
    return _script(index)


def _layer(site: Site, frame: Frame, layer: Layer, names: list[str]) -> Mapping[str, Any]:
    """Units in their order: the number of the label, hundredths of IoU, and 1 where interpretable.

    Then the units that a formula of concepts matches better than their label, and the formulas; and those that have a
    word.
    """
    rows = rows_of(layer.table)
    words = [(int(row.unit), UnitWord.of(row)) for row in rows]
    formulas = [(int(row.unit), UnitFormula.of(row)) for row in rows]
    number = {name: i for i, name in reversed([*enumerate(names)])}
    return {
        "name": layer.name,
        "folder": frame.to(site.places.layer(layer.name)).removesuffix("index.html"),
        "unit": site.places.unit_ends,
        "labels": [number.get(str(row.concept), 0) for row in rows],
        "iou": [0 if math.isnan(row.iou) else round(100 * row.iou) for row in rows],
        "sure": "".join("1" if row.interpretable else "0" for row in rows),
        "words": {unit: word.word for unit, word in words if word is not None},
        "formulas": {unit: formula.words for unit, formula in formulas if formula is not None},
    }


def _vocabulary(site: Site) -> Mapping[str, list[list[int]]]:
    """Every word of the list with the units that it predicts: number of the layer, unit, hundredths of the area."""
    facts, numbers = site.dissection.words, {layer.name: at for at, layer in enumerate(site.dissection.layers)}
    if facts is None:
        return {}
    units: dict[str, list[list[int]]] = {word: [] for word in facts.listed}
    for row in rows_of(facts.units.sort_values("word_auc", ascending=False, kind="stable")):
        units[str(row.word)].append([numbers[str(row.layer)], int(row.unit), round(100 * row.word_auc)])
    return units


def _classes(site: Site, frame: Frame) -> list[list[str]]:
    """The studied classes, each with the address of its section, as terms."""
    classes = site.dissection.classes
    if classes is None:
        return []
    page, numbers = frame.to(site.places.page("classes")), classes.class_numbers()
    return [[name, f"{page}#class-{numbers[name]}", f"a class of {site.dissection.title}"] for name in classes.studied]


def _concepts(site: Site, frame: Frame) -> list[list[Any]]:
    """Name, category and page of every concept of the vocabulary, and 1 where its effects were measured.

    A concept that does not occur has neither category nor page.
    """
    return [
        [
            str(row.concept),
            str(row.category),
            site.concept_href(frame, str(row.concept)),
            int(row.concept in site.places.studied),
        ]
        if row.concept in site.places.concepts
        else [str(row.concept), "", "", 0]
        for row in rows_of(site.dissection.vocabulary)
    ]


def models_index(summaries: Collection[Summary]) -> bytes:
    """The models of a site: title, rule, folder, and whether the folder has an index."""
    models = [[one.title or one.model, one.rule, one.home, one.rule != OLD] for one in summaries]
    return _script({"models": models})


def _script(index: Mapping[str, Any]) -> bytes:
    return f"dissectreport.searchable({json.dumps(index, separators=(',', ':'))});\n".encode()
