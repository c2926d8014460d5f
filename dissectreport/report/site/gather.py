"""Gathers every file of a model, in parts that can be made in parallel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

from dissectreport.report.common.model import Site
from dissectreport.report.common.summary import Summary, summary
from dissectreport.report.common.table_formats import as_json_file
from dissectreport.report.html.places import Files
from dissectreport.report.pages.overview import first_page_story
from dissectreport.report.site.downloads import table_files
from dissectreport.report.site.pages import concept_files, layer_files, map_files, model_files, unit_files
from dissectreport.report.site.pictures import model_pictures
from dissectreport.run.parallel import Spread, in_turn

TOGETHER, CONCEPTS_TOGETHER = 16, 40
"""Units, and concepts, whose files are made as one part of the work."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Part:
    """Files of a model that are made together."""

    files: Callable[[Site], Files]
    units: int = 0
    """Units whose pages are among them."""


def gather(site: Site, progress: Progress | None = None, spread: Spread = in_turn) -> Files:
    """Every file of one model, by its address from the top of the site; nothing is written."""
    parts = parts_of(site)
    total = sum(part.units for part in parts)
    by_part: dict[int, Files] = {}
    done = 0
    for number, files in spread(partial(_files_of_part, site), range(len(parts))):
        by_part[number] = files
        done += parts[number].units
        if progress is not None and parts[number].units:
            progress(done, total)
    ordered: Files = {}
    for number in range(len(parts)):
        ordered |= by_part[number]
    # Other models count this one as there once its summary is: it comes last.
    return ordered | {f"{site.places.home}/summary.json": as_json_file(asdict(summary_with_story(site)))}


def summary_with_story(site: Site) -> Summary:
    """The summary of a model with the pictures and the sentence that its first page begins with."""
    headline, story = first_page_story(site)
    return replace(summary(site), headline=headline, story=story)


def parts_of(site: Site) -> list[Part]:
    """Everything that is made of a model; what takes longest in one piece comes first."""
    layers = site.dissection.layers
    return [
        Part(model_files),
        *(Part(partial(table_files, name=layer.name)) for layer in layers),
        *(Part(partial(layer_files, number=number)) for number in range(len(layers))),
        Part(model_pictures),
        Part(map_files),
        *(
            Part(partial(concept_files, first=first, end=first + CONCEPTS_TOGETHER))
            for first in range(0, len(site.places.concepts), CONCEPTS_TOGETHER)
        ),
        *(
            Part(partial(unit_files, number=number, first=first, end=end), end - first)
            for number, layer in enumerate(layers)
            for first in range(0, layer.units, TOGETHER)
            for end in [min(layer.units, first + TOGETHER)]
        ),
    ]


def _files_of_part(site: Site, number: int) -> Files:
    return parts_of(site)[number].files(site)
