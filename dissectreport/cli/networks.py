"""Commands that say what a model is: its layers, its checks, its description."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dissectreport.cli import printing
from dissectreport.cli.arguments import SETTINGS, Offline
from dissectreport.cli.parameters import Only, with_options
from dissectreport.cli.session import reporting
from dissectreport.pipeline.options import Options


def models() -> None:
    """List models, segmenters, feature networks.

    Shows whether each is installed, its size and its licence.
    """
    from dissectreport import plugins

    groups = {
        "Models": plugins.list_plugins(plugins.GENERATORS),
        "Segmenters": plugins.list_plugins(plugins.SEGMENTERS),
        "Feature networks (--features)": plugins.list_plugins(plugins.FEATURES),
    }
    printing.show(printing.model_lines(groups))
    typer.echo(f"downloads are kept in {plugins.downloads()}; --weights FILE reads any other file")
    typer.echo("Some names take an argument, such as words:dome,tower; + joins segmenters, such as scenes+colour.")


@with_options
def layers(
    options: Annotated[Options, Only("model", *SETTINGS)],
    everything: Annotated[
        bool, typer.Option("--all", help="Show also parts of the network whose units cannot be read.")
    ] = False,
    offline: Offline = False,
) -> None:
    """List the layers of a model.

    Shows their shapes, units and parameters, to choose --layers from.
    """
    with reporting(offline):
        from dissectreport.pipeline.preflight import layer_rows

        printing.show(printing.layer_lines(layer_rows(options), everything))


@with_options
def check(
    options: Annotated[Options, Only("model", "segmenter", "seed", "device", *SETTINGS)],
    samples: Annotated[
        int, typer.Option(help="Also generate this many images, and name those that are not finite.", min=0)
    ] = 0,
    offline: Offline = False,
) -> None:
    """Check a model and its segmenter.

    Generates and segments a few images and reports problems. The exit status is 1 if there are any.
    """
    with reporting(offline):
        from dissectreport.pipeline.preflight import check

        wrong = False
        for finding in check(options, samples):
            typer.echo(finding)
            wrong = wrong or finding.wrong
        if wrong:
            raise typer.Exit(1)


def describe(
    file: Annotated[Path, typer.Argument(help="A checkpoint, or a folder with a config.json.")],
) -> None:
    """Describe a checkpoint in TOML.

    The description is complete if the family is recognised; otherwise it contains what the file shows, and says what
    is missing.
    """
    with reporting():
        from dissectreport.pipeline.describe import describe

        typer.echo(describe(file), nl=False)
