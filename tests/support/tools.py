"""The programs of tools/, which are no part of any package."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

TOOLS = str(Path(__file__).parents[2] / "tools")


def load_tool(name: str) -> ModuleType:
    """tools/NAME.py as a module; it finds its neighbours, as a program that is run there does."""
    if TOOLS not in sys.path:
        sys.path.append(TOOLS)
    return import_module(name)
