"""Batches fetched by worker processes, beside the step that learns from the last one."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from audiotransfer.training.turns import Batches


class _ByStep(Dataset[dict[str, Tensor]]):
    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return self.batches.batch(step)


def fetch(
    batches: Batches, start: int, steps: int, *, workers: int, prefetch: int, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Yield the batches of steps `start` to `steps` - 1, in order, on `device`.

    With 0 workers each is made when it is asked for; else `prefetch` wait for each worker.
    """
    loader = DataLoader(
        _ByStep(batches),
        batch_size=None,
        sampler=range(start, steps),
        num_workers=workers,
        prefetch_factor=prefetch if workers else None,
        worker_init_fn=_quiet_worker,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # else the loader draws its seed from the global one
    )
    for batch in loader:
        yield to_device(batch, device)


def to_device(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)
    # A stop that is sent to the whole process group must not take the workers from under the
    # trainer, who still saves; they end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
