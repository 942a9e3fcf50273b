"""Batches fetched by worker processes, beside the step that learns from the last one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from audiotransfer.errors import AudioTransferError
from audiotransfer.training.objective import Batches

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class _ByStep(Dataset[dict[str, Tensor] | AudioTransferError]):
    def __init__(self, batches: Batches, rank: int, processes: int) -> None:
        self.batches = batches
        self.rank = rank
        self.processes = processes

    def __getitem__(self, step: int) -> dict[str, Tensor] | AudioTransferError:
        try:
            return share(self.batches.batch(step), self.rank, self.processes)
        except AudioTransferError as error:
            # Raised in a worker it would come out with the worker's traceback in its message.
            return error


def fetch(
    batches: Batches, start: int, steps: int, *, workers: int, prefetch: int, fabric: Fabric
) -> Iterator[dict[str, Tensor]]:
    """Yield this process's share of the batches of steps `start` to `steps` - 1, on its device.

    With 0 workers each is made when it is asked for; else `prefetch` wait for each worker.

    Raises:
        AudioTransferError: what `batches` raised, or a batch that cannot be shared evenly.
    """
    loader = DataLoader(
        _ByStep(batches, fabric.global_rank, fabric.world_size),
        batch_size=None,
        sampler=range(start, steps),
        num_workers=workers,
        prefetch_factor=prefetch if workers else None,
        worker_init_fn=_quiet_worker,
        pin_memory=fabric.device.type == "cuda",
        generator=torch.Generator(),  # else the loader draws its seed from the global one
    )
    found = iter(loader)
    try:
        for batch in found:
            if isinstance(batch, AudioTransferError):
                raise batch
            yield fabric.to_device(batch)
    finally:
        if workers:
            _end(found)


def share(batch: dict[str, Tensor], rank: int, processes: int) -> dict[str, Tensor]:
    """Return the part of a batch that process `rank` of `processes` learns from.

    Each entry [B, ..] is cut into equal runs of neighbours, so that entries that hold several
    examples for one of another entry stay together; scalars go to all.

    Raises:
        AudioTransferError: an entry's B is no multiple of the processes.
    """
    own: dict[str, Tensor] = {}
    for name, value in batch.items():
        count = len(value) if value.ndim else 0
        if count % processes:
            raise AudioTransferError(
                f"{count} examples of {name!r} cannot be shared by {processes} processes; "
                f"set a batch size that is a multiple of {processes}"
            )
        part = count // processes
        own[name] = value[rank * part : (rank + 1) * part] if value.ndim else value
    return own


def _end(found: Any) -> None:
    """Ends the workers now, not when an error's traceback is forgotten.

    At exit they would be waited for, and they heed no signal but the last.
    """
    found._shutdown_workers()
    for worker in found._workers:
        if worker.is_alive():
            worker.kill()
            worker.join()


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)
    # A stop that is sent to the whole process group must not take the workers from under the
    # trainer, who still saves; they end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
