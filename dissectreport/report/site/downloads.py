"""Every table of a model that can be downloaded, and its files."""

from __future__ import annotations

from typing import Any

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.report.artifacts.summary import artifact_tables
from dissectreport.report.causes.summary import causal_tables
from dissectreport.report.classes.summary import class_tables
from dissectreport.report.common.model import Site
from dissectreport.report.common.table_formats import as_csv, as_json, layer_tables, model_tables, unit_tables
from dissectreport.report.html.places import Files


def tables_of(dissection: Dissection, name: str | None = None) -> dict[tuple[str, str], Any]:
    """Every table that can be downloaded, by its name and its layer ('' for the whole model); or those of one."""
    tables: dict[tuple[str, str], Any] = {}
    if not name:
        tables |= {(key, ""): table for key, table in model_tables(dissection).items()}
    for layer in dissection.layers:
        if name not in (None, layer.name):
            continue
        every = layer_tables(layer) | unit_tables(layer, dissection.vocabulary["concept"])
        if dissection.interventions is not None and dissection.interventions.layer == layer.name:
            every |= causal_tables(dissection.interventions)
        if dissection.classes is not None and dissection.classes.layer == layer.name:
            every |= class_tables(dissection.classes)
        if dissection.artifacts is not None and dissection.artifacts.layer == layer.name:
            every |= artifact_tables(dissection.artifacts)
        tables |= {(key, layer.name): table for key, table in every.items()}
    return tables


def table_files(site: Site, name: str) -> Files:
    """The tables of a layer; those of the whole model where `name` is ''."""
    files: Files = {}
    for (key, layer), table in tables_of(site.dissection, name).items():
        files[site.places.data(key, "csv", layer or None)] = as_csv(table)
        files[site.places.data(key, "json", layer or None)] = as_json(table)
    return files
