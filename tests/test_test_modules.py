"""Rules for the tests themselves: what test modules share lies in tests/support."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def imported_modules(code: str) -> list[str]:
    """The full names that the imports of this code name: modules, and what is taken from them."""
    names: list[str] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names += [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
    return names


def imported_test_modules(code: str) -> list[str]:
    """The imports of this code that lead into a test module."""
    return [name for name in imported_modules(code) if any(part.startswith("test_") for part in name.split("."))]


IMPORT = re.compile(r"from (dissectreport[\w.]*) import (\w+(?:, \w+)*)")


def imported_in_strings(code: str) -> set[tuple[str, str]]:
    """What the programs that a test writes as strings import from the package: modules and names."""
    texts = (node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant))
    found = (match for text in texts if isinstance(text, str) for match in IMPORT.findall(text))
    return {(module, name) for module, names in found for name in names.split(", ")}


def importable(module: str, name: str) -> bool:
    """Whether `from module import name` works."""
    try:
        found = getattr(import_module(module), name, None) or import_module(f"{module}.{name}")
    except ImportError:
        return False
    return found is not None


def test_programs_in_strings_import_what_exists() -> None:
    every = set().union(*(imported_in_strings(path.read_text("utf-8")) for path in TESTS.rglob("*.py")))
    assert len(every) > 10
    assert sorted(pair for pair in every if not importable(*pair)) == []


def test_a_program_that_imports_what_does_not_exist_is_noticed() -> None:
    ((module, name),) = imported_in_strings('code = "from dissectreport.errors import " "Nothing; Nothing()"')
    assert not importable(module, name)


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_module_is_imported(path: Path) -> None:
    assert imported_test_modules(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "code",
    [
        "from tests.test_site import pages",
        "from test_site import pages",
        "import tests.test_site",
        "from tests import test_site",
        "from .test_site import pages",
        "def read():\n    from tests.test_site import pages",
    ],
)
def test_every_form_of_such_an_import_is_noticed(code: str) -> None:
    assert imported_test_modules(code)
