"""Rules for the tests themselves: what test modules share lies in tests/support."""

from __future__ import annotations

import ast
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
