"""Commands that measure models and write their sites."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dissectreport.cli import printing
from dissectreport.cli.arguments import MACHINE, SETTINGS, Cache, Offline, Out
from dissectreport.cli.parameters import Only, comma_separated, with_options
from dissectreport.cli.session import reporting
from dissectreport.pipeline.options import Options, RunOptions, SiteOptions


@with_options
def build(options: Options, site: SiteOptions, offline: Offline = False) -> None:
    """Measure a model and write its site."""
    with reporting(offline) as reporter:
        from dissectreport.pipeline.build import build
        from dissectreport.pipeline.render import site_settings

        settings = site_settings(site, options.paint)
        written = build(options, site.out, reporter, site.site_limit, settings)
        reporter.close()
        printing.show(printing.written_lines(written, reporter.elapsed))


@with_options
def measure(
    options: Options,
    shard: Annotated[
        str,
        typer.Option(
            help="Measure only one of several parts of the images, such as 2/8; `dissectreport merge` merges them. "
            "0/8 computes the thresholds first, so that the parts need not.",
            metavar="I/N",
            show_default="everything",
            rich_help_panel=MACHINE,
        ),
    ] = "",
    offline: Offline = False,
) -> None:
    """Measure a model, without a site."""
    with reporting(offline) as reporter:
        from dissectreport.pipeline.measure import measure
        from dissectreport.pipeline.parts import measure_part
        from dissectreport.run.shards import RunPart

        part = RunPart.parse(shard) if shard else None
        if part is None:
            measure(options, reporter)
        else:
            measure_part(options, part, reporter)
        reporter.close()
        reporter.say(printing.measured_line(options.model, reporter.elapsed, part))


@with_options
def merge(
    options: Options,
    others: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Another cache with parts, to copy; can be given several times.", metavar="FOLDER"),
    ] = None,
    offline: Offline = False,
) -> None:
    """Merge the parts of `measure --shard`.

    Also measures what does not belong to a part: pictures, interventions and artifact units.
    """
    with reporting(offline) as reporter:
        from dissectreport.pipeline.parts import merge

        merge(options, others or (), reporter)
        reporter.close()
        reporter.say(printing.measured_line(options.model, reporter.elapsed))


@with_options
def render(
    run: RunOptions,
    site: SiteOptions,
    paint: Annotated[bool, typer.Option(help="Write the Paint page, if the network was exported.")] = True,
) -> None:
    """Write the site of a measured model.

    Shows the newest run that fits the options. Needs neither torch nor the model.
    """
    with reporting() as reporter:
        from dissectreport.pipeline.render import render, site_settings, wanted

        settings = site_settings(site, paint)
        which = wanted(run)
        written = render(
            run.model,
            site.out,
            rule=run.rule,
            cache=run.cache,
            reporter=reporter,
            which=which,
            site_limit=site.site_limit,
            settings=settings,
            workers=0,
        )
        reporter.close()
        printing.show(printing.written_lines(written, reporter.elapsed))


def compare(
    models: Annotated[
        list[str], typer.Argument(help="Two to six models of the site: folder, address, or the name that it shows.")
    ],
    layers: Annotated[
        str,
        typer.Option(
            help="One layer for all, or one for each, separated by commas.",
            show_default="of each model the layer with most concepts",
        ),
    ] = "",
    out: Annotated[Path, typer.Option(help="The site that contains the models.", metavar="FOLDER")] = Path("site"),
    to: Annotated[
        Path | None, typer.Option(help="File for the page.", metavar="FILE", show_default="a page of the site")
    ] = None,
) -> None:
    """Write a page that compares models of a site.

    The page is one file, and complete without scripts.
    """
    with reporting() as reporter:
        from dissectreport.pipeline.render import compare

        written = compare(models, out, comma_separated(layers), to, reporter)
        printing.show(printing.written_lines(written, reporter.elapsed))


def status(
    model: Annotated[str, typer.Argument(help="A model that is being measured.", show_default="all")] = "",
    cache: Cache = None,
) -> None:
    """Show how far runs are.

    Works on any machine that can read the cache, and needs neither torch nor the model.
    """
    with reporting():
        from dissectreport.pipeline import cache_tools

        printing.show(printing.status_lines(cache_tools.status(cache, model)))


@with_options
def replicate(
    options: Annotated[
        Options,
        Only(
            *("model", "rule", "samples", "segmenter", "features", "reference", "budget"),
            *("device", "workers", "cache", "precision", *SETTINGS),
        ),
    ],
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the second measurement.", show_default="the next that shares no latents"),
    ] = None,
    out: Out = Path("site"),
    offline: Offline = False,
) -> None:
    """Measure the claims of a run again.

    The labels, causal sets, artifact units and repair of the newest run of a model are measured again on new
    latents, and with another segmenter or feature network if you name one. A page says which claims replicate. With
    another segmenter, intervals on the pages include the error of labels that the disagreement of both allows.
    """
    with reporting(offline) as reporter:
        from dissectreport.pipeline.render import render_run
        from dissectreport.pipeline.replicate import replicate

        record = replicate(options, seed, reporter)
        written = render_run(record, out, options.cache, reporter)
        reporter.close()
        printing.show(printing.written_lines(written, reporter.elapsed))
