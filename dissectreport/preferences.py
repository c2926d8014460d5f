"""Blind choices between images before and after a repair: what the preference page exports, of one person or more.

for line in lines([read_choices(path) for path in paths]):
    print(line)
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dissectreport.errors import BadOption
from dissectreport.marks import parsed, read_words

Z = 1.959963984540054
"""Deviations that hold 95 % of a normal distribution."""
KINDS = ("before", "after", "tie")
WOULD_DO = "give files that the preference page exported"


@dataclass(frozen=True)
class Choices:
    """What one person chose."""

    name: str
    """Of the file."""
    about: Mapping[str, str]
    """model, identity and edit: what may be added up has the same."""
    before: int
    after: int
    tie: int
    digest: str = ""
    """Of what the file says, so that nobody is counted twice."""

    @property
    def decided(self) -> int:
        """Choices that are no ties."""
        return self.before + self.after

    def add(self, other: Choices) -> Choices:
        """The choices of both."""
        sums = (getattr(self, kind) + getattr(other, kind) for kind in KINDS)
        return Choices(f"{self.name}, {other.name}", self.about, *sums)


def read_choices(path: Path) -> Choices:
    """The choices in a file; BadOption says what is wrong with it."""
    found = parsed(path, read_words(path), WOULD_DO)
    if not isinstance(found, dict) or found.get("kind") != "preference" or not isinstance(found.get("choices"), list):
        raise BadOption(f"{path} holds no choices; {WOULD_DO}")
    if not found["choices"]:
        raise BadOption(f"{path} holds no choice yet; {WOULD_DO} after some")
    chosen = [_chosen(path, one) for one in found["choices"]]
    twice = [sample for sample, number in Counter(sample for sample, _ in chosen).items() if number > 1]
    if twice:
        raise BadOption(f"{path}: sample {twice[0]} was chosen twice; {WOULD_DO}, unchanged")
    number = Counter(kind for _, kind in chosen)
    about = {name: str(found.get(name, "")) for name in ("model", "identity", "edit")}
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    return Choices(path.name, about, number["before"], number["after"], number["tie"], digest)


def _chosen(path: Path, one: Any) -> tuple[Any, str]:
    if not isinstance(one, dict) or one.get("chosen") not in KINDS or type(one.get("sample")) is not int:
        raise BadOption(f"{path}: {one!r} is no choice; each has a sample, and chosen: before, after or tie")
    return one["sample"], one["chosen"]


def lines(people: Sequence[Choices]) -> Iterator[str]:
    """A line for each person and, of several, what all of them say."""
    seen: dict[str, Choices] = {}
    for one in people:
        known = seen.setdefault(one.digest, one)
        if known is not one:
            raise BadOption(f"{one.name} holds the same choices as {known.name}; give each person's choices once")
    together = people[0]
    for one in people[1:]:
        different = [name for name in one.about if one.about[name] != people[0].about[name]]
        if different:
            given, first = (who.about[different[0]] for who in (one, people[0]))
            raise BadOption(
                f"{one.name} is about another {different[0]} ({given[:60]}) than {people[0].name} ({first[:60]}); "
                "choices about the same repair can be added up"
            )
        together = together.add(one)
    width = max(len(one.name) for one in people)
    for one in people:
        yield f"{one.name:{width}}  after {one.after:4}  before {one.before:4}  tie {one.tie:4}  {told(one)}"
    if len(people) > 1:
        for_after = sum(one.after > one.before for one in people)
        yield f"{len(people)} people together: {told(together)}, every choice counted as independent of the others"
        yield f"{for_after} of {len(people)} people chose after more often than before"
    yield verdict(together)


def told(one: Choices) -> str:
    """The share of decided choices that fell on the repaired image, with its interval."""
    if not one.decided:
        return "nothing decided"
    low, high = wilson(one.after, one.decided)
    return f"{one.after / one.decided:.0%} after [{low:.0%}, {high:.0%}] of {one.decided} decided"


def verdict(one: Choices) -> str:
    """What follows."""
    low, high = wilson(one.after, one.decided)
    if low > 0.5:
        return "The repaired images are preferred."
    if high < 0.5:
        return "The images without the repair are preferred."
    return "No preference can be told."


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927).

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if not trials:
        return 0.0, 1.0
    share, extra = successes / trials, Z * Z / trials
    middle = (share + extra / 2) / (1 + extra)
    reach = Z / (1 + extra) * math.sqrt(share * (1 - share) / trials + extra / trials / 4)
    return middle - reach if successes else 0.0, middle + reach if successes < trials else 1.0
