"""Parallel execution of independent jobs by local processes, Dask or Ray, with retries."""

from __future__ import annotations

import concurrent.futures
import importlib
import importlib.util
import logging
import os
import warnings
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Protocol, TypeVar

from audiotransfer.errors import AudioTransferError

Job = TypeVar("Job")
Result = TypeVar("Result")

#: Cluster backends, and the package that each needs.
BACKENDS = {"dask": "distributed", "ray": "ray"}
TRIES = 2  # attempts at a job whose worker dies
_WARNINGS = "PYTHONWARNINGS"
_PATIENCE = 30.0  # seconds that a worker may take to restart
_QUEUED = 100  # least number of jobs queued on an existing cluster, which may scale with them


class WorkerDied(Exception):
    """The worker of a job has ended before the job was done."""


class _Pool(Protocol):
    """Workers of one backend."""

    @property
    def room(self) -> int:
        """Number of jobs that can be submitted at a time."""

    def submit(self, work: Callable[[Job], Result], job: Job) -> Any:
        """Start a job; returns a ticket for it."""

    def finished(self, tickets: Collection[Any]) -> Collection[Any]:
        """Wait until one of these jobs has ended; returns those that have."""

    def result(self, ticket: Any) -> Any:
        """Result of a job; raises what the job raised, or WorkerDied."""


def each(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int = 1,
    backend: str | None = None,
    lost: Callable[[Job, str], Result] | None = None,
) -> Generator[Result]:
    """Yield ``work(job)`` for each job, in the order in which they end.

    Without a backend, ``workers`` processes of this computer are used, or this process alone for
    one worker. With one, the cluster that the program is connected to or that its environment names
    ($DASK_SCHEDULER_ADDRESS, $RAY_ADDRESS), else a local one with so many workers; its workers must
    see the same files. Processes started here share the cores evenly.

    A job whose worker dies is given to another once. If that dies too, the result is ``lost(job,
    reason)``. The first job to raise ends the others.

    Raises AudioTransferError for a backend that is not installed, and for a lost job without
    ``lost``.
    """
    if not jobs:
        return
    if backend is None and (workers == 1 or len(jobs) < 2):
        yield from map(work, jobs)
        return
    with ExitStack() as stack:
        stack.enter_context(_inherited_warning_filter())
        pool = _pool(backend, min(workers, len(jobs)), stack)
        waiting = deque((job, 1) for job in jobs)
        begun: dict[Any, tuple[Job, int]] = {}
        while waiting or begun:
            while waiting and len(begun) < pool.room:
                job, tries = waiting.popleft()
                begun[pool.submit(work, job)] = job, tries
            for ticket in pool.finished(begun.keys()):
                job, tries = begun.pop(ticket)
                try:
                    result = pool.result(ticket)
                except WorkerDied:
                    if tries < TRIES:
                        waiting.append((job, tries + 1))
                        continue
                    result = _given_up(job, lost)
                yield result


def count_workers(wanted: int | None, device: str = "cpu") -> int:
    """Number of workers: as wanted, else one per core, or one with a graphics card.

    Raises AudioTransferError for fewer than one.
    """
    if wanted is not None and wanted < 1:
        raise AudioTransferError(f"{wanted} jobs cannot do anything; give 1 or more")
    if wanted is not None or device != "cpu":
        return wanted or 1
    return _cores()


def _cores() -> int:
    from joblib import cpu_count

    return int(cpu_count())


def _given_up(job: Job, lost: Callable[[Job, str], Result] | None) -> Result:
    """Result of a job whose workers died too often, or AudioTransferError."""
    why = (
        f"{TRIES} workers that tried it were ended by the system, most likely for want of memory;"
        " give fewer --jobs"
    )
    if lost is None:
        raise AudioTransferError(f"a job is not done: {why}")
    return lost(job, why)


def _with_threads(work: Callable[[Job], Result], threads: int, job: Job) -> Result:
    """Run a job with a limited number of threads, in one of several processes on a computer."""
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return work(job)


def _pool(backend: str | None, workers: int, stack: ExitStack) -> _Pool:
    """The pool of a backend; `stack` closes it."""
    if backend is None:
        return stack.enter_context(_processes(workers))
    if backend not in BACKENDS:
        raise AudioTransferError(f"unknown backend {backend!r}: there are {', '.join(BACKENDS)}")
    if importlib.util.find_spec(BACKENDS[backend]) is None:
        raise AudioTransferError(
            f"backend {backend!r} is not installed: pip install 'audiotransfer[cluster]'"
        )
    stack.enter_context(_quiet(BACKENDS[backend], "asyncio", "tornado"))
    if backend == "dask":
        return stack.enter_context(_dask(workers))
    return stack.enter_context(_ray(workers))


@contextmanager
def _inherited_warning_filter() -> Iterator[None]:
    """Pass ignored warnings on to started processes, which Python does not do by itself."""
    ignored = warnings.filters[:1] and warnings.filters[0][:3] == ("ignore", None, Warning)
    if not ignored or _WARNINGS in os.environ:
        yield
        return
    os.environ[_WARNINGS] = "ignore"
    try:
        yield
    finally:
        os.environ.pop(_WARNINGS, None)


@contextmanager
def _quiet(library: str, *below: str) -> Iterator[None]:
    """Silence the log of a cluster library, which reports everything that it does."""
    importlib.import_module(library)  # which sets levels of its own
    packages = (library, *below)
    known = (name for name in logging.root.manager.loggerDict if name.partition(".")[0] in packages)
    names = {*packages, *known}
    before = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in before:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


# --- processes of this computer


class _Processes:
    """Local processes, each in a pool of its own, so that a dying one affects no other job."""

    def __init__(self, workers: int) -> None:
        self.room = workers
        self._threads = max(1, _cores() // workers)
        self._idle: list[Any] = []
        self._busy: dict[Any, Any] = {}

    def submit(self, work: Callable[[Job], Result], job: Job) -> Any:
        from joblib.externals.loky import BrokenProcessPool

        while True:
            executor = self._idle.pop() if self._idle else self._start()
            try:
                ticket = executor.submit(_with_threads, work, self._threads, job)
            except BrokenProcessPool:  # died while idle
                continue
            self._busy[ticket] = executor
            return ticket

    def finished(self, tickets: Collection[Any]) -> Collection[Any]:
        return concurrent.futures.wait(tickets, return_when="FIRST_COMPLETED").done

    def result(self, ticket: Any) -> Any:
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        executor = self._busy.pop(ticket)
        try:
            result = ticket.result()
        except TerminatedWorkerError:
            executor.shutdown(kill_workers=True)
            raise WorkerDied from None
        except BaseException:
            self._idle.append(executor)
            raise
        self._idle.append(executor)
        return result

    def close(self) -> None:
        for executor in [*self._idle, *self._busy.values()]:
            executor.shutdown(kill_workers=True)

    def _start(self) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        threads = str(self._threads)
        limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        return ProcessPoolExecutor(1, env=dict.fromkeys(limits, threads))


@contextmanager
def _processes(workers: int) -> Iterator[_Processes]:
    pool = _Processes(workers)
    try:
        yield pool
    finally:
        pool.close()


# --- Dask


class _Dask:
    """A Dask cluster; each worker of a local one has one job at a time."""

    def __init__(self, client: Any, local: int | None) -> None:
        self._client, self._local = client, local

    @property
    def room(self) -> int:
        return self._local or max(_QUEUED, 4 * sum(self._client.nthreads().values()))

    def submit(self, work: Callable[[Job], Result], job: Job) -> Any:
        if self._local is None:
            return self._client.submit(work, job, pure=False)
        threads = max(1, _cores() // self._local)
        return self._client.submit(_with_threads, work, threads, job, pure=False)

    def finished(self, tickets: Collection[Any]) -> Collection[Any]:
        from distributed import wait

        done: Collection[Any] = wait(list(tickets), return_when="FIRST_COMPLETED").done
        return done

    def result(self, ticket: Any) -> Any:
        from distributed import KilledWorker

        try:
            return ticket.result()
        except KilledWorker:
            raise WorkerDied from None


@contextmanager
def _dask(workers: int) -> Iterator[_Dask]:
    import dask
    from distributed import Client, LocalCluster, get_client

    try:
        yield _Dask(get_client(), None)
        return
    except ValueError:
        pass
    if dask.config.get("scheduler-address", None):
        with Client() as client:
            yield _Dask(client, None)
        return
    before_start = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    settings = {
        "distributed.scheduler.allowed-failures": 0,  # counted here
        "distributed.nanny.pre-spawn-environ": {
            **before_start,
            "DASK_LOGGING__DISTRIBUTED": "critical",  # read when workers import it
        },
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=None,  # an equal share may be less than a song needs
            dashboard_address="127.0.0.1:0",  # any port: another batch may run at the same time
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield _Dask(client, workers)
        with suppress(TimeoutError):  # a worker that is closed while it starts prints errors
            client.wait_for_workers(workers, timeout=_PATIENCE)


# --- Ray


class _Ray:
    """A Ray cluster; each worker of a local one has one job at a time."""

    def __init__(self, local: int | None) -> None:
        import ray

        self._local = local
        self._with_threads = ray.remote(num_cpus=1, max_retries=0)(_with_threads)
        self._plain = ray.remote(num_cpus=1, max_retries=0)(_plain)

    @property
    def room(self) -> int:
        import ray

        return self._local or max(_QUEUED, 4 * int(ray.cluster_resources().get("CPU", 0)))

    def submit(self, work: Callable[[Job], Result], job: Job) -> Any:
        if self._local is None:
            return self._plain.remote(work, job)
        return self._with_threads.remote(work, max(1, _cores() // self._local), job)

    def finished(self, tickets: Collection[Any]) -> Collection[Any]:
        import ray

        done: list[Any] = ray.wait(list(tickets), num_returns=1)[0]
        return done

    def result(self, ticket: Any) -> Any:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            return ray.get(ticket)
        except RayTaskError as error:
            raise error.cause from None
        except RayError:
            raise WorkerDied from None


def _plain(work: Callable[[Job], Result], job: Job) -> Result:
    return work(job)


@contextmanager
def _ray(workers: int) -> Iterator[_Ray]:
    import ray

    if ray.is_initialized():
        yield _Ray(None)
        return
    existing = "RAY_ADDRESS" in os.environ
    ray.init(
        num_cpus=None if existing else workers,
        include_dashboard=None if existing else False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
    )
    try:
        yield _Ray(None if existing else workers)
    finally:
        ray.shutdown()
