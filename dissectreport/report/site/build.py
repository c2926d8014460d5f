"""Writes the site: gathers every page and picture first, then writes what changed.

written = write_site(dissection, Path("site"))
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dissectreport.analysis.results.dissection import Dissection, Layer
from dissectreport.errors import OutputError
from dissectreport.report.artifacts.page import artifact_images, artifacts_page
from dissectreport.report.artifacts.preference_page import Pairs, pairs_of, preference_images, preference_page
from dissectreport.report.artifacts.review_page import review_page
from dissectreport.report.artifacts.summary import artifact_tables, edits_files
from dissectreport.report.causes.concept_page import cause_page
from dissectreport.report.causes.image_files import causal_images
from dissectreport.report.causes.overview import causes_page
from dissectreport.report.causes.summary import causal_tables, studied
from dissectreport.report.common.model import Site
from dissectreport.report.common.sharing import card, first_card, sitemap
from dissectreport.report.common.site_options import NOWHERE, PLAIN, SITE_LIMIT, Drawing, lessened
from dissectreport.report.common.summary import Summary, summary
from dissectreport.report.common.tables import as_csv, as_json, layer_tables, model_tables, unit_tables, without_nan
from dissectreport.report.common.unit_cards import strip_size
from dissectreport.report.common.wording import TOO_FEW
from dissectreport.report.compare import data as compare_data
from dissectreport.report.compare import selection as comparison
from dissectreport.report.compare.index import compare_page, index_page
from dissectreport.report.compare.page import page_of
from dissectreport.report.html import images, numbers
from dissectreport.report.html.assets import favicon, load_assets, templates_folder
from dissectreport.report.html.frame import Assets
from dissectreport.report.html.places import COMPARE, COMPARING, Places
from dissectreport.report.pages.concepts import concepts_page
from dissectreport.report.pages.layers import layer_page, table_page
from dissectreport.report.pages.lookup import lookup_page
from dissectreport.report.pages.methods import methods_page
from dissectreport.report.pages.overview import band_size, overview_page
from dissectreport.report.pages.real_images import real_page
from dissectreport.report.pages.segmenter import trust_page
from dissectreport.report.pages.units import LayerRows, unit_page
from dissectreport.report.site.writing import read_ledger, remove_ours, write_if_changed, write_model
from dissectreport.run.parallel import Spread, in_turn

TOGETHER = 16
"""Units that are drawn as one part of the work."""
Progress = Callable[[int, int], None]
Files = dict[str, bytes]


@dataclass(frozen=True)
class Written:
    """What a render left behind."""

    index: Path
    """The first page of the site."""
    files: int
    """Files of this model and of the site's top, whether or not they had to be written."""
    changed: int
    """Files that were written because their bytes changed."""
    bytes: int
    """Size of those files together."""
    left_out: tuple[str, ...] = ()
    """What was left out to stay within the limit, a line a step."""


def write_site(
    dissection: Dissection,
    out: Path,
    progress: Progress | None = None,
    limit: int = SITE_LIMIT,
    drawing: Drawing = PLAIN,
    spread: Spread = in_turn,
) -> Written:
    """Write the pages of `dissection` into the site at `out`, beside the models that are already there.

    Nothing is written if the model's files would take more than `limit` megabytes; 0 is no limit.
    """
    assets, _ = load_assets()
    drawing = replace(drawing, base_url=address_of_site(read_summaries(out), drawing.base_url))
    site, files, left_out = _within(dissection, out, assets, progress, limit, drawing, spread)
    return replace(write_home(out, site.places.home, files, drawing.base_url), left_out=left_out)


def address_of_site(summaries: Sequence[Summary], given: str = "") -> str:
    """The address under which a site of some models is published: the one given, or that they were drawn with."""
    if given:
        return "" if given == NOWHERE else given
    return next((one.base_url for one in summaries if one.base_url), "")


def write_home(out: Path, home: str, files: Files, base_url: str = "") -> Written:
    """Write the files of one model, whose folder is `home`, and those that all models of the site at `out` share."""
    assets, shared = load_assets()
    changed = sum(write_if_changed(out / name, content) for name, content in shared.items())
    old = _assets_of(read_summaries(out))
    changed += write_model(out / home, {name.removeprefix(f"{home}/"): held for name, held in files.items()})
    summaries = read_summaries(out)
    top = _top(out, summaries, assets, base_url)
    changed += _write_top(out, top)
    remove_ours(out, old - _assets_of(summaries))
    every = [*files.values(), *shared.values(), *top.values()]
    return Written(out / "index.html", len(every), changed, sum(map(len, every)))


def _write_top(out: Path, top: Files) -> int:
    """Write the files at the top of the site; how many changed."""
    if "sitemap.xml" not in top and _is_sitemap(out / "sitemap.xml"):
        remove_ours(out, {"sitemap.xml"})
    return sum(write_if_changed(out / name, content) for name, content in top.items())


def _within(
    dissection: Dissection,
    out: Path,
    assets: Assets,
    progress: Progress | None,
    limit: int,
    drawing: Drawing,
    spread: Spread,
) -> tuple[Site, Files, tuple[str, ...]]:
    """All files of a model, with as much detail as stays within `limit` megabytes, and what that left out."""
    occupied = occupied_by_others(out, dissection.model, dissection.provenance.rule)
    said: list[str] = []
    size = 0
    for detail in drawing.steps:
        found = lessened(dissection, detail)
        places = Places.of(found, occupied, detail.unit_pages)
        site = Site(found, places, assets, replace(drawing, detail=detail))
        files = gather(site, progress, spread)
        size = sum(map(len, files.values()))
        if detail != drawing.detail:
            said.append(f"left out {detail.left_out}: {size / 1e6:,.1f} MB")
        if not limit or size <= limit * 10**6:
            return site, files, tuple(said)
    raise _too_large(dissection.model, size, limit, drawing.fit)


def _too_large(model: str, size: int, limit: int, fit: bool) -> OutputError:
    """What is wrong with a model whose files take `size` bytes where only `limit` megabytes may be written."""
    least = " even with everything left out that can be" if fit else ""
    do = "" if fit else ", or with --fit to leave out images and pages"
    return OutputError(
        f"the pages of {model} take {size / 1e6:,.1f} MB{least}, more than the {limit:,} MB of --site-limit; nothing "
        f"was written. Build it with fewer --layers (what was measured is kept){do}, or give a larger limit, or 0 for "
        "none"
    )


def _top(out: Path, summaries: list[Summary], assets: Assets, base_url: str) -> Files:
    """The files at the top of the site, of all models together."""
    card_of_site = first_card(out, [one.home for one in summaries])
    index = index_page(summaries, assets, base_url, card_of_site)
    kept = comparison.kept(out)
    comparing = compare_page(summaries, kept, assets, base_url, card_of_site)
    top = {".nojekyll": b"", "favicon.ico": favicon(), "index.html": render("index.html", index)}
    top[COMPARING] = render("compare.html", comparing)
    if base_url:
        pages = [f"{one.home}/{name}" for one in summaries for name in read_ledger(out / one.home)]
        top["sitemap.xml"] = render("sitemap.xml", sitemap(base_url, ["index.html", COMPARING, *kept, *pages]))
    return top


def _is_sitemap(path: Path) -> bool:
    """Whether a sitemap was written by an earlier render."""
    return path.is_file() and b"<!-- dissectreport -->" in path.read_bytes()[:200]


def write_comparison(out: Path, models: Sequence[str], layers: Sequence[str] = (), file: Path | None = None) -> Written:
    """Write a page that compares some models of the site at `out`: one file, complete without scripts.

    It goes among the site's pages, which then list it, or to `file`; without `layers` the models are compared by a
    leading layer.
    """
    summaries = read_summaries(out)
    subject = comparison.chosen(out, summaries, models, layers)
    path = file or comparison.place(out, subject)
    address = address_of_site(summaries)
    content = render("comparison.html", page_of(out, subject, path, address))
    written = Written(path, 1, int(write_if_changed(path, content)), len(content))
    _write_top(out, _top(out, summaries, load_assets()[0], address))
    return written


def occupied_by_others(out: Path, model: str, rule: str) -> dict[str, str]:
    """Folders that other models, and this one under other rules, have in this site: folder -> model."""
    return {one.home: one.model for one in read_summaries(out) if (one.model, one.rule) != (model, rule)}


def read_summaries(out: Path) -> list[Summary]:
    """The models in the site, by name; a folder whose summary cannot be read is none of ours."""
    found = []
    for path in sorted(out.glob("*/summary.json")):
        try:
            facts = json.loads(path.read_text("utf-8"))
            one = Summary(**{**facts, "assets": tuple(facts["assets"]), "layers": tuple(facts["layers"])})
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if one.home == path.parent.name:
            found.append(one)
    return sorted(found, key=lambda one: one.model)


def _assets_of(summaries: list[Summary]) -> set[str]:
    return {name for one in summaries for name in one.assets if name.startswith("assets/")}


def gather(site: Site, progress: Progress | None = None, spread: Spread = in_turn) -> Files:
    """Every file of one model, by its address from the top of the site; nothing is written."""
    parts = parts_of(site)
    total = sum(part.units for part in parts)
    drawn: dict[int, Files] = {}
    done = 0
    for number, found in spread(partial(_draw, site), range(len(parts))):
        drawn[number] = found
        done += parts[number].units
        if progress is not None and parts[number].units:
            progress(done, total)
    files: Files = {}
    for number in range(len(parts)):
        files |= drawn[number]
    # The model is there for others once its summary is: it comes last.
    return files | {f"{site.places.home}/summary.json": as_json_file(asdict(summary(site)))}


@dataclass(frozen=True)
class Part:
    """Files of a model that are drawn together."""

    draw: Callable[[Site], Files]
    units: int = 0
    """Units whose pages are among them."""


def parts_of(site: Site) -> list[Part]:
    """Everything that is drawn of a model; what takes longest in one piece comes first."""
    layers = site.dissection.layers
    return [
        Part(_model_pages),
        *(Part(partial(_downloads, name=layer.name)) for layer in layers),
        *(Part(partial(_layer_pages, number=number)) for number in range(len(layers))),
        Part(_pictures),
        *(
            Part(partial(_units, number=number, first=first, end=end), end - first)
            for number, layer in enumerate(layers)
            for first in range(0, layer.units, TOGETHER)
            for end in [min(layer.units, first + TOGETHER)]
        ),
    ]


def _draw(site: Site, number: int) -> Files:
    return parts_of(site)[number].draw(site)


def _units(site: Site, number: int, first: int, end: int) -> Files:
    """Strips and pages of some units of a layer."""
    layer = site.dissection.layers[number]
    units = range(first, end)
    rows = LayerRows.of(layer, units, site.dissection.interventions)
    files: Files = {}
    for unit in units:
        files |= _unit_files(site, layer, rows, unit)
    return files


def _layer_pages(site: Site, number: int) -> Files:
    """The pages of a layer."""
    found, places = site.dissection, site.places
    layer = found.layers[number]
    files = _lookup_scripts(site, layer)
    files[places.layer(layer.name)] = render("layer.html", layer_page(site, layer))
    if not found.provenance.reads:
        files[places.review(layer.name)] = render("review.html", review_page(site, layer))
    names = tuple(name for name, _ in tables_of(found, layer.name))
    files[places.layer_table(layer.name)] = render("table.html", table_page(site, layer, names))
    return files


def _model_pages(site: Site) -> Files:
    """The pages of a whole model."""
    found, places = site.dissection, site.places
    files = _downloads(site, "") | _causal_pages(site)
    files[places.data("provenance", "json")] = as_json_file(asdict(found.provenance))
    if found.artifacts is not None:
        files[places.page("artifacts")] = render("artifacts.html", artifacts_page(site, found.artifacts))
        files |= preference_files(site, pairs_of(found.artifacts))
        files |= {address: as_json_file(edits) for address, edits in edits_files(site).items()}
    if found.reality is not None:
        files[places.page("real")] = render("real.html", real_page(site, found.reality))
    colours = images.concept_colours(found.vocabulary)
    rows = {key: len(table) for key, table in tables_of(found).items()}
    files |= {
        places.page("index"): render("overview.html", overview_page(site)),
        places.page("concepts"): render("concepts.html", concepts_page(site)),
        places.page("lookup"): render("lookup.html", lookup_page(site)),
        places.page("trust"): render("trust.html", trust_page(site, colours)),
        places.page("methods"): render("methods.html", methods_page(site, rows)),
        places.data(COMPARE, "js"): compare_data.script(site),
    }
    return files | ({places.card: card(site)} if site.drawing.base_url else {})


def _causal_pages(site: Site) -> Files:
    """What units cause: the overview and a page a concept; nothing where it was not measured."""
    found, places = site.dissection.interventions, site.places
    if found is None:
        return {}
    every = studied(found)
    pages = {
        places.concept(one.concept): render("cause.html", cause_page(site, found, every, i))
        for i, one in enumerate(every)
    }
    return {places.page("causes"): render("causes.html", causes_page(site, found, every)), **pages}


def preference_files(site: Site, pairs: Pairs) -> Files:
    """The blind comparison of images before and after a repair, with its pictures."""
    page = render("preference.html", preference_page(site, pairs))
    return {site.places.page("preference"): page, **preference_images(site, pairs)}


def as_json_file(value: Any) -> bytes:
    """JSON for people and programs, null where there is no number."""
    return (json.dumps(without_nan(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _unit_files(site: Site, layer: Layer, rows: LayerRows, unit: int) -> Files:
    places, shown, detail = site.places, layer.examples, site.drawing.detail
    veils = images.veil(shown.maps[unit], float(rows.table[unit].level), site.edge, site.tile)
    top = [i for i, kind in enumerate(shown.kind.tolist()) if kind == "top"][: strip_size(layer)]
    pictures = [images.tiles(site.dissection.pictures.of(int(shown.samples[unit, i]))) for i in top]
    strip = {places.strip(layer.name, unit): images.strip(pictures, veils[top], detail.quality)}
    if not detail.unit_pages:
        return strip
    return strip | {
        places.veil(layer.name, unit): images.overlay(veils),
        places.unit(layer.name, unit): render("unit.html", unit_page(site, layer, rows, unit)),
    }


def _pictures(site: Site) -> Files:
    """Everything that is shown of images, but units' strips."""
    found, places = site.dissection, site.places
    files = {
        places.picture(int(number)): images.webp(pixels, site.drawing.detail.picture_quality)
        for number, pixels in zip(found.pictures.numbers, found.pictures.pixels, strict=True)
    }
    files[places.image("band")] = images.band(list(found.pictures.pixels[: band_size(found)]))
    colours = images.concept_colours(found.vocabulary)
    for number, trust in enumerate(found.trust):
        for i in range(len(trust.images)):
            stem = f"trust-{number}-{i}"
            files[places.image(f"{stem}-plain")] = images.webp(images.tiles(trust.images[i]), quality=84)
            files[places.image(f"{stem}-seen")] = images.segmentation(
                images.tiles(trust.images[i]), trust.labels[i], colours
            )
            if trust.doubts:
                files[places.image(f"{stem}-sure")] = images.certainty(trust, i)
    return files | causal_images(site) | artifact_images(site)


def tables_of(found: Dissection, name: str | None = None) -> dict[tuple[str, str], Any]:
    """Every table that can be downloaded, by its name and its layer ('' for the whole model); or those of one."""
    tables: dict[tuple[str, str], Any] = {}
    if not name:
        tables |= {(key, ""): table for key, table in model_tables(found).items()}
    for layer in found.layers:
        if name not in (None, layer.name):
            continue
        every = layer_tables(layer) | unit_tables(layer, found.vocabulary["concept"])
        if found.interventions is not None and found.interventions.layer == layer.name:
            every |= causal_tables(found.interventions)
        if found.artifacts is not None and found.artifacts.layer == layer.name:
            every |= artifact_tables(found.artifacts)
        tables |= {(key, layer.name): table for key, table in every.items()}
    return tables


def _downloads(site: Site, name: str) -> Files:
    """The tables of a layer; those of the whole model where `name` is ''."""
    files: Files = {}
    for (key, layer), table in tables_of(site.dissection, name).items():
        files[site.places.data(key, "csv", layer or None)] = as_csv(table)
        files[site.places.data(key, "json", layer or None)] = as_json(table)
    return files


def _lookup_scripts(site: Site, layer: Layer) -> Files:
    files: Files = {}
    for sample, maps in zip(layer.lookup.samples, layer.lookup.maps, strict=True):
        words = json.dumps([layer.name, int(sample), base64.b64encode(maps.tobytes()).decode()])
        files[site.places.lookup(layer.name, int(sample))] = f"dissectreport.found({words[1:-1]});\n".encode()
    return files


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Jinja with everything escaped and every misspelt name an error."""
    made = Environment(
        loader=FileSystemLoader(templates_folder()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["too_few"] = TOO_FEW
    made.filters |= {
        "share": numbers.share,
        "percent": numbers.percent,
        "times": numbers.times,
        "count": numbers.count,
        "plain": numbers.plain,
        "p_value": numbers.p_value,
        "removed": numbers.removed,
        "change": numbers.change,
        "gain": numbers.gain,
        "points": numbers.points,
        "ratio": numbers.ratio,
        "data": inline_data,
        "inline": inline_text,
        "runs": runs,
    }
    return made


def runs(values: Sequence[Any], attribute: str) -> list[tuple[Any, list[Any]]]:
    """Neighbours that have an attribute in common, in their order; Jinja's own groupby sorts."""
    return [(shared, list(group)) for shared, group in groupby(values, attrgetter(attribute))]


def inline_data(value: Any) -> Markup:
    """JSON for a script element that no content can close."""
    words = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        words = words.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(words)


def inline_text(words: str) -> Markup:
    """One of our own style sheets or scripts within its element, which it must not close."""
    assert "</" not in words, "a closing tag would end the element"
    return Markup(words)


def render(template: str, page: Any) -> bytes:
    """One page; the template sees the fields of `page` and nothing else."""
    fields = {name: getattr(page, name) for name in page.__dataclass_fields__}
    return environment().get_template(template).render(fields).encode()
