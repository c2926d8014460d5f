"""The structure of the package, read from its source: who imports whom, in which order, and which libraries.

    python tools/architecture.py            # print the tables
    python tools/architecture.py --write    # write them into ARCHITECTURE.md

`ORDER` is the one thing that is decided here: data and imports flow down that list, never up. The descriptions are the
first lines of the packages' docstrings. `tests/test_architecture.py` checks the source against both.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dissectreport"
DOCUMENT = ROOT / "ARCHITECTURE.md"

ORDER = (
    "__main__",
    "cli",
    "publish",
    "pipeline",
    "report",
    "analysis",
    "cache",
    "worker",
    "plugins",
    "training",
    "features",
    "models",
    "drawings",
    "segmenters",
    "networks",
    "onnx_files",
    "checkpoints",
    "image_files",
    "review",
    "structured",
    "files",
    "records",
    "stats",
    "run",
    "vocabulary",
    "version",
    "errors",
)
"""The parts of the package, from the command line down to what everything may use."""

INNER = {
    "report": ("export", "site", "compare", "pages", "paint", "artifacts", "classes", "causes", "common", "html"),
    "analysis": (
        "assemble",
        "record_source",
        "comparison",
        "artifacts",
        "classes",
        "interventions",
        "dissection",
        "real_images",
        "words",
        "painting",
        "results",
        "common",
    ),
}
"""The same within the packages that have packages of their own."""


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a source file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def sources() -> list[Path]:
    """Every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def parts() -> list[str]:
    """The modules and packages right under the package, `__init__` not among them."""
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in sources()}
    return sorted(found - {"__init__"})


def part(path: Path) -> str:
    """The part that a source file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from running(child)


@cache
def imported(path: Path) -> set[str]:
    """The full names of all imported modules, those for type checking alone left out."""
    return {name for node in running(tree(path)) for name in _names_in(node)}


def _names_in(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    assert node.level == 0, "imports are absolute"
    assert node.module is not None
    if node.module.split(".")[0] != PACKAGE.name:
        return [node.module]
    return [_module(node.module, alias.name) for alias in node.names]


def _module(module: str, name: str) -> str:
    """`module.name` where that is a module, else the module that holds the name."""
    below = ROOT.joinpath(*module.split("."))
    is_module = (below / name).is_dir() or (below / f"{name}.py").exists()
    return f"{module}.{name}" if is_module else module


def module_imports() -> dict[str, set[str]]:
    """Every module of the package with those that it imports, for type checking too."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): {
            name for node in ast.walk(tree(path)) for name in _names_in(node) if name.startswith(f"{PACKAGE.name}.")
        }
        for path in sources()
        if path.stem != "__init__"
    }


def own_imports(path: Path) -> set[tuple[str, ...]]:
    """The modules of the package that a source file imports, as paths below the package."""
    names = (name.split(".") for name in imported(path))
    return {tuple(words[1:]) for words in names if words[0] == PACKAGE.name and len(words) > 1}


def edges(within: str = "") -> dict[str, set[str]]:
    """Which part imports which others; `within` a package, which of its own parts."""
    depth = 1 if within else 0
    found: dict[str, set[str]] = {}
    for path in sources():
        here = path.relative_to(PACKAGE).with_suffix("").parts
        if here[-1] == "__init__" or (within and here[0] != within):
            continue
        there = {
            words[depth] for words in own_imports(path) if len(words) > depth and (not within or words[0] == within)
        }
        found.setdefault(here[depth], set()).update(there - {here[depth]})
    return found


def upward(order: tuple[str, ...], found: dict[str, set[str]]) -> list[str]:
    """The imports that do not go down the order."""
    rank = {name: number for number, name in enumerate(order)}
    return sorted(f"{one} -> {other}" for one, others in found.items() for other in others if rank[other] <= rank[one])


def libraries(path: Path) -> set[str]:
    """The third-party packages that a source file imports."""
    return {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {PACKAGE.name}


def owners() -> dict[str, list[str]]:
    """The parts that import each third-party package."""
    found: dict[str, set[str]] = {}
    for path in sources():
        for library in libraries(path):
            found.setdefault(library, set()).add(part(path))
    return {library: sorted(found[library]) for library in sorted(found)}


def described(*words: str) -> str:
    """The first line of the docstring of a package or module."""
    place = PACKAGE.joinpath(*words)
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return (ast.get_docstring(tree(path)) or "").split("\n")[0]


def tables() -> str:
    """The tables of ARCHITECTURE.md as Markdown."""
    rows = ["| part | what it is for | imports |", "|---|---|---|"]
    rows += _rows(ORDER, edges(), ())
    for package, order in INNER.items():
        rows += ["", f"Within `{package}/`:", "", "| part | what it is for | imports |", "|---|---|---|"]
        rows += _rows(order, edges(package), (package,))
    rows += ["", "Third-party packages:", "", "| package | imported by |", "|---|---|"]
    rows += [f"| {name} | {_listed(by)} |" for name, by in owners().items() if name != "numpy"]
    return "\n".join(rows)


def _rows(order: tuple[str, ...], found: dict[str, set[str]], above: tuple[str, ...]) -> list[str]:
    rank = {name: number for number, name in enumerate(order)}
    rows = []
    for name in order:
        if name in found:
            slash = "/" if PACKAGE.joinpath(*above, name).is_dir() else ".py"
            used = sorted(found[name], key=lambda other: rank.get(other, len(rank)))
            rows.append(f"| `{name}{slash}` | {described(*above, name)} | {_listed(used)} |")
    return rows


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


BEGIN, END = "<!-- begin: python tools/architecture.py --write -->", "<!-- end -->"


def written() -> str:
    """ARCHITECTURE.md with the tables as they are now."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.split(END, 1)[1]}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(written(), encoding="utf-8")
    else:
        sys.stdout.write(tables() + "\n")
