"""Imports point one way, and every library has its owner: read from the source, and tried without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dissectreport"

# Part of the package (a module or a folder) -> the parts that it may import. `dissectreport` itself, whose
# __init__ names what a notebook wants, imports nothing while it is loaded.
MAY_IMPORT = {
    "__init__": "analysis errors pipeline plan report",
    "diagnosis": "analysis diagnose engine errors intervene interventions jobs plan results stats store",
    "diagnose": "errors intervene measure models nearness plan probe stats",
    "cli": "checkpoints errors on_demand pipeline plugins preferences publishing serving store",
    "publishing": "errors pipeline report",
    "serving": "errors",
    "checking": "errors measure plan probe",
    "pipeline": "analysis checking checkpoints diagnosis engine errors interventions jobs measurement models on_demand "
    "plan records report results spread store",
    "interventions": "analysis engine errors intervene jobs ordering plan results stats store",
    "on_demand": "analysis diagnose engine errors intervene jobs measure models plan probe",
    "ordering": "errors intervene measure plan probe stats",
    "intervene": "errors measure plan probe stats",
    "measurement": "analysis engine errors jobs measure models plan records reference results stats store",
    "jobs": "errors features marks measure models plan plugins store",
    "results": "errors plan stats store",
    "measure": "counting engine errors features models plan plugins probe sampler segmenters stats",
    "counting": "errors probe stats",
    "reference": "counting errors measure plan probe segmenters stats",
    "report": "analysis errors plan spread stats",
    "analysis": "errors plan records spread stats",
    "records": "errors plan store",
    "marks": "errors",
    "preferences": "errors marks",
    "plugins": "checkpoints errors features models segmenters",
    "training": "errors models segmenters",
    "models": "checkpoints errors identity probe sampler segmenters training",
    "segmenters": "checkpoints errors identity store",
    "features": "checkpoints errors segmenters",
    "nearness": "stats",
    "checkpoints": "errors store",
    "identity": "",
    "probe": "errors plan",
    "sampler": "errors",
    "stats": "errors",
    "plan": "errors",
    "engine": "errors",
    "spread": "",
    "store": "errors",
    "errors": "",
}

OWNERS = {
    "torch": "checking checkpoints counting diagnose features identity intervene measure models nearness ordering "
    "probe reference sampler segmenters training",
    "filelock": "checkpoints",
    "safetensors": "checkpoints training",
    "threadpoolctl": "measure pipeline",
    "typer": "cli",
    "rich": "cli",
    "jinja2": "report",
    "markupsafe": "report",
    "plotly": "report",
    "PIL": "models report training",
    "pandas": "analysis on_demand report",
    "platformdirs": "store",
    "transformers": "features segmenters",
    "huggingface_hub": "segmenters",
    "ray": "engine",
    "ghp_import": "publishing",
    "watchfiles": "serving",
    "numpy": " ".join(MAY_IMPORT),
}

DISTRIBUTIONS = {"PIL": "pillow", "ghp_import": "ghp-import"}
"""Where a library is installed under another name than it is imported."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """The module or folder right under the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The full names of all imported modules, those for type checking alone left out."""
    return {name for node in running(tree(path)) for name in names_in(node)}


def running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from running(child)


def names_in(node: ast.AST) -> list[str]:
    """The modules that an import names; `from dissectreport import plan` names dissectreport.plan."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    assert node.level == 0, "imports are absolute"
    assert node.module is not None
    if node.module == "dissectreport":
        return [f"dissectreport.{alias.name}" for alias in node.names]
    return [node.module]


def own_parts(path: Path) -> set[str]:
    """The parts of the package that a module imports."""
    names = {name.split(".")[1] for name in imported(path) if name.startswith("dissectreport.")}
    return {name for name in names if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()}


def libraries(path: Path) -> set[str]:
    """The third-party packages that a module imports."""
    return {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {"dissectreport"}


def called(path: Path, name: str) -> list[ast.Call]:
    """The calls of a function or method of this name."""
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    return [
        call
        for call in calls
        if (isinstance(call.func, ast.Name) and call.func.id == name)
        or (isinstance(call.func, ast.Attribute) and call.func.attr == name)
    ]


each_source = pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))


@each_source
def test_imports_point_one_way(path: Path) -> None:
    allowed = {part(path), *MAY_IMPORT[part(path)].split()}
    assert own_parts(path) <= allowed


@each_source
def test_every_library_is_used_by_its_owner_alone(path: Path) -> None:
    assert all(part(path) in OWNERS[library].split() for library in libraries(path)), libraries(path)


@each_source
def test_only_the_probe_hooks_into_networks(path: Path) -> None:
    hooks = [node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute) and "_hook" in node.attr]
    assert not hooks or part(path) == "probe"


@each_source
def test_nothing_is_evaluated_or_unpickled(path: Path) -> None:
    evaluating = [call for name in ("eval", "exec") for call in called(path, name) if isinstance(call.func, ast.Name)]
    assert not evaluating
    assert "pickle" not in imported(path)


@each_source
def test_torch_loads_weights_only(path: Path) -> None:
    loads = [call for call in called(path, "load") if ast.unparse(call.func) == "torch.load"]
    assert all("weights_only=True" in ast.unparse(call) for call in loads)


def test_report_and_measure_never_meet() -> None:
    assert not {"measure", "counting", "probe", "models"} & set(MAY_IMPORT["report"].split())
    assert not {"report", "analysis"} & set(MAY_IMPORT["measure"].split())


def test_every_imported_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [needed for name, extra in project["optional-dependencies"].items() if name != "dev" for needed in extra]
    declared = {requirement.split(">")[0] for requirement in [*project["dependencies"], *extras]}
    declared |= {"ray", "huggingface_hub"}  # the latter comes with transformers
    used = {DISTRIBUTIONS.get(name, name) for path in sources() for name in libraries(path)}
    assert used <= declared


@pytest.mark.parametrize(
    "module",
    ["cli", "pipeline", "publishing", "report.notebook", "report.site", "analysis.assemble", "store", "engine", "plan"],
)
def test_a_site_can_be_rendered_without_torch(module: str) -> None:
    code = f"import sys; sys.modules['torch'] = None; import dissectreport.{module}"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert tried.returncode == 0, tried.stderr
