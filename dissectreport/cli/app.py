"""The program: every command by its name, in the order of the help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from dissectreport.cli import cache_folder, edits, given, networks, runs, sharing
from dissectreport.cli.stopping import run_program
from dissectreport.cli.streams import prepare_streams

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Find out what the units of an image generator represent and cause, and publish it as a static web "
    "site.\n\nExample: dissectreport build scenes_pgan --out site",
)
cache_app = typer.Typer(no_args_is_help=True, help="List, check or clear what was measured.")
app.add_typer(cache_app, name="cache")

COMMANDS: Mapping[str, Callable[..., None]] = {
    "build": runs.build,
    "measure": runs.measure,
    "merge": runs.merge,
    "render": runs.render,
    "compare": runs.compare,
    "status": runs.status,
    "intervene": edits.intervene,
    "artifacts": edits.artifact_units,
    "repair": edits.repair,
    "edit": edits.edit,
    "invert": edits.invert,
    "animate": edits.animate,
    "replicate": runs.replicate,
    "models": networks.models,
    "layers": networks.layers,
    "check": networks.check,
    "describe": networks.describe,
    "serve": sharing.serve,
    "publish": sharing.publish,
    "export": sharing.export,
    "import": sharing.import_results,
    "preference": sharing.preference,
}
"""What each command does; each takes its options, calls the pipeline or publishing, and prints the result."""
CACHE_COMMANDS: Mapping[str, Callable[..., None]] = {
    "list": cache_folder.cache_list,
    "verify": cache_folder.cache_verify,
    "clear": cache_folder.cache_clear,
}
"""The commands of `dissectreport cache`."""
for name, command in COMMANDS.items():
    app.command(name, cls=given.Command)(command)
for name, command in CACHE_COMMANDS.items():
    cache_app.command(name, cls=given.Command)(command)


def _version(wanted: bool) -> None:
    if wanted:
        from dissectreport.version import __version__

        typer.echo(f"dissectreport {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the program."""
    prepare_streams()
    run_program(app)
