"""What a shell completes options with; nothing heavy is imported for it, and no model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer

Completion = Callable[[typer.Context, str], list[str]]


def of(kind: str) -> Completion | None:
    """The completion of a kind of option; None where there is nothing to offer."""
    return COMPLETIONS.get(kind)


def _models(context: typer.Context, typed: str) -> list[str]:
    from dissectreport import plugins

    return _starting(typed, plugins.names(plugins.GENERATORS))


def _segmenters(context: typer.Context, typed: str) -> list[str]:
    """Names, also after a + that joins several."""
    from dissectreport import plugins

    before, plus, last = typed.rpartition("+")
    return [f"{before}{plus}{name}" for name in _starting(last, plugins.names(plugins.SEGMENTERS))]


def _features(context: typer.Context, typed: str) -> list[str]:
    from dissectreport import plugins

    return _starting(typed, plugins.names(plugins.FEATURES))


def _layers(context: typer.Context, typed: str) -> list[str]:
    """The layers of the model that were measured before, also after a comma."""
    from dissectreport import files
    from dissectreport.cache import records

    cache, model = context.params.get("cache") or files.default_folder(), context.params.get("model")
    layers = dict.fromkeys(
        layer.name for record in records.every(cache) if record.model == model for layer in record.layers
    )
    before, comma, last = typed.rpartition(",")
    return [f"{before}{comma}{name}" for name in _starting(last, layers)]


def _rules(context: typer.Context, typed: str) -> list[str]:
    from dissectreport.run.rules import RULES

    return _starting(typed, RULES)


def _budgets(context: typer.Context, typed: str) -> list[str]:
    from dissectreport.run.budgets import INTERVENTION_BUDGETS

    return _starting(typed, INTERVENTION_BUDGETS)


def _starting(typed: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(typed)]


COMPLETIONS: dict[str, Completion] = {
    "models": _models,
    "segmenters": _segmenters,
    "features": _features,
    "layers": _layers,
    "rules": _rules,
    "budgets": _budgets,
}
