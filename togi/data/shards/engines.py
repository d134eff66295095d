"""Who carries out the tasks on shards: threads of this process, or a Ray cluster.

An engine gives results in the jobs' order and few jobs ahead, so memory stays bounded and the
answer does not depend on who was first. Tasks are pure functions of their jobs and write whole
files under marks, so one that is lost with its worker is simply done again.
"""

from __future__ import annotations

import importlib.util
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from togi.data.blocks import cores, in_order
from togi.errors import SurroundingsError, TogiError, UsageError, nearest

Job = TypeVar("Job")
Result = TypeVar("Result")
Engine: TypeAlias = Literal["threads", "ray"]
AHEAD = 2  # jobs a worker that wait for it
ENOUGH = 4  # jobs a thread from which on a thread takes a job by itself
PATIENCE = 10  # seconds in which a cluster must answer
RETRIES = 5  # workers that a job may lose before the run gives up


class Run(Protocol):
    """Carries out a function on jobs and yields the results in their order."""

    def __call__(self, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """Do it."""
        ...


@contextmanager
def threads(workers: int) -> Iterator[Run]:
    """Yield the engine of this process; the kernels run outside of the interpreter's lock.

    Where there are too few jobs to keep the threads busy, and a job can make use of threads of
    its own, jobs come one after the other with all threads each.
    """
    count = workers or cores()

    def run(function: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[Any]:
        few = len(jobs) < ENOUGH * count and all(hasattr(job, "threads") for job in jobs)
        if few:
            jobs = [replace(job, threads=count) for job in jobs]
        return in_order(function, jobs, 1 if few else min(count, max(1, len(jobs))))

    yield run


@contextmanager
def ray_cluster(workers: int) -> Iterator[Run]:
    """Yield the engine of the Ray cluster that RAY_ADDRESS names, else of one on this machine.

    All its machines must see the sources and the work folder under the same paths.

    Raises:
        SurroundingsError: Ray is missing or does not start.
    """
    if importlib.util.find_spec("ray") is None:
        raise SurroundingsError(
            "this engine needs the package `ray`", where="engine: ray",
            hint="pip install 'togi[ray]', or leave engine out",
        )  # fmt: skip
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    import ray

    mine = not ray.is_initialized()
    if mine:
        _start(ray, workers)
    try:
        yield lambda function, jobs: _on_ray(ray, function, jobs)
    finally:
        if mine:
            ray.shutdown()


def _start(ray: Any, workers: int) -> None:
    given: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    address = os.environ.get("RAY_ADDRESS", "")
    if not address:
        given |= {"num_cpus": workers or cores(), "include_dashboard": False, "address": "local"}
    try:
        _knock(address)  # Ray itself waits for minutes where nobody answers
        ray.init(**given)
    except (OSError, RuntimeError, ValueError, ConnectionError) as fault:
        raise SurroundingsError(
            "Ray does not start", where="engine: ray", found=str(fault).splitlines()[0][:300],
            hint="look at RAY_ADDRESS, or leave engine out",
        ) from fault  # fmt: skip


def _knock(address: str) -> None:
    """Connect to `host:port`, also with `ray://` before it, and hang up.

    Raises:
        OSError: nobody answers.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), PATIENCE).close()


def _on_ray(ray: Any, function: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[Any]:
    """Yield the results in order; a job whose worker dies is given to another one."""
    task = ray.remote(max_retries=RETRIES, num_cpus=1)(_told).remote
    most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: deque[Any] = deque()
    try:
        for job in jobs:
            waiting.append(task(function, job))
            if len(waiting) >= most:
                yield _result(ray, waiting.popleft())
        while waiting:
            yield _result(ray, waiting.popleft())
    finally:
        for one in waiting:
            ray.cancel(one, force=False)


def _told(function: Callable[[Any], Any], job: Any) -> Any:
    """Run on a worker: a user's mistake comes back as a value, so that it is not tried again."""
    try:
        return function(job)
    except TogiError as fault:
        parts = {name: getattr(fault, name) for name in ("where", "found", "expected", "hint")}
        return _Fault(type(fault), fault.problem, parts)


class _Fault:
    """A user's mistake on its way from a worker."""

    def __init__(self, kind: type[TogiError], problem: str, parts: dict[str, str]) -> None:
        self.kind, self.problem, self.parts = kind, problem, parts


def _result(ray: Any, waiting: Any) -> Any:
    lost = ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError
    try:
        found = ray.get(waiting)
    except (*lost, ray.exceptions.NodeDiedError) as fault:
        raise SurroundingsError(
            f"a shard's worker died {RETRIES + 1} times", where="engine: ray",
            found=str(fault).splitlines()[0][:300],
            hint="give workers more memory; the same command goes on with what is left",
        ) from fault  # fmt: skip
    if isinstance(found, _Fault):
        raise found.kind(found.problem, **found.parts)
    return found


ENGINES: Mapping[str, Callable[[int], Any]] = {"threads": threads, "ray": ray_cluster}


def check_engine(name: str) -> None:
    """Refuse an engine that there is not.

    Raises:
        UsageError: no such engine.
    """
    if name not in ENGINES:
        raise UsageError(f"there is no engine {name!r}", hint=nearest(name, ENGINES))
