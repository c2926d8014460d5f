"""The pages of a model as files."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict

from dissectreport.analysis.results.artifacts import Artifacts
from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.artifacts.page import artifacts_page
from dissectreport.report.artifacts.preference_page import Pairs, pairs_of, preference_images, preference_page
from dissectreport.report.artifacts.review_page import review_page
from dissectreport.report.artifacts.summary import edits_files
from dissectreport.report.causes.overview import causes_page
from dissectreport.report.causes.share_card import before_and_after_card
from dissectreport.report.causes.summary import studied
from dissectreport.report.classes.page import classes_page
from dissectreport.report.common.model import Site
from dissectreport.report.common.rendering import render
from dissectreport.report.common.sharing import card
from dissectreport.report.common.table_formats import as_json_file
from dissectreport.report.compare.profile_files import profile_file
from dissectreport.report.html import images
from dissectreport.report.html.places import COMPARE, Files
from dissectreport.report.pages.concept import ConceptRows, concept_page
from dissectreport.report.pages.concepts import concepts_page
from dissectreport.report.pages.example_images import concept_masks
from dissectreport.report.pages.layers import layer_page, table_page
from dissectreport.report.pages.lookup import lookup_page
from dissectreport.report.pages.methods import methods_page
from dissectreport.report.pages.overview import overview_page
from dissectreport.report.pages.real_images import real_page
from dissectreport.report.pages.replication import replication_page
from dissectreport.report.pages.segmenter import trust_page
from dissectreport.report.pages.unit_map import UnitMap, map_page, map_picture
from dissectreport.report.pages.units import LayerRows, unit_page
from dissectreport.report.paint.page import paint_files, paint_page
from dissectreport.report.site.downloads import table_files, tables_of
from dissectreport.report.site.pictures import unit_pictures
from dissectreport.report.site.search_index import model_index


def model_files(site: Site) -> Files:
    """The pages of a whole model, and its tables."""
    dissection, places = site.dissection, site.places
    files = _model_pages(site) | table_files(site, "")
    if dissection.interventions is not None:
        causes = causes_page(site, dissection.interventions, studied(dissection.interventions))
        files[places.page("causes")] = render("causes_overview.html", causes)
    if dissection.classes is not None:
        files[places.page("classes")] = render("classes.html", classes_page(site, dissection.classes))
    if dissection.artifacts is not None:
        files |= _artifact_pages(site, dissection.artifacts)
    if dissection.painting is not None:
        files[places.page("paint")] = render("paint.html", paint_page(site, dissection.painting))
        files |= paint_files(site, dissection.painting)
    if dissection.reality is not None:
        files[places.page("real")] = render("real.html", real_page(site, dissection.reality))
    if dissection.replication is not None:
        files[places.page("replication")] = render("replication.html", replication_page(site, dissection.replication))
    if site.settings.base_url:
        files[places.card] = before_and_after_card(site) or card(site)
    files[places.search] = model_index(site)
    files[places.data("provenance", "json")] = as_json_file(asdict(dissection.provenance))
    return files | {places.data(COMPARE, "json"): profile_file(site)}


def _model_pages(site: Site) -> Files:
    """The pages that every model has."""
    places = site.places
    colours = images.concept_colours(site.dissection.vocabulary)
    rows = {key: len(table) for key, table in tables_of(site.dissection).items()}
    return {
        places.page("index"): render("overview.html", overview_page(site)),
        places.page("concepts"): render("concepts.html", concepts_page(site)),
        places.page("lookup"): render("lookup.html", lookup_page(site)),
        places.page("trust"): render("trust.html", trust_page(site, colours)),
        places.page("methods"): render("methods.html", methods_page(site, rows)),
    }


def map_files(site: Site) -> Files:
    """The map of units, and its picture."""
    made = UnitMap.of(site)
    page = render("map.html", map_page(site, made))
    return {site.places.page("map"): page, site.places.image("map"): map_picture(site, made)}


def concept_files(site: Site, first: int, end: int) -> Files:
    """The pages of some concepts, and the overlays of their example images."""
    rows = ConceptRows.of(site)
    files: Files = {}
    for name in rows.order[first:end]:
        template = "causes_concept.html" if name in site.places.studied else "concept.html"
        files[site.places.concept(name)] = render(template, concept_page(site, rows, name))
        files |= concept_masks(site, name)
    return files


def _artifact_pages(site: Site, artifacts: Artifacts) -> Files:
    """The page of artifact units, the blind preference, and the edits as files."""
    page = {site.places.page("artifacts"): render("artifacts.html", artifacts_page(site, artifacts))}
    edits = {address: as_json_file(unit_edits) for address, unit_edits in edits_files(site).items()}
    return page | preference_files(site, pairs_of(artifacts)) | edits


def preference_files(site: Site, pairs: Pairs) -> Files:
    """The blind comparison of images before and after a repair, with its pictures."""
    page = render("preference.html", preference_page(site, pairs))
    return {site.places.page("preference"): page, **preference_images(site, pairs)}


def layer_files(site: Site, number: int) -> Files:
    """The pages of a layer, and the scripts with its maps for the look-up page."""
    dissection, places = site.dissection, site.places
    layer = dissection.layers[number]
    names = tuple(name for name, _ in tables_of(dissection, layer.name))
    files = _lookup_scripts(site, layer)
    files[places.layer(layer.name)] = render("layer.html", layer_page(site, layer))
    files[places.layer_table(layer.name)] = render("table.html", table_page(site, layer, names))
    if not dissection.provenance.reads:
        files[places.review(layer.name)] = render("review.html", review_page(site, layer))
    return files


def _lookup_scripts(site: Site, layer: Layer) -> Files:
    files: Files = {}
    for sample, maps in zip(layer.lookup.samples, layer.lookup.maps, strict=True):
        words = json.dumps([layer.name, int(sample), base64.b64encode(maps.tobytes()).decode()])
        files[site.places.lookup(layer.name, int(sample))] = f"dissectreport.found({words[1:-1]});\n".encode()
    return files


def unit_files(site: Site, number: int, first: int, end: int) -> Files:
    """The strips of some units of a layer, and their pages where units have pages."""
    layer = site.dissection.layers[number]
    rows = LayerRows.of(layer, range(first, end), site.dissection.interventions)
    files: Files = {}
    for unit in range(first, end):
        files |= unit_pictures(site, layer, unit, float(rows.table[unit].threshold))
        if site.settings.detail.unit_pages:
            files[site.places.unit(layer.name, unit)] = render("unit.html", unit_page(site, layer, rows, unit))
    return files
