"""Blind choices: how they add up, and what is told of files that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dissectreport.cli.app import app
from dissectreport.errors import BadOption
from dissectreport.review.preferences import VERDICTS, Choices, Preferred, lines, outcomes, read_choices
from dissectreport.stats.shares import wilson

ABOUT = {"kind": "preference", "model": "scenes_pgan", "identity": "abc", "edit": "20 units of layer4 switched off"}


def exported(folder: Path, name: str, words: str, **about: Any) -> Path:
    """A file of choices, one a letter: a for after, b for before, t for a tie."""
    kinds = {"a": "after", "b": "before", "t": "tie"}
    choices = [{"sample": i, "chosen": kinds[letter]} for i, letter in enumerate(words)]
    path = folder / name
    path.write_text(json.dumps({**ABOUT, "choices": choices, **about}))
    return path


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (5, 10), (10, 10), (1, 3), (28, 37)])
def test_wilsons_ends_are_where_the_share_is_just_not_refused(successes: int, trials: int) -> None:
    share, ends = successes / trials, wilson(successes, trials)
    for end in ends:
        if 0 < end < 1:
            assert abs(share - end) == pytest.approx(1.959964 * (end * (1 - end) / trials) ** 0.5, abs=1e-6)
    assert 0 <= ends[0] <= share <= ends[1] <= 1
    assert wilson(0, 0) == (0, 1)


@pytest.mark.parametrize(
    ("after", "before", "told"),
    [
        (30, 10, "images after the edit are preferred"),
        (10, 30, "images before the edit are preferred"),
        (22, 18, "no significant preference"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(after: int, before: int, told: str) -> None:
    kinds = ["before"] * before + ["after"] * after + ["tie"] * 3
    assert told in Preferred.of([Choices("a.json", {}, dict(enumerate(kinds)))]).verdict()


def test_two_people_who_choose_alike_tell_no_more_than_one() -> None:
    kinds = {i: "after" if i < 26 else "before" for i in range(40)}
    alone = Preferred.of([Choices("a.json", {}, kinds)])
    both = Preferred.of([Choices("a.json", {}, kinds), Choices("b.json", {}, kinds)])
    assert (both.after, both.decided) == (52, 80)
    assert (both.low, both.high) == pytest.approx((alone.low, alone.high))
    others = {i + 40: kind for i, kind in kinds.items()}
    apart = Preferred.of([Choices("a.json", {}, kinds), Choices("b.json", {}, others)])
    assert (apart.low, apart.high) == pytest.approx(wilson(52, 80)), "of other pairs they tell twice as much"
    assert alone.low < 0.5 < apart.low
    all_after = dict.fromkeys(range(10), "after")
    unanimous = Preferred.of([Choices("a.json", {}, all_after), Choices("b.json", {}, all_after)])
    assert (unanimous.low, unanimous.high) == pytest.approx(wilson(10, 10))


def test_one_more_choice_that_differs_gives_no_more_evidence() -> None:
    all_after = dict.fromkeys(range(12), "after")
    people = [Choices(f"{i}", {}, all_after) for i in range(10)]
    unanimous = Preferred.of(people)
    other = Preferred.of([*people[1:], Choices("0", {}, {**all_after, 3: "before"})])
    assert other.low < unanimous.low and other.high < unanimous.high == 1


def test_one_persons_earlier_and_later_choices_are_not_two_people(tmp_path: Path) -> None:
    paths = [exported(tmp_path, "early.json", "aab", seed=7), exported(tmp_path, "late.json", "aabab", seed=7)]
    with pytest.raises(BadOption, match=r"late.json and .*early.json contain choices of the same person"):
        list(lines([read_choices(path) for path in paths]))


def test_someone_who_started_again_is_the_same_person_and_no_longer_blind(tmp_path: Path) -> None:
    first = exported(tmp_path, "first.json", "aab", seed=7, person=7, again=0)
    second = exported(tmp_path, "second.json", "aaa", seed=8, person=7, again=1)
    with pytest.raises(BadOption, match="contain choices of the same person"):
        list(lines([read_choices(first), read_choices(second)]))
    told = list(lines([read_choices(second)]))
    assert told[0] == f"caution: {second} was chosen after the solution had been seen, so it is not blind"
    assert not any(line.startswith("caution") for line in lines([read_choices(first)]))
    assert read_choices(exported(tmp_path, "odd.json", "a", again="often")).again == 0


def test_choices_of_several_people_add_up(tmp_path: Path) -> None:
    paths = [exported(tmp_path, "ann.json", "aaaaaaabt"), exported(tmp_path, "bo.json", "aabbbt")]
    ran = CliRunner().invoke(app, ["preference", *map(str, paths)])
    assert ran.exit_code == 0, ran.output
    told = ran.stdout.splitlines()
    assert told[0].endswith("ann.json  after    7  before    1  tie    1  88% after [53%, 98%] of 8 decided")
    assert told[2].startswith("2 people together: 69% after [36%, 90%] of 13 decided")
    assert told[3] == "1 of 2 people chose after more often than before"
    assert told[4] == "There is no significant preference."


def test_the_file_of_one_person_is_reported_without_a_sum(tmp_path: Path) -> None:
    assert len(list(lines([read_choices(exported(tmp_path, "ann.json", "ttt"))]))) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("nothing", "is not JSON"),
        ('{"layer": "layer4", "units": [1]}', "contains no choices"),
        ('{"choices": [{"sample": 1, "chosen": "after"}]}', "contains other choices: its kind is not 'preference'"),
        (json.dumps({**ABOUT, "choices": []}), "no choice yet"),
        (json.dumps({**ABOUT, "choices": [{"sample": 1, "chosen": "left"}]}), "is not a choice"),
        (json.dumps({**ABOUT, "choices": [{"sample": 1, "chosen": "tie"}] * 2}), "sample 1 was chosen twice"),
    ],
)
def test_a_file_without_choices_is_refused(tmp_path: Path, words: str, told: str) -> None:
    (tmp_path / "a.json").write_text(words)
    with pytest.raises(BadOption, match=told):
        read_choices(tmp_path / "a.json")
    ran = CliRunner().invoke(app, ["preference", str(tmp_path / "a.json")])
    assert ran.exit_code == 1 and ran.stderr.startswith("dissectreport: ") and ran.stderr.count("\n") == 1


def test_choices_about_another_repair_are_not_added_up(tmp_path: Path) -> None:
    paths = [exported(tmp_path, "a.json", "ab"), exported(tmp_path, "b.json", "ab", edit="5 units of layer4")]
    with pytest.raises(BadOption, match=r"b.json is about another edit"):
        list(lines([read_choices(path) for path in paths]))


def test_every_outcome_of_a_page_has_the_interval_and_the_verdict_of_the_command_line() -> None:
    table = outcomes(12)
    assert [len(row) for row in table] == list(range(1, 14))
    for decided, row in enumerate(table):
        for after, (low, high, verdict) in enumerate(row):
            chosen = {sample: "after" if sample < after else "before" for sample in range(decided)}
            expected = Preferred.of([Choices("one", {}, chosen)])
            assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-4)
            assert VERDICTS[verdict] == expected.verdict()
