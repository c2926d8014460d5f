"""Rendering of measurements: the results as tables, and the pages. It needs neither torch nor the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dissectreport import files
from dissectreport.cache import records
from dissectreport.cache.reader import CacheReader
from dissectreport.cache.records import ANY, Record, Wanted
from dissectreport.pipeline.machine import cores, one_thread
from dissectreport.pipeline.options import RunOptions, SiteOptions
from dissectreport.pipeline.reporter import Reporter, usual_reporter
from dissectreport.pipeline.tasks import Task
from dissectreport.records.dissection import StoredThresholds
from dissectreport.report.common.site_options import PLAIN, SITE_LIMIT, SiteSettings, checked_address
from dissectreport.run.engine import Workers
from dissectreport.run.parallel import Spread, in_threads, in_turn
from dissectreport.run.rules import RuleName

if TYPE_CHECKING:
    from dissectreport.analysis.results.dissection import Dissection
    from dissectreport.report.site.writing import Written

T = TypeVar("T")
R = TypeVar("R")

ENOUGH = 960
"""From this number on, more samples are not recommended when no unit can be scored."""
MANY = 128
"""From this number of units on, rendering takes longer than starting processes."""


def load_dissection(
    model: str,
    rule: str = RuleName.CORRECTED,
    cache: Path | None = None,
    *,
    samples: int = 0,
    layers: tuple[str, ...] = (),
) -> Dissection:
    """The results of a measured model, as tables.

    Of several runs the newest; with `samples` or `layers` the newest of those with so many, or of just those.
    """
    folder = cache or files.default_folder()
    return assembled(records.load(folder, model, rule, Wanted(samples, tuple(layers))), folder)


def assembled(record: Record, cache: Path, spread: Spread = in_threads) -> Dissection:
    """The results computed from a record's counts."""
    from dissectreport.analysis.assemble import assemble

    with one_thread():
        return assemble(record, CacheReader(cache / "measurements"), spread)


def render(
    model: str,
    out: Path,
    rule: str = RuleName.CORRECTED,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    which: Wanted = ANY,
    site_limit: int = SITE_LIMIT,
    settings: SiteSettings = PLAIN,
    workers: int = 1,
) -> Written:
    """Write the site of a model that was measured.

    Pages of more than `site_limit` megabytes are refused, where that is not 0, or show less, where `settings` say so.
    Other than 1, `workers` processes render, one per core for 0; a script that asks for them needs the usual
    `if __name__ == "__main__":`.
    """
    reporter = reporter or usual_reporter()
    folder = cache or files.default_folder()
    record = records.load(folder, model, rule, which)
    count = len(records.runs(folder, model, rule))
    if count > 1:
        reporter.say(f"using the run of {record.words}, one of {count}; `dissectreport cache list` lists them")
    with Workers(workers or cores()) as processes:
        return write_site_of(record, out, folder, reporter, site_limit, settings, processes)


def render_run(record: Record, out: Path, cache: Path, reporter: Reporter) -> Written:
    """Write the site of one run, by one process per core."""
    with Workers(cores()) as processes:
        return write_site_of(record, out, cache, reporter, SITE_LIMIT, PLAIN, processes)


def write_site_of(
    record: Record,
    out: Path,
    cache: Path,
    reporter: Reporter,
    site_limit: int,
    settings: SiteSettings,
    workers: Workers,
) -> Written:
    """Write the pages of one run into the site at `out`."""
    from dissectreport.report.site.build import write_site

    reporter.progress(Task.ANALYSIS, 0, 1, "models")
    spread = partial(in_processes, workers) if workers.number > 1 and units_of(record, cache) >= MANY else None
    dissection = assembled(record, cache, spread or in_threads)
    if not settings.paint:
        dissection = replace(dissection, painting=None, no_painting="")
    with one_thread():
        written = write_site(
            dissection,
            out,
            lambda done, total: reporter.progress(Task.PAGES, done, total, "units"),
            site_limit,
            settings,
            spread or in_turn,
            reporter.say,
        )
    for line in written.left_out:
        reporter.say(line)
    if not dissection.has_enough_images:
        reporter.say(f"{record.samples:,} samples are too few to judge which units match a concept; {_more(record)}")
    return written


def _more(record: Record) -> str:
    """What gives a run enough images, or concepts that occur in enough of them."""
    folder = ", or add images to the folder if it has no more" if record.reads else ""
    segmenter = "" if record.samples < ENOUGH else ", or choose another segmenter"
    return f"raise --samples{folder}{segmenter}"


def site_settings(options: SiteOptions, paint: bool | None = None) -> SiteSettings:
    """How a site is to be written; refused before anything long begins where its folder or address cannot work."""
    from dissectreport.report.site.existing_files import check_folder

    address = checked_address(options.base_url)
    settings = SiteSettings(fit=options.fit, base_url=address, replace=options.replace, paint=paint is not False)
    check_folder(options.out, options.replace)
    files.check_writable(options.out)
    return settings


def wanted(options: RunOptions) -> Wanted:
    """Which of several runs is wanted."""
    return Wanted(options.samples, options.layers, options.seed, options.segmenter, options.grid)


def units_of(record: Record, cache: Path) -> int:
    """Units of all layers that were measured."""
    reader = CacheReader(cache / "measurements")
    return sum(reader.read(layer.thresholds, StoredThresholds).shape[0] for layer in record.layers)


def in_processes(workers: Workers, work: Callable[[T], R], parts: Sequence[T]) -> Iterator[tuple[T, R]]:
    """A `Spread` over the processes of `Workers`."""
    return workers.run(partial(_on_one_thread, work), parts)


def _on_one_thread(work: Callable[[T], R]) -> Callable[[T], R]:
    def run(part: T) -> R:
        with one_thread():
            return work(part)

    return run


def compare(
    models: Sequence[str],
    out: Path,
    layers: Sequence[str] = (),
    file: Path | None = None,
    reporter: Reporter | None = None,
) -> Written:
    """Write a page that compares some models of the site at `out`; it needs nothing but the site."""
    from dissectreport.report.site.fixed_comparison import write_comparison

    return write_comparison(out, models, layers, file, (reporter or usual_reporter()).say)
