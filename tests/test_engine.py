"""Work over many shards: the same here and in processes, also for a worker that was not told what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import pytest

from dissectreport.errors import DissectReportError
from dissectreport.run import engine
from dissectreport.run.parallel import in_threads, in_turn


def make_product(factor: int) -> Callable[[int], tuple[int, int]]:
    """Work that tells which process did it."""
    return lambda shard: (factor * shard, os.getpid())


def test_processes_do_every_shard_of_every_pass_once() -> None:
    with engine.Workers(2) as workers:
        for factor in (3, 5):
            found = sorted(workers.run(partial(make_product, factor), range(20)))
            assert [(shard, product) for shard, (product, _) in found] == [(n, factor * n) for n in range(20)]
            assert os.getpid() not in {process for _, (_, process) in found}


def test_a_worker_without_a_function_asks_for_it_and_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_current_pass", (1, make_product(2)))
    assert isinstance(engine._run(2, None, 7), engine._MissingWork)
    answers = [engine._run(2, make, shard) for make, shard in ((partial(make_product, 3), 7), (None, 8))]
    assert all(isinstance(answer, engine.Answer) for answer in answers)
    assert [answer.result for answer in answers] == [(21, os.getpid()), (24, os.getpid())]  # type: ignore[union-attr]


def test_only_some_shards_carry_the_work_and_the_rest_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with engine.Workers(2) as workers:
        pool = workers._started()
        submit = pool.submit
        told = []

        def bare(run, number, make, shard):  # type: ignore[no-untyped-def]
            told.append(make is not None)
            return submit(run, number, None if len(told) <= 4 else make, shard)

        monkeypatch.setattr(pool, "submit", bare)
        found = sorted(workers.run(partial(make_product, 2), range(12)))
    assert [product for _, (product, _) in found] == [2 * n for n in range(12)]
    assert told.count(True) < len(told), "sent with every shard"


def make_death() -> Callable[[int], int]:
    """Work that ends its process at the third shard, as the system does when memory runs out."""
    return lambda shard: os._exit(3) if shard == 2 else shard


def test_a_worker_that_dies_is_one_line_that_says_what_would_do() -> None:
    with engine.Workers(2) as workers, pytest.raises(DissectReportError, match=r"died unexpectedly.*--workers 1"):
        list(workers.run(make_death, range(4)))


def test_one_worker_works_in_this_process_and_starts_none() -> None:
    with engine.Workers(1) as workers:
        assert [*workers.run(partial(make_product, 3), range(3))] == [(n, (3 * n, os.getpid())) for n in range(3)]
        workers.warm("math")
        assert workers.pool is None


@pytest.mark.parametrize("spread", [in_turn, in_threads])
def test_parts_come_with_their_results(spread: Callable[..., object]) -> None:
    assert list(spread(abs, [-3, 2, -1])) == [(-3, 3), (2, 2), (-1, 1)]  # type: ignore[call-overload]
