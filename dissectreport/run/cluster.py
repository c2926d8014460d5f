"""The same work over many shards on the machines of a Ray cluster; results are those of one process, to the last bit.

with RayWorkers("auto") as workers:
    for shard, result in workers.run(make, shards):
        ...

A worker is an actor that loads the networks once. Results come as they finish, and at most two shards wait for each
worker, so memory is bounded. Ray starts a lost worker again, on another machine if its own is gone, and its shards are
worked on anew; machines that join are used. Only a shard that ends its worker again and again ends the run.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from dissectreport.errors import BadOption, DissectReportError
from dissectreport.run import engine
from dissectreport.run.engine import Answer, Make, Workers
from dissectreport.run.profile import TimeProfile
from dissectreport.run.watchdog import Watchdog, guarded

T = TypeVar("T")
R = TypeVar("R")

LOCAL = "local"
"""The address that starts a cluster on this machine, for as long as the workers last."""
TRIES = 2
"""How often a shard is worked on again after its worker was lost."""
WAIT = 2.0
"""Seconds after which new machines are looked for."""
EACH = 2
"""Shards that wait for each worker."""
NAME = "dissectreport"


class RayWorkers(Workers):
    """Workers on the machines of a Ray cluster. Close it, or use it as a context."""

    def __init__(
        self,
        address: str,
        number: int = 0,
        timeout: float = 0.0,
        deadline: float = math.inf,
        profile: TimeProfile | None = None,
        accelerator: bool = False,
    ) -> None:
        super().__init__(number, timeout, deadline, profile)
        self.ray = _ray()
        self.resource = "GPU" if accelerator else "CPU"
        self.wanted = number
        """The number of workers, however many machines there are; 0 for one on every processor or accelerator."""
        self._owns = not self.ray.is_initialized()
        self._connect(address)
        self.number = number or self._places()
        self.actors: list[Any] = []
        self._starting: dict[Any, Any] = {}
        """Actors that are not ready yet, by the answer that they will give."""
        self._looked = -math.inf

    def _connect(self, address: str) -> None:
        """Connect to a cluster, unless this process is connected already."""
        if not self._owns:
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # With "local", and not without an address, Ray starts a cluster though another one runs on this machine.
        more = {"address": LOCAL, "num_cpus": self.wanted or None} if address == LOCAL else {"address": address}
        try:
            self.ray.init(**more, include_dashboard=False if address == LOCAL else None, namespace=NAME)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise BadOption(
                f"--ray {address} does not answer as a Ray cluster ({str(error).splitlines()[0]}); start one with "
                f"`ray start"
                f" --head`, or give --ray {LOCAL}"
            ) from error

    def _places(self) -> int:
        """How many workers the cluster can run."""
        return max(1, int(self.ray.cluster_resources().get(self.resource, 0)))

    def run(self, make: Make[T, R], shards: Sequence[T], name: str = "") -> Iterator[tuple[T, R]]:
        """Each shard with its result, as they finish; `make` must be picklable, and its code be on every machine."""
        name = name or getattr(make, "func", make).__name__
        self.profile.begin(name)
        try:
            for shard, answer in self._on_actors(make, shards):
                self.profile.add(answer.seconds, answer.cpu, answer.loading)
                yield shard, answer.result
        finally:
            self.profile.end(name)

    def _on_actors(self, make: Make[T, R], shards: Sequence[T]) -> Iterator[tuple[T, Answer[R]]]:
        """Each shard with its result, as actors finish them."""
        self.passes += 1
        # As bytes: arrays that Ray itself unpacks cannot be written, about which torch complains on every machine.
        work = self.ray.put(self.ray.cloudpickle.dumps(make))
        left = deque(shards)
        waiting: dict[Any, tuple[T, Any]] = {}
        longest = 0.0
        try:
            while left or waiting:
                if left and not waiting:
                    self._check_time(EACH * longest)
                self._gather(len(left) + len(waiting))
                late = time.monotonic() + EACH * longest > self.deadline
                for actor in () if late else self._idle(waiting):
                    if left:
                        shard = left.popleft()
                        # In a list, the work is not sent with every shard: an actor fetches it once for each pass.
                        waiting[actor.run.remote(self.passes, [work], shard)] = shard, actor
                if not waiting and not self._starting:
                    time.sleep(WAIT)  # All machines are gone; more may join.
                    continue
                done, _ = self.ray.wait([*waiting, *self._starting], num_returns=1, timeout=WAIT)
                for one in done:
                    if one in waiting:
                        shard, _ = waiting.pop(one)
                        answer = self._answer(one, shard)
                        longest = max(longest, answer.seconds)
                        yield shard, answer
                    else:
                        self._welcome(one)
        finally:
            for one in waiting:
                with suppress(Exception):
                    self.ray.cancel(one)

    def _answer(self, one: Any, shard: T) -> Answer[Any]:
        """The answer of an actor; the error of the work itself, or one line where workers are lost again and again."""
        try:
            answer: Answer[Any] = self.ray.get(one)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from error
        except self.ray.exceptions.RayError as error:
            raise DissectReportError(
                f"workers were lost {TRIES + 1} times at {shard} (out of memory, or a plug-in that hangs?); finished"
                " shards are kept, the same command continues"
            ) from error
        return answer

    def _idle(self, waiting: dict[Any, tuple[Any, Any]]) -> list[Any]:
        """The actors that can take another shard, once for each that they can take, those with fewest first."""
        load = dict.fromkeys(self.actors, 0)
        for _, actor in waiting.values():
            load[actor] = load.get(actor, 0) + 1
        return [actor for turn in range(EACH) for actor, count in load.items() if count <= turn]

    def _gather(self, needed: int) -> None:
        """Ask for more actors from time to time, if there is room for them."""
        if time.monotonic() < self._looked + WAIT:
            return
        self._looked = time.monotonic()
        number = min(self.wanted or self._places(), max(needed, len(self.actors)))
        for _ in range(number - len(self.actors) - len(self._starting)):
            options = {"num_gpus": 1} if self.resource == "GPU" else {"num_cpus": 1}
            kind = self.ray.remote(**options, max_restarts=-1, max_task_retries=TRIES)(Worker)
            actor = kind.remote(str(Path.cwd()), self.timeout)
            self._starting[actor.ready.remote()] = actor

    def _welcome(self, one: Any) -> None:
        """Add an actor that is ready to those that get work."""
        actor = self._starting.pop(one)
        with suppress(self.ray.exceptions.RayError):  # A machine that was lost in the meantime.
            self.ray.get(one)
            self.actors.append(actor)
            self.number = max(self.number, len(self.actors))

    def warm(self, module: str) -> None:
        """Start the actors, without waiting."""
        self._gather(self.wanted or self._places())

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        for actor in (*self.actors, *self._starting.values()):
            with suppress(Exception):
                self.ray.kill(actor)
        self.actors.clear()
        self._starting.clear()
        if self._owns:
            self.ray.shutdown()

    def stop(self) -> None:
        """End the actors now; their current shards are lost."""
        self.close()


class Worker:
    """A worker on some machine: it makes the work of a pass once, and keeps its networks from pass to pass."""

    def __init__(self, folder: str, timeout: float) -> None:
        with suppress(OSError):  # Where there is no such folder, addresses of files must be whole paths.
            os.chdir(folder)
        if timeout:
            guarded(timeout, engine.PATIENCE)
            Watchdog(timeout, lambda line: engine.end_now(f"dissectreport: {line}", engine.HUNG))
        self.number = 0
        self.make: Make[Any, Any] = _nothing
        self.kept: dict[Any, Any] = {}

    def ready(self) -> bool:
        """Whether this worker has started."""
        return True

    def run(self, number: int, work: list[Any], shard: Any) -> Answer[Any]:
        """The result of a shard of the pass of this number."""
        with engine.keeping(self.kept):
            if number != self.number:
                self.make, self.number = cache(lambda: _ray().cloudpickle.loads(_ray().get(work[0]))()), number
            return engine.answer_of(self.make, shard)


def _nothing() -> Any:
    raise AssertionError("work is made before it is done")


def _ray() -> Any:
    """The library; BadOption where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise BadOption("--ray needs `pip install dissectreport[cluster]`") from error
    return ray
