"""Independent jobs over the cores of this computer, or of a cluster, through joblib."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TypeVar

from audiotransfer.errors import AudioTransferError

Job = TypeVar("Job")
Result = TypeVar("Result")

#: Clusters that joblib knows, and the package that each needs.
BACKENDS = {"dask": "distributed", "ray": "ray"}


def each(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int = 1, backend: str | None = None
) -> Iterator[Result]:
    """What ``work`` makes of each job, in the order in which they end.

    Without a backend ``workers`` processes of this computer work, or this one alone. With one the
    cluster that the program is connected to does, or that its environment names
    ($DASK_SCHEDULER_ADDRESS, $RAY_ADDRESS), else a local one of so many workers; its workers must
    see the same files. The first job to raise ends the others.

    Raises AudioTransferError for a backend that is not there and for a worker that was killed.
    """
    if not jobs:
        return
    if backend is None and (workers == 1 or len(jobs) < 2):
        yield from map(work, jobs)
        return
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with ExitStack() as stack:
        if backend is not None:
            _connect(backend, workers, stack)
        # Ray's workers are a pool that answers only when a whole list is done.
        whole = backend == "ray"
        with parallel_config(backend or "loky", n_jobs=workers):
            run = Parallel(
                return_as="list" if whole else "generator_unordered",
                batch_size=1,
                pre_dispatch="2*n_jobs",
            )
            stack.enter_context(run)  # one pool for all lists: Ray's takes seconds to start
        step = 4 * workers if whole else len(jobs)
        try:
            for first in range(0, len(jobs), step):
                yield from run(delayed(work)(job) for job in jobs[first : first + step])
        except TerminatedWorkerError:
            raise AudioTransferError(
                f"one of {workers} workers was ended by the system, most likely for want of"
                " memory; give fewer --jobs"
            ) from None


def count_workers(wanted: int | None, device: str = "cpu") -> int:
    """How many workers there will be: as many as cores, but one for a graphics card.

    Raises AudioTransferError for fewer than one.
    """
    if wanted is not None and wanted < 1:
        raise AudioTransferError(f"{wanted} jobs cannot do anything; give 1 or more")
    if wanted is not None or device != "cpu":
        return wanted or 1
    from joblib import cpu_count

    return int(cpu_count())


def _connect(backend: str, workers: int, stack: ExitStack) -> None:
    if backend not in BACKENDS:
        raise AudioTransferError(f"unknown backend {backend!r}: there are {', '.join(BACKENDS)}")
    if importlib.util.find_spec(BACKENDS[backend]) is None:
        raise AudioTransferError(
            f"backend {backend!r} is not installed: pip install 'audiotransfer[cluster]'"
        )
    if backend == "dask":
        _connect_dask(workers, stack)
    else:
        _connect_ray(workers, stack)


def _connect_dask(workers: int, stack: ExitStack) -> None:
    import dask
    from distributed import Client, get_client

    try:
        get_client()
    except ValueError:
        if dask.config.get("scheduler-address", None):
            stack.enter_context(Client())
        else:
            stack.enter_context(
                Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            )


def _connect_ray(workers: int, stack: ExitStack) -> None:
    import ray
    from ray.util.joblib import register_ray

    if not ray.is_initialized():
        there = "RAY_ADDRESS" in os.environ
        ray.init(num_cpus=None if there else workers, log_to_driver=False)
        stack.callback(ray.shutdown)
    register_ray()
