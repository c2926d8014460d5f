"""Parameters of commands, made from the groups of options: a command takes a group, the shell sees its fields.

@with_options
def check(options: Annotated[Options, Only("model", "device")]) -> None: ...
"""

from __future__ import annotations

import csv
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from dissectreport.cli import completion
from dissectreport.errors import BadOption
from dissectreport.pipeline.options import Help

Command = Callable[..., None]


class Only:
    """Which fields of a group a command takes; the others keep their defaults."""

    def __init__(self, *names: str) -> None:
        self.names = names


@dataclass(frozen=True)
class Group:
    """A group of options that a command takes as one value."""

    options: type
    names: tuple[str, ...]

    @classmethod
    def of(cls, annotation: Any) -> Group | None:
        """The group that a parameter represents; None for an ordinary parameter."""
        options, *more = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
        if not is_dataclass(options) or not isinstance(options, type):
            return None
        only = [name for item in more if isinstance(item, Only) for name in item.names]
        return cls(options, tuple(only or (field.name for field in fields(options))))

    def parameters(self) -> Iterator[inspect.Parameter]:
        """A parameter for each field that has a help text."""
        hints = get_type_hints(self.options, include_extras=True)
        for field in fields(self.options):
            described = [item for item in get_args(hints[field.name])[1:] if isinstance(item, Help)]
            if field.name in self.names and described:
                yield _parameter(field, get_args(hints[field.name])[0], described[0], _panel(self.options, field.name))

    def value(self, parameters: dict[str, Any]) -> Any:
        """The group made from `parameters`; those that it uses are removed from them."""
        names = [parameter.name for parameter in self.parameters()]
        values = {name: parameters.pop(name) for name in names}
        hints = get_type_hints(self.options)
        listed = {name: comma_separated(values[name]) for name in names if get_origin(hints[name]) is tuple}
        absent = {field.name for field in fields(self.options) if field.default_factory is not MISSING}
        return self.options(**{k: v for k, v in (values | listed).items() if v is not None or k not in absent})


def with_options(command: Command) -> Command:
    """The command, with a parameter for each field of the groups that it takes."""
    signature = inspect.signature(command, eval_str=True)
    groups = {name: Group.of(parameter.annotation) for name, parameter in signature.parameters.items()}

    @wraps(command)
    def called(**arguments: Any) -> None:
        try:
            values = {name: group.value(arguments) for name, group in groups.items() if group is not None}
        except BadOption as error:
            typer.echo(f"dissectreport: {error}", err=True)
            raise typer.Exit(1) from None
        command(**arguments, **values)

    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        group = groups[name]
        parameters += [parameter.replace(kind=parameter.KEYWORD_ONLY)] if group is None else group.parameters()
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def _panel(options: type, name: str) -> str | None:
    """The help panel of a field: that of the class which declares it."""
    owner = next(base for base in options.__mro__ if name in inspect.get_annotations(base))
    return getattr(owner, "panel", None)


def _parameter(field: Field[Any], annotation: Any, described: Help, panel: str | None) -> inspect.Parameter:
    """The parameter of one field."""
    default = None if field.default is MISSING else field.default
    if get_origin(annotation) is tuple:
        annotation, default = str, ""
    elif field.default_factory is not MISSING:
        annotation = Path | None
    shown = _shown(default) if described.default is True else described.default
    more: dict[str, Any] = {"help": described.text, "metavar": described.metavar}
    more["autocompletion"] = completion.of(described.complete)
    if described.argument:
        info = typer.Argument(**more, show_default=False)
    else:
        flags = [described.flag] if described.flag else []
        info = typer.Option(*flags, **more, show_default=shown, min=described.least, rich_help_panel=panel)
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if described.argument else default,
        annotation=Annotated[annotation, info],
    )


def _shown(default: object) -> bool | str:
    """How a default is shown: not where it is nothing or off."""
    return "on" if default is True else default not in (None, "", False)


def comma_separated(words: str) -> tuple[str, ...]:
    """The parts of a list, as in a line of a CSV file: a part with commas is in double quotes.

    >>> comma_separated("layer4, layer6,")
    ('layer4', 'layer6')
    >>> comma_separated('"relu 4,6",layer6')
    ('relu 4,6', 'layer6')
    """
    try:
        parts = next(csv.reader([words], skipinitialspace=True), [])
    except csv.Error as error:
        raise BadOption(f"{words[:60]!r} is not a list of names separated by commas on one line") from error
    return tuple(part.strip() for part in parts if part.strip())
