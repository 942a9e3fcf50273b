"""Settings of a training, apart from its objective and data, and learning-rate schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

Schedule = Literal["constant", "cosine", "linear"]
Rise = Literal["linear", "exponential"]
Precision = Literal["32-true", "bf16-mixed"]
_FIRST = 0.01  # factor at the start of an exponential rise


@dataclass(frozen=True)
class TrainerSettings:
    """Length, schedule, logging, checkpoints and devices of a training.

    Every ``*_every`` counts steps; None switches it off (the last step is always logged, validated
    and saved). Device, devices, machines, strategy and precision are those of Lightning Fabric;
    a processor that only emulates bfloat16 trains in float32 all the same.
    """

    steps: int
    seed: int = 0
    workers: int = 1  # processes that load batches; 0 loads them between the steps
    prefetch: int = 4  # batches that each worker has ready
    schedule: Schedule = "constant"
    warmup: int = 0  # steps
    rise: Rise = "linear"  # of the warm-up
    hold: int = 0  # the step from which the schedule falls, where that is later than the warm-up
    decay: float = 1.0  # further factor of the learning rate, at every `decay_every`-th step
    decay_every: int = 1000
    clip_norm: float | None = None  # of each turn's whole gradient
    ema_decay: float | None = None
    ema: tuple[str, ...] = ()  # names of the networks that are averaged
    channels_last: bool = False
    log_every: int = 50
    checkpoint_every: int = 1000
    preview_every: int | None = None
    validate_every: int | None = None
    diagnose_every: int | None = 500
    patience: int | None = None  # validations in a row without a better score
    device: str = "cpu"  # or "cuda", "cuda:1", "mps", "auto"
    devices: int = 1  # on each machine; each takes its share of every batch
    num_nodes: int = 1  # machines; `torchrun` knows both numbers itself
    strategy: Literal["auto", "ddp"] = "auto"
    precision: Precision = "32-true"
    threads: int | None = None  # of the training process; None keeps what is set

    def decisive(self) -> dict[str, Any]:
        """The settings that decide which weights the same steps give."""
        names = ["seed", "schedule", "warmup", "clip_norm", "ema_decay", "ema", "precision"]
        if self.schedule != "constant":
            names.append("steps")
        # Named only where they are set: older checkpoints do not know them.
        names += ["rise"] * (self.rise != "linear") + ["hold"] * (self.hold != 0)
        names += ["decay", "decay_every"] * (self.decay != 1.0)
        return {name: getattr(self, name) for name in names}


def learning_rate_factor(
    step: int,
    steps: int,
    schedule: Schedule = "constant",
    warmup: int = 0,
    rise: Rise = "linear",
    hold: int = 0,
) -> float:
    """Returns the factor of the learning rate at step `step` (from 0) in a run of `steps`.

    It rises to 1 over `warmup` steps, linearly or exponentially from 0.01, stays there until step
    `hold`, and then stays ("constant") or falls to 0 at `steps`, along half a cosine ("cosine") or
    a line ("linear").
    """
    if step < warmup:
        rising = (step + 1) / warmup
        return rising if rise == "linear" else _FIRST ** (1 - rising)
    begin = max(warmup, hold)
    progress = min(1.0, max(0, step - begin) / max(1, steps - begin))
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return 1.0 - progress
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    raise ValueError(f"schedule {schedule!r} is unknown; take constant, cosine or linear")
