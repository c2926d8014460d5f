"""From a template and a dataclass to the bytes of a page."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dissectreport.report.common.glossary import term_anchor
from dissectreport.report.common.wording import TOO_FEW
from dissectreport.report.html import numbers
from dissectreport.report.html.assets import templates_folder
from dissectreport.report.html.charts import CONTROL_WORDS, KIND_WORDS, KIND_WORDS_MANY
from dissectreport.report.html.policy import site_policy, theme_script

FILTERS = (
    *("share", "percent", "times", "count", "plain", "p_value", "removed", "change", "gain", "points", "ratio"),
    "figure",
)
"""The ways to write a number that templates use, by their names in `numbers`."""


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Jinja with everything escaped and every misspelt name an error."""
    environment = Environment(
        loader=FileSystemLoader(templates_folder()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "too_few": TOO_FEW,
        "control_words": CONTROL_WORDS,
        "kind_words": KIND_WORDS,
        "kind_words_many": KIND_WORDS_MANY,
    }
    environment.globals |= {"theme": theme_script(), "site_policy": site_policy()}
    environment.filters |= {name: getattr(numbers, name) for name in FILTERS}
    environment.filters |= {"interval": interval, "data": inline_data, "inline": inline_text, "runs": runs}
    environment.filters |= {"unindented": unindented}
    environment.filters |= {"figure_interval": figure_interval}
    environment.globals |= {"before_and_after": numbers.before_and_after, "term_anchor": term_anchor}
    return environment


def interval(ends: tuple[float, float], form: str, *digits: int) -> str:
    """The ends of an interval in brackets, each written by a filter; '' where there is no interval.

    >>> interval((0.52, 0.61), "share"), interval((math.nan, math.nan), "share")
    ('[0.52, 0.61]', '')
    """
    if any(map(math.isnan, ends)):
        return ""
    write = getattr(numbers, form)
    return numbers.interval(*ends, lambda value: write(value, *digits))


def figure_interval(point: numbers.HasInterval) -> str:
    """The interval of a figure in brackets, written like the figure; '' where there is none."""
    if math.isnan(point.low + point.high):
        return ""
    return numbers.interval(point.low, point.high, numbers.form_of(point))


def runs(values: Sequence[Any], attribute: str) -> list[tuple[Any, list[Any]]]:
    """Neighbours that have an attribute in common, in their order; Jinja's own groupby sorts."""
    return [(shared, list(group)) for shared, group in groupby(values, attrgetter(attribute))]


def inline_data(value: Any) -> Markup:
    """JSON for a script element that no content can close."""
    words = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        words = words.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(words)


def inline_text(words: str) -> Markup:
    """One of our own style sheets or scripts within its element, which it must not close."""
    assert "</" not in words, "a closing tag would end the element"
    return Markup(words)


def unindented(words: Markup) -> Markup:
    """Markup without the spaces at the start of its lines, for what a page repeats hundreds of times."""
    return Markup(re.sub(r"\n\s+", "\n", words))


def render(template: str, page: Any) -> bytes:
    """One page; the template sees the fields of `page` and nothing else."""
    fields = {name: getattr(page, name) for name in page.__dataclass_fields__}
    return environment().get_template(template).render(fields).encode()
