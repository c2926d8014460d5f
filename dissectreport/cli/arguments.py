"""Parameters that several commands have, beside the groups of options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MACHINE = "Machine"
Offline = Annotated[
    bool,
    typer.Option("--offline", help="Do not download; fail if a file is missing.", rich_help_panel=MACHINE),
]
Out = Annotated[Path, typer.Option(help="Folder in which the site is written.", metavar="FOLDER")]
Site = Annotated[Path, typer.Argument(help="The folder of the site.")]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder that keeps the measurements.", metavar="FOLDER", show_default="the platform's cache folder"
    ),
]
SETTINGS = ("weights", "psi", "cutoff", "label", "noise", "images", "validation", "directions")
"""Which options say more about a model."""
