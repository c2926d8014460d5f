"""Runs on a Ray cluster: the results of one process, also where a worker and a machine are lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dissectreport
from dissectreport.errors import BadOption, DissectReportError, ModelError, TimeLimit
from dissectreport.pipeline.options import Options
from dissectreport.run.cluster import RayWorkers, Worker
from dissectreport.run.shards import Shard, shards
from dissectreport.stats.base import Ints

pytestmark = pytest.mark.slow
ray: Any = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of two machines with one processor each, which this process is connected to."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    two = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    two.add_node(num_cpus=1)
    ray.init(address=two.address, namespace="tests")
    yield two
    ray.shutdown()
    two.shutdown()


def make_places(folder: Path, victim: int) -> Callable[[Shard], tuple[int, str]]:
    """Work that says where it was done; the first worker that meets the victim dies of it."""
    loaded = folder / f"loaded-{os.getpid()}-{time.monotonic_ns()}"
    loaded.touch()

    def work(shard: Shard) -> tuple[int, str]:
        died = folder / "died"
        if shard.number == victim and not died.exists():
            died.touch()
            os._exit(1)
        time.sleep(0.1)
        return shard.first, ray.get_runtime_context().get_node_id()

    return work


def make_trouble(kind: str) -> Callable[[Shard], int]:
    """Work that fails, or ends its worker every time."""

    def work(shard: Shard) -> int:
        if kind == "dies":
            os._exit(1)
        raise ModelError("the generator failed")

    return work


def test_a_lost_worker_and_a_lost_machine_are_replaced(cluster: Any, tmp_path: Path) -> None:
    parts, found = shards(960, 16), []
    with RayWorkers("auto") as workers:
        assert workers.number == 2
        for number, (shard, (first, machine)) in enumerate(workers.run(partial(make_places, tmp_path, 7), parts)):
            found.append((shard, first, machine))
            if number == 20:
                machines = {machine for _, _, machine in found}
                cluster.remove_node(next(iter(cluster.worker_nodes)))
                cluster.add_node(num_cpus=1)
    assert (tmp_path / "died").exists() and len(machines) == 2
    assert {machine for _, _, machine in found} - machines, "the machine that joined was used"
    assert sorted((shard.number, first) for shard, first, _ in found) == [(s.number, s.first) for s in parts]
    assert len(list(tmp_path.glob("loaded-*"))) <= 5, "once for each worker, and for each that was replaced"


def make_writing(values: Ints) -> Callable[[Shard], int]:
    """Work that changes an array that it was given."""

    def work(shard: Shard) -> int:
        values[0] = shard.number
        return int(values.sum())

    return work


def test_work_has_arrays_of_its_own(cluster: Any) -> None:
    with RayWorkers("auto", 1) as workers:
        found = dict(workers.run(partial(make_writing, np.ones(1 << 18, np.int64)), shards(2, 1)))
    assert sorted(found.values()) == [(1 << 18) - 1, 1 << 18]


def test_trouble_of_the_work_is_one_line(cluster: Any) -> None:
    with RayWorkers("auto", 1) as workers:
        with pytest.raises(ModelError, match="the generator failed"):
            list(workers.run(partial(make_trouble, "fails"), shards(16, 16)))
        with pytest.raises(DissectReportError, match="workers were lost 3 times"):
            list(workers.run(partial(make_trouble, "dies"), shards(16, 16)))
        workers.deadline = time.monotonic()
        with pytest.raises(TimeLimit):
            list(workers.run(partial(make_trouble, "fails"), shards(16, 16)))


def test_a_run_on_a_cluster_leaves_the_bytes_of_one_process(cluster: Any, tmp_path: Path) -> None:
    content = {}
    for name, more in (("one", {"workers": 1}), ("many", {"ray": "auto"})):
        cache = tmp_path / name
        less = {"samples": 64, "controls": False, "interventions": False, "artifacts": False}
        options = Options("planted", layers=("features",), quick=True, cache=cache, device="cpu", **less, **more)
        dissectreport.measure(options)
        content[name] = {path.relative_to(cache): path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    assert content["one"] == content["many"]


def test_a_cluster_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: (_ for _ in ()).throw(ConnectionError("nobody\nthere")))
    with pytest.raises(BadOption, match=r"--ray auto does not answer as a Ray cluster \(nobody\); start one"):
        RayWorkers("auto")


def make_counted(folder: Path) -> Callable[[Shard], int]:
    """Work that notes each time that it is made."""
    (folder / f"made-{time.monotonic_ns()}").touch()
    return lambda shard: shard.first


def test_a_worker_makes_the_work_of_a_pass_once(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    worker = Worker(str(tmp_path), 0.0)
    work = [ray.put(ray.cloudpickle.dumps(partial(make_counted, tmp_path)))]
    assert worker.ready()
    for number in (1, 1, 2):
        assert worker.run(number, work, Shard(3, 48, 16)).result == 48
    assert len(list(tmp_path.glob("made-*"))) == 2
    assert Worker(str(tmp_path / "missing"), 0.0).ready() and Path.cwd() == tmp_path
