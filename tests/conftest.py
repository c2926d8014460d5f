"""What all tests share: one thread each, few and repeatable examples, versions at the top of the log."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Before anything imports torch: several workers with several threads each are slower than one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=20)
settings.load_profile("repeatable")

REPORTED = ("torch", "numpy", "pandas", "plotly", "jinja2", "pillow", "playwright", "hypothesis")


def pytest_report_header() -> str:
    return "versions: " + ", ".join(f"{name} {installed(name)}" for name in REPORTED)


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty folder for measured shards."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder
