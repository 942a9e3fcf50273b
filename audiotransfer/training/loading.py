"""Loading of batches by worker processes, in parallel with training."""

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


class _StepDataset(Dataset[dict[str, Tensor] | AudioTransferError]):
    """This process's part of the batches, by step."""

    def __init__(self, batches: Batches, rank: int, processes: int) -> None:
        self.batches = batches
        self.rank = rank
        self.processes = processes

    def __getitem__(self, step: int) -> dict[str, Tensor] | AudioTransferError:
        try:
            return split_batch(self.batches.batch(step), self.rank, self.processes)
        except AudioTransferError as error:
            # Raised in a worker, its message would contain the worker's traceback.
            return error


def fetch(
    batches: Batches, start: int, steps: int, *, workers: int, prefetch: int, fabric: Fabric
) -> Iterator[dict[str, Tensor]]:
    """Yields this process's part of the batches of steps `start` to `steps` - 1, on its device.

    With 0 workers each is loaded when it is needed; else each worker has `prefetch` ready.

    Raises:
        AudioTransferError: raised by `batches`, or a batch cannot be split evenly.
    """
    loader = DataLoader(
        _StepDataset(batches, fabric.global_rank, fabric.world_size),
        batch_size=None,
        sampler=range(start, steps),
        num_workers=workers,
        prefetch_factor=prefetch if workers else None,
        worker_init_fn=_start_worker,
        pin_memory=fabric.device.type == "cuda",
        generator=torch.Generator(),  # else the loader takes its seed from the global one
    )
    found = iter(loader)
    try:
        for batch in found:
            if isinstance(batch, AudioTransferError):
                raise batch
            yield fabric.to_device(batch)
    finally:
        if workers:
            _stop(found)


def split_batch(batch: dict[str, Tensor], rank: int, processes: int) -> dict[str, Tensor]:
    """Returns the part of a batch for process `rank` of `processes`.

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


def _stop(found: Any) -> None:
    """Stops the workers now, not when an error's traceback is released.

    At exit Python would wait for them, and they ignore all signals but SIGKILL.
    """
    found._shutdown_workers()
    for worker in found._workers:
        if worker.is_alive():
            worker.kill()
            worker.join()


def _start_worker(_: int) -> None:
    """Initialises a worker: one thread, stop signals ignored."""
    torch.set_num_threads(1)
    # A stop signal to the whole process group must not end the workers while the trainer still
    # saves; they end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
