"""Tests that only `make test-extended` runs: further members of kinds that a test of `make test` represents."""

from __future__ import annotations

import pytest


def extended(*values: object) -> pytest.ParameterSet:
    """Arguments of a parametrised test that only `make test-extended` tries."""
    return pytest.param(*values, marks=pytest.mark.extended)
