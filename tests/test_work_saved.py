"""What a run must not do twice."""

from __future__ import annotations

from pathlib import Path

import pytest

import dissectreport
from dissectreport import plugins
from dissectreport.pipeline.options import Options


def test_one_process_loads_its_networks_once_for_passes_that_follow_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    for name in ("generator", "segmenter"):
        load = getattr(plugins, name)

        def counting(*words: str, load=load, name=name) -> object:  # type: ignore[no-untyped-def]
            loaded.append(name)
            return load(*words)

        monkeypatch.setattr(plugins, name, counting)
    options = Options("planted", layers=("features",), quick=True, samples=64, workers=1, cache=tmp_path, device="cpu")
    dissectreport.measure(options)
    assert loaded.count("segmenter") == 2, "for the checks before the run, and for all passes"
    assert loaded.count("generator") == 4, "the same, for the untrained control, and once more after it"
