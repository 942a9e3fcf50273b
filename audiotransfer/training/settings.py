"""What can be set about a training, apart from its objective and its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from audiotransfer.errors import AudioTransferError
from audiotransfer.training.schedules import Schedule


@dataclass(frozen=True)
class TrainerSettings:
    """How long, how fast and how watched a training is.

    Every "every" counts steps; None switches it off (the last step is always logged, validated and
    saved).
    """

    steps: int
    seed: int = 0
    workers: int = 1  # processes that make batches; 0 makes them between the steps
    prefetch: int = 4  # batches that wait for each worker
    schedule: Schedule = "constant"
    warmup: int = 0  # steps
    clip_norm: float | None = None  # of each turn's whole gradient
    ema_decay: float | None = None
    ema: tuple[str, ...] = ()  # networks that are averaged
    autocast: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False
    log_every: int = 50
    checkpoint_every: int = 1000
    preview_every: int | None = None
    validate_every: int | None = None
    device: str = "cpu"  # or "cuda", "cuda:1", "mps", "auto"
    threads: int | None = None  # of the training process; None leaves what is set

    def what_decides(self) -> dict[str, Any]:
        """The settings without which the same steps would give other weights."""
        names = ["seed", "schedule", "warmup", "clip_norm", "ema_decay", "ema", "autocast"]
        if self.schedule != "constant":
            names.append("steps")
        return {name: getattr(self, name) for name in names}


def resolve_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is the GPU where there is one.

    Raises:
        AudioTransferError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise AudioTransferError(f"device {name!r} is unknown; take auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise AudioTransferError(f"device {name!r} is not there; take cpu or auto")
    return device
