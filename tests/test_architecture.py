"""Imports point one way, and every library has its owner: read from the source, and tried without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.tools import load_tool

architecture = load_tool("architecture")
ROOT, PACKAGE = architecture.ROOT, architecture.PACKAGE

WITHOUT_TORCH = ("analysis", "cache", "cli", "files", "publish", "report", "review", "run", "stats")
"""Parts that work where torch is not installed."""

ONE_OWNER = {
    "filelock": "files",
    "jinja2": "report",
    "markupsafe": "report",
    "platformdirs": "files",
    "rich": "cli",
    "typer": "cli",
    "watchfiles": "publish",
}
"""Libraries that one part alone may import."""

DISTRIBUTIONS = {"PIL": "pillow"}
"""Where a library is installed under another name than it is imported."""


def offenders(offends: Callable[[Path, ast.AST], bool]) -> set[str]:
    """The lines of the package where a node of the source offends against a rule."""
    return {
        f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
        for path in architecture.sources()
        for node in ast.walk(architecture.tree(path))
        if offends(path, node)
    }


def test_every_part_has_its_place_in_the_order() -> None:
    assert sorted(architecture.ORDER) == architecture.parts()


@pytest.mark.parametrize("package", architecture.INNER)
def test_every_inner_part_has_its_place_in_the_order(package: str) -> None:
    assert sorted(architecture.INNER[package]) == sorted(architecture.edges(package))


def test_imports_go_down_the_order() -> None:
    assert architecture.upward(architecture.ORDER, architecture.edges()) == []


@pytest.mark.parametrize("package", architecture.INNER)
def test_imports_go_down_the_order_within(package: str) -> None:
    assert architecture.upward(architecture.INNER[package], architecture.edges(package)) == []


def test_no_modules_import_each_other_in_a_circle_not_even_for_types() -> None:
    order = list(TopologicalSorter(architecture.module_imports()).static_order())
    assert order.index("dissectreport.errors") < order.index("dissectreport.cli.app")


def test_an_upward_import_is_found() -> None:
    found = {"top": {"middle", "low"}, "middle": {"low"}, "low": {"middle"}}
    assert architecture.upward(("top", "middle", "low"), found) == ["low -> middle"]


def test_report_knows_no_network_and_networks_know_no_report() -> None:
    found = architecture.edges()
    assert not {"worker", "models", "segmenters", "networks", "cache"} & found["report"]
    assert not {"worker", "models", "segmenters", "networks", "cache"} & found["analysis"]
    assert not {"report", "analysis", "cache"} & found["worker"]


def test_every_part_says_what_it_is_for() -> None:
    nameless = [part for part in architecture.ORDER if not architecture.described(part)]
    nameless += [
        f"{package}.{part}"
        for package, inner in architecture.INNER.items()
        for part in inner
        if not architecture.described(package, part)
    ]
    assert nameless == []


def test_the_tables_of_the_document_are_those_of_the_source() -> None:
    assert architecture.written() == architecture.DOCUMENT.read_text(encoding="utf-8"), (
        "run: python tools/architecture.py --write"
    )


@pytest.mark.parametrize("library", ONE_OWNER)
def test_a_library_is_imported_by_its_owner_alone(library: str) -> None:
    assert architecture.owners()[library] == [ONE_OWNER[library]]


def test_only_networks_hook_into_networks() -> None:
    def hooks(path: Path, node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and "_hook" in node.attr and architecture.part(path) != "networks"

    assert offenders(hooks) == set()


def test_nothing_is_evaluated_or_unpickled() -> None:
    def evaluates(path: Path, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec")

    assert offenders(evaluates) == set()
    unpickling = [path for path in architecture.sources() if "pickle" in architecture.imported(path)]
    # Their tables have every name that a file may import; test_stylegan_pickles.py and test_wrapped_checkpoints.py
    # try others.
    assert unpickling == [PACKAGE / "checkpoints" / name for name in ("programs.py", "stylegan_pickles.py")]


def test_torch_loads_weights_only() -> None:
    def loads_more(path: Path, node: ast.AST) -> bool:
        loads = isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
        return loads and "weights_only=True" not in ast.unparse(node)

    assert offenders(loads_more) == set()


def test_every_imported_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [needed for name, extra in project["optional-dependencies"].items() if name != "dev" for needed in extra]
    declared = {requirement.split(">")[0] for requirement in [*project["dependencies"], *extras]}
    declared |= {"huggingface_hub"}  # comes with transformers
    assert {DISTRIBUTIONS.get(name, name) for name in architecture.owners()} <= declared


def test_reports_are_drawn_without_torch() -> None:
    """Every module of the parts that need no torch is imported where there is none."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in architecture.sources()
        if architecture.part(path) in WITHOUT_TORCH
    ]
    assert len(modules) > 50
    code = "import sys; sys.modules['torch'] = None\nfrom importlib import import_module\n"
    code += f"for module in {modules}: import_module(module)"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert tried.returncode == 0, tried.stderr


def test_whatever_catches_every_error_passes_those_of_the_machine_on() -> None:
    """A file is not called damaged because memory or file handles have run out."""

    def hides(_path: Path, node: ast.AST) -> bool:
        if not isinstance(node, ast.ExceptHandler) or not isinstance(node.type, ast.Name):
            return False
        calls = [inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call)]
        passes = any(isinstance(function, ast.Name) and function.id == "check_machine" for function in calls)
        return node.type.id in ("Exception", "BaseException") and not passes

    # What a plug-in raises is said with its name.
    assert {place.partition(":")[0] for place in offenders(hides)} == {"errors.py"}


def test_no_two_public_classes_share_a_name() -> None:
    """Training is excepted: its generator and its segmenter have a `Recipe` and a `Run` each."""
    places: dict[str, list[str]] = {}
    for path in architecture.sources():
        for node in architecture.tree(path).body if architecture.part(path) != "training" else ():
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert len(places) > 200
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
