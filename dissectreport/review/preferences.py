"""Blind choices between images before and after a repair, as the preference page exports them.

for line in lines([read_choices(path) for path in paths]):
    print(line)
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dissectreport.errors import BadOption
from dissectreport.review.marked_units import parsed, read_text
from dissectreport.stats.shares import wilson

KINDS = ("before", "after", "tie")
ACCEPTED = "give files that the preference page exported"


@dataclass(frozen=True)
class Choices:
    """The choices of one person."""

    name: str
    """The name of the file."""
    about: Mapping[str, str]
    """model, identity and edit: only choices with the same values can be added up."""
    chosen: Mapping[int, str]
    """By sample 'before', 'after' or 'tie'."""
    browser: str = ""
    """A random number for each person, so that no person is counted twice; '' where unknown."""
    again: int = 0
    """How often the person had finished, and seen the solution, before these choices."""

    def count(self, kind: str) -> int:
        """How often one of `KINDS` was chosen."""
        return sum(choice == kind for choice in self.chosen.values())


@dataclass(frozen=True)
class Preferred:
    """How often the image after an edit was preferred, by one person or several, with its interval.

    Choices of several people about the same pair are correlated, so pairs are the sample: the interval is that of
    Wilson for as many choices as there are pairs.
    """

    after: int
    decided: int
    """Choices that are not ties."""
    low: float
    high: float

    @classmethod
    def of(cls, people: Sequence[Choices]) -> Preferred:
        """The sum of the choices of several people."""
        decided = [(sample, kind) for person in people for sample, kind in person.chosen.items() if kind != "tie"]
        after, pairs = sum(kind == "after" for _, kind in decided), len({sample for sample, _ in decided})
        share = after / len(decided) if decided else 0.0
        return cls(after, len(decided), *wilson(share * pairs, pairs))

    def summary(self) -> str:
        """The share of decided choices for the image after the edit, with its interval."""
        if not self.decided:
            return "no decided choice"
        share = self.after / self.decided
        return f"{share:.0%} after [{self.low:.0%}, {self.high:.0%}] of {self.decided} decided"

    def verdict(self) -> str:
        """The conclusion."""
        return VERDICTS[verdict_of(self.low, self.high)]


VERDICTS = (
    "There is no significant preference.",
    "The images after the edit are preferred.",
    "The images before the edit are preferred.",
)


def verdict_of(low: float, high: float) -> int:
    """The place in `VERDICTS` of the conclusion from the interval of the share for the image after the edit."""
    return 1 if low > 0.5 else 2 if high < 0.5 else 0


def outcomes(pairs: int) -> list[list[tuple[float, float, int]]]:
    """By decided choices (0 to `pairs`) of one person and those for the image after the edit: interval and verdict."""
    ends = [[wilson(after, decided) for after in range(decided + 1)] for decided in range(pairs + 1)]
    return [[(round(low, 4), round(high, 4), verdict_of(low, high)) for low, high in row] for row in ends]


def read_choices(path: Path) -> Choices:
    """The choices in a file; a BadOption explains what is wrong."""
    content = parsed(path, read_text(path), ACCEPTED)
    if not isinstance(content, dict) or not isinstance(content.get("choices"), list):
        raise BadOption(f"{path} contains no choices; {ACCEPTED}")
    if content.get("kind") != "preference":
        raise BadOption(f"{path} contains other choices: its kind is not 'preference'; {ACCEPTED}")
    if not content["choices"]:
        raise BadOption(f"{path} contains no choice yet; {ACCEPTED} after some")
    chosen = [_chosen(path, choice) for choice in content["choices"]]
    twice = [sample for sample, number in Counter(sample for sample, _ in chosen).items() if number > 1]
    if twice:
        raise BadOption(f"{path}: sample {twice[0]} was chosen twice; {ACCEPTED}, unchanged")
    about = {name: str(content.get(name, "")) for name in ("model", "identity", "edit")}
    text = json.dumps(content, sort_keys=True).encode()
    browser = str(content.get("person") or content.get("seed") or hashlib.sha256(text).hexdigest())
    again = content.get("again", 0)
    return Choices(str(path), about, dict(chosen), browser, again if type(again) is int and again > 0 else 0)


def _chosen(path: Path, choice: Any) -> tuple[int, str]:
    if not isinstance(choice, dict) or choice.get("chosen") not in KINDS or type(choice.get("sample")) is not int:
        raise BadOption(
            f"{path}: {repr(choice)[:60]} is not a choice; each has a sample, and chosen: before, after or tie"
        )
    return choice["sample"], choice["chosen"]


def lines(people: Sequence[Choices]) -> Iterator[str]:
    """A line for each person, and for several people their sum."""
    by_browser: dict[str, Choices] = {}
    for person in people:
        known = by_browser.setdefault(person.browser, person) if person.browser else person
        if known is not person:
            raise BadOption(
                f"{person.name} and {known.name} contain choices of the same person; give each person's choices once"
            )
    for person in people[1:]:
        different = [name for name in person.about if person.about[name] != people[0].about[name]]
        if different:
            subject, first = (who.about[different[0]] for who in (person, people[0]))
            raise BadOption(
                f"{person.name} is about another {different[0]} ({subject[:60]}) than {people[0].name} ({first[:60]}); "
                "only choices about the same repair can be added up"
            )
    for person in people:
        if person.again:
            yield f"caution: {person.name} was chosen after the solution had been seen, so it is not blind"
    width = max(len(person.name) for person in people)
    for person in people:
        counts = "  ".join(f"{kind} {person.count(kind):4}" for kind in ("after", "before", "tie"))
        yield f"{person.name:{width}}  {counts}  {Preferred.of([person]).summary()}"
    together = Preferred.of(people)
    if len(people) > 1:
        for_after = sum(person.count("after") > person.count("before") for person in people)
        yield f"{len(people)} people together: {together.summary()}, the interval over pairs, for these people"
        yield f"{for_after} of {len(people)} people chose after more often than before"
    yield together.verdict()
