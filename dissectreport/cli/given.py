"""Values that are given but say nothing, as where the variable of a script is not set: refused, in every command."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

SEPARATORS = ", \t\r\n\"'"


class Command(TyperCommand):
    """A command that refuses empty values, and lists with nothing but separators.

    Taken as not given, `--layers "$LAYERS"` would measure others than was meant, and `--out ""` would write into the
    current folder.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, as the library parses them."""
        if not ctx.resilient_parsing:
            given, _, _ = self.make_parser(ctx).parse_args(args=[*args])
            for parameter in self.params:
                _check(parameter, given.get(parameter.name or ""))
        return super().parse_args(ctx, args)


def _check(parameter: Any, given: object) -> None:
    """End with one line if a value, or one of several, is empty."""
    for value in given if isinstance(given, list | tuple) else (given,):
        if isinstance(value, str) and not value.strip(SEPARATORS):
            name = parameter.opts[0] if parameter.param_type_name == "option" else f"the argument {parameter.name}"
            typer.echo(f"dissectreport: {name} is empty ({value!r}); give a value, or leave it out", err=True)
            raise typer.Exit(1)
