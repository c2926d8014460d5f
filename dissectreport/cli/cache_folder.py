"""Commands on the folder that keeps measurements."""

from __future__ import annotations

from typing import Annotated

import typer

from dissectreport.cli import printing
from dissectreport.cli.arguments import Cache
from dissectreport.cli.session import reporting


def cache_list(cache: Cache = None) -> None:
    """List the measured runs and their size."""
    with reporting():
        from dissectreport.pipeline import cache_tools

        printing.show(printing.cache_lines(cache_tools.content(cache)))


def cache_verify(cache: Cache = None) -> None:
    """Read every file and name damaged ones.

    Damaged files are measured again by the next run.
    """
    with reporting():
        from dissectreport.pipeline import cache_tools

        damaged = cache_tools.damaged(cache)
        for path in damaged:
            typer.echo(f"damaged: {path}")
        typer.echo(f"{len(damaged)} damaged" if damaged else "all files can be read")
        if damaged:
            raise typer.Exit(1)


def cache_clear(
    model: Annotated[
        str | None, typer.Argument(help="Remove only what belongs to this model.", show_default="everything")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            help="Remove only what was last measured longer ago than this, such as 30d or 12h.", metavar="TIME"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="Remove the oldest runs until at most this many MB are left.", metavar="MB"),
    ] = None,
    cache: Cache = None,
) -> None:
    """Remove measurements."""
    with reporting():
        from dissectreport.pipeline import cache_tools
        from dissectreport.pipeline.schedule import seconds_of

        age = None if older_than is None else seconds_of(older_than)
        freed = cache_tools.clear(cache, model or "", age, None if limit is None else limit * 1_000_000)
        typer.echo(f"{freed / 1e6:,.1f} MB removed")
