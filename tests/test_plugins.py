"""Generators and segmenters are found by name, and a plug-in that does not work says so in one line."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from dissectreport import plugins
from dissectreport.errors import BadOption, DissectReportError, ModelError, SegmenterError, UnknownName
from dissectreport.plugins import GENERATORS, SEGMENTERS
from dissectreport.vocabulary import Vocabulary

PLANTED = "dissectreport.models.planted:load"

FILE = """
from dataclasses import dataclass
from pathlib import Path

from dissectreport.models.planted import load


def works():
    return load()


def raises():
    raise RuntimeError("first line\\nsecond line")


def gives_a_number():
    return 7


def network():
    from torch import nn

    return nn.Linear(2, 3)


def tells_a_place():
    made = load()
    object.__setattr__(made, "facts", {"place": Path("here")})
    return made


def needs_an_argument(path):
    return load()


def from_file(weights=None):
    raise RuntimeError(f"asked to read {weights!r}")


def takes_words(words):
    made = load()
    object.__setattr__(made, "name", words)
    return made


number = 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with functions that a user might have written."""
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def declare(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    """Let installed packages declare these names for these addresses, in both groups."""
    monkeypatch.setattr(
        plugins, "_declared", lambda group: tuple(EntryPoint(name, value, group.entry_points) for name, value in points)
    )


def test_our_own_names_are_declared_like_anybodys() -> None:
    if not plugins.names(GENERATORS):
        pytest.skip("entry points need an installed package")
    assert {"planted", "scenes_pgan", "rooms_pgan", "scenes64_plain"} <= set(plugins.names(GENERATORS))
    assert {"planted", "scenes", "colour", "ade20k", "words"} <= set(plugins.names(SEGMENTERS))


def test_a_declared_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, ("mine", PLANTED))
    assert plugins.generator("mine").name == "planted"


def test_a_declared_name_takes_what_stands_behind_its_colon(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    declare(monkeypatch, ("mine", "mine:takes_words"))
    for argument in ("a,b", "owner/name@v2:a,b", "./folder", "works"):
        assert plugins.generator(f"mine:{argument}").name == argument
    with pytest.raises(ModelError, match="the name of 'mine:' must be a text, not ''"):
        plugins.generator("mine:")


def test_a_declared_name_wins_over_a_module_of_that_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    assert plugins.generator("mine:works").name == "planted"
    declare(monkeypatch, ("mine", "mine:takes_words"))
    assert plugins.generator("mine:works").name == "works"


@pytest.mark.parametrize("argument", ["x", "", "a:b"])
def test_a_function_that_takes_no_argument_is_given_none(
    file: Path, monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    declare(monkeypatch, ("mine", "mine:works"))
    with pytest.raises(ModelError, match=r"'mine' takes no argument, but .* was given; write only") as refused:
        plugins.generator(f"mine:{argument}")
    assert "\n" not in str(refused.value)


def test_a_function_that_needs_an_argument_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    declare(monkeypatch, ("mine", "mine:takes_words"))
    with pytest.raises(ModelError, match=r"cannot be made: TypeError: .*'words'"):
        plugins.generator("mine")


def test_a_misspelt_name_with_an_argument_gets_the_names_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, ("ade20k", "somewhere:else"))
    with pytest.raises(UnknownName, match="names with an argument begin with one of ade20k"):
        plugins.segmenter("ade2k:owner/name")


def test_an_address_in_a_package_is_found() -> None:
    assert plugins.generator(PLANTED).name == "planted"
    assert plugins.segmenter("dissectreport.segmenters.planted:load").name == "planted"


def test_an_address_in_a_file_is_found(file: Path) -> None:
    assert plugins.generator(f"{file}:works").identity == plugins.generator(PLANTED).identity


def test_a_file_of_weights_is_handed_to_a_function_that_takes_one(file: Path) -> None:
    with pytest.raises(ModelError, match=r"asked to read PosixPath\('other.pth'\)"):
        plugins.generator(f"{file}:from_file", "other.pth")
    with pytest.raises(ModelError, match="asked to read None"):
        plugins.generator(f"{file}:from_file")
    with pytest.raises(BadOption, match="takes no file of weights; leave out --weights") as refused:
        plugins.generator(f"{file}:works", "other.pth")
    assert "\n" not in str(refused.value)


def test_a_relative_file_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert plugins.generator("./mine.py:works").name == "planted"


def test_a_misspelt_name_gets_the_nearest_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, ("planted", PLANTED), ("scenes_pgan", "somewhere:else"))
    with pytest.raises(UnknownName, match="did you mean planted"):
        plugins.generator("plantd")


def test_without_an_installation_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch)
    with pytest.raises(UnknownName, match="not installed"):
        plugins.generator("planted")


def test_two_packages_cannot_declare_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, ("planted", PLANTED), ("planted", "other.package:load"))
    with pytest.raises(ModelError, match="two packages declare a generator 'planted'"):
        plugins.generator("planted")


def test_one_package_found_twice_is_no_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, ("planted", PLANTED), ("planted", PLANTED))
    assert plugins.generator("planted").name == "planted"


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("raises", ModelError, "RuntimeError: first line second line"),
        ("gives_a_number", ModelError, "returned a int, which is not a generator"),
        ("network", ModelError, "returned a Linear, which is not a generator: it has no name"),
        ("network", ModelError, "; describe a network in a TOML file"),
        ("tells_a_place", ModelError, "must be plain JSON values: Object of type PosixPath"),
        ("needs_an_argument", ModelError, "cannot be made: TypeError"),
        ("number", ModelError, "is a int; it should be a function"),
        ("work", UnknownName, "did you mean works"),
        ("", UnknownName, "an address is"),
        ("works()", UnknownName, "an address is"),
    ],
)
def test_a_plug_in_that_does_not_work_gives_one_line(
    file: Path, function: str, error: type[DissectReportError], message: str
) -> None:
    with pytest.raises(error) as refused:
        plugins.generator(f"{file}:{function}")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_generator_is_no_segmenter() -> None:
    with pytest.raises(SegmenterError, match="which is not a segmenter: it has no vocabulary, confidence"):
        plugins.segmenter(PLANTED)


@pytest.mark.parametrize(
    ("vocabulary", "line"),
    [
        ('Vocabulary.of(object=("sea", "sky", "sea"))', "a vocabulary has these concepts twice: 'sea' (object)"),
        ('Vocabulary.of(object=("sea", ""), part=(" ",))', "these concepts of a vocabulary have no name: number 2, 3"),
        ('Vocabulary.of(object=("sea", 3))', "the name of a concept must be text, not 3"),
        ('("sea", "sky")', "is a tuple; make it with Vocabulary.of"),
        ("Vocabulary.of(object=('\\ud800', 'a'))", "cannot be written into a file: it has half a character"),
    ],
)
def test_a_vocabulary_whose_concepts_cannot_be_told_apart_is_refused(
    tmp_path: Path, vocabulary: str, line: str
) -> None:
    code = "from dataclasses import replace\nfrom dissectreport.segmenters.base import Vocabulary\n"
    code += "from dissectreport.segmenters import planted\n"
    own = f"def load():\n    return replace(planted.load(), vocabulary={vocabulary})\n"
    (tmp_path / "seg.py").write_text(code + own)
    with pytest.raises(SegmenterError) as refused:
        plugins.segmenter(f"{tmp_path}/seg.py:load")
    assert line in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("member", ["name", "identity"])
@pytest.mark.parametrize("value", ["3", "' '", "None"])
def test_a_name_or_an_identity_that_is_no_text_is_refused(tmp_path: Path, member: str, value: str) -> None:
    code = "from dataclasses import replace\nfrom dissectreport.segmenters import planted\n"
    (tmp_path / "seg.py").write_text(f"{code}def load():\n    return replace(planted.load(), {member}={value})\n")
    with pytest.raises(SegmenterError, match=f"the {member} of .* must be a text, not {value}"):
        plugins.segmenter(f"{tmp_path}/seg.py:load")


def test_concepts_of_one_name_and_two_categories_are_told_apart() -> None:
    assert Vocabulary.of(object=("hair",), material=("hair",)).names == ["-", "hair", "hair (material)"]


def test_code_that_cannot_be_imported_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("this is no Python\n")
    for address in (f"{tmp_path}/broken.py:load", "no_such_package.at_all:load"):
        with pytest.raises(ModelError, match="cannot be imported") as refused:
            plugins.generator(address)
        assert "\n" not in str(refused.value)


def test_a_file_that_is_called_like_a_module_of_python_does_not_take_its_place(file: Path) -> None:
    (file.parent / "wave.py").write_text("raise RuntimeError('not the one of Python')")
    plugins.generator(f"{file}:works")
    assert sys.path.index(str(file.parent)) == len(sys.path) - 1
    importlib.import_module("wave")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"there is no file .*absent\.py"):
        plugins.generator(f"{tmp_path}/absent.py:load")
