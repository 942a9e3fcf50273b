"""Networks as one looks at them: averaged, evaluating, and leaving no trace in the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from audiotransfer.training.averages import MovingAverage


@contextmanager
def showing(
    networks: Mapping[str, nn.Module], average: MovingAverage | None, device: torch.device
) -> Iterator[None]:
    """Evaluation mode, averaged weights, no gradients, and no trace in the random numbers."""
    averaged = average.in_place() if average is not None else nullcontext()
    with torch.no_grad(), own_randomness(device), averaged:
        for network in networks.values():
            network.eval()
        try:
            yield
        finally:
            for network in networks.values():
                network.train()


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Leave the caller's global random numbers as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def own_threads(count: int | None) -> Iterator[None]:
    """Compute with so many threads, then as the caller did; None: as the caller does."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
