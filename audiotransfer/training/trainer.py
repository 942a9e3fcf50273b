"""The loop: fetch a batch, step each of the objective's turns, log, check, save."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.training import checkpoints, loading, schedules, state
from audiotransfer.training.averages import MovingAverage
from audiotransfer.training.log import Log, Window
from audiotransfer.training.settings import TrainerSettings, resolve_device
from audiotransfer.training.stepping import Stepper, require
from audiotransfer.training.stopping import StopRequest
from audiotransfer.training.turns import Batches, Objective, Turn

PATIENCE = 20  # steps in a row that may fail before the run gives up
logger = logging.getLogger(__name__)


class Trainer:
    """Trains an objective's networks and keeps what it needs to go on after any interruption.

    Args:
        objective: its networks are moved to the device and trained in place.
        batches: a pure function of the step.
        settings: see `TrainerSettings`.
        folder: holds `log.jsonl`, TensorBoard files, `checkpoint/` and `best/`.
        validation: figures of the present networks (averaged ones where there are averages), in
            evaluation mode and without gradients; "score", higher is better, chooses `best/`.
        config: what else makes this run what it is (corpus, objective): a checkpoint of another
            config is refused.
    """

    def __init__(
        self,
        objective: Objective,
        batches: Batches,
        settings: TrainerSettings,
        folder: str | Path,
        validation: Callable[[Objective], dict[str, float]] | None = None,
        *,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.objective = objective
        self.batches = batches
        self.settings = settings
        self.folder = Path(folder)
        self.validation = validation
        self.device = resolve_device(settings.device)
        self.networks = dict(objective.networks)
        for network in self.networks.values():
            network.to(self.device)
            if settings.channels_last:
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.stepper = Stepper(
            self.networks,
            objective.groups,
            self.device,
            clip_norm=settings.clip_norm,
            bfloat16=settings.autocast == "bfloat16",
        )
        require(self.networks, settings.ema, "setting ema")
        self.average: MovingAverage | None = None
        if settings.ema_decay is not None:
            averaged = {name: self.networks[name] for name in settings.ema}
            self.average = MovingAverage(averaged, settings.ema_decay)
        self.identity = _identity(objective, settings, config or {})
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.step = 0
        self.failed = 0
        self.failed_in_a_row = 0
        self.best = -math.inf
        self.window = Window()
        self.figures: dict[str, float] = {}

    def run(
        self, resume: bool = True, should_stop: Callable[[], bool] | None = None
    ) -> dict[str, float]:
        """Train to the last step and return the last figures.

        Args:
            resume: go on from the folder's checkpoint where there is one; else start afresh.
            should_stop: asked after every step; a yes saves a checkpoint and returns. Ctrl-C and
                SIGTERM save a checkpoint as well, and then do what they always do.

        Raises:
            AudioTransferError: the checkpoint is of another config or damaged, or the loss or
                gradient was not finite in 20 steps in a row.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.settings.threads is not None:
            torch.set_num_threads(self.settings.threads)
        with _own_randomness(self.device), StopRequest() as stop:
            torch.manual_seed(self.settings.seed)
            if resume:
                self._resume()
            log = Log(self.folder, self.step)
            try:
                self._loop(log, stop, should_stop or (lambda: False))
            finally:
                log.close()
        stop.act()
        return self.figures

    def _loop(self, log: Log, stop: StopRequest, should_stop: Callable[[], bool]) -> None:
        settings = self.settings
        for network in self.networks.values():
            network.train()
        began, first = time.monotonic(), self.step
        batches = loading.fetch(
            self.batches,
            self.step,
            settings.steps,
            workers=settings.workers,
            prefetch=settings.prefetch,
            device=self.device,
        )
        for batch in batches:
            self._train_step(batch)
            self.step += 1
            last = self.step >= settings.steps
            if last or self.step % settings.log_every == 0:
                self.figures |= self.window.means() | {"failed_steps": float(self.failed)}
                self.window = Window()
                rate = (self.step - first) / max(1e-9, time.monotonic() - began)
                log.figures(self.step, self.figures | {"steps_per_second": rate})
            if last or _due(self.step, settings.validate_every):
                self._validate(log)
            if last or _due(self.step, settings.preview_every):
                self._preview(log)
            leave = should_stop() or last or stop.signal is not None
            if leave or _due(self.step, settings.checkpoint_every):
                self._save(self.folder / "checkpoint")
            if leave:
                return

    def _train_step(self, batch: dict[str, Tensor]) -> None:
        settings = self.settings
        scale = schedules.factor(self.step, settings.steps, settings.schedule, settings.warmup)
        turns = iter(self.objective.turns(batch, self.step, self.generator))
        figures: dict[str, float] = {}
        while (turn := self.stepper.next(turns)) is not None:
            numbers = self.stepper.take(turn, scale)
            if not all(map(math.isfinite, numbers.values())):
                self._note_failure(turn, numbers)
                return
            figures |= numbers
        self.failed_in_a_row = 0
        self.window.add(figures)
        if self.average is not None:
            self.average.update()

    def _note_failure(self, turn: Turn, numbers: dict[str, float]) -> None:
        self.failed += 1
        self.failed_in_a_row += 1
        wrong = [name for name, value in numbers.items() if not math.isfinite(value)]
        logger.warning("step %d skipped: %s not finite", self.step, ", ".join(wrong))
        if self.failed_in_a_row >= PATIENCE:
            raise AudioTransferError(
                f"training gave up at step {self.step}: {', '.join(wrong)} not finite in "
                f"{PATIENCE} steps in a row; lower the learning rate of group {turn.group!r} and "
                "resume from the last checkpoint"
            )

    def _validate(self, log: Log) -> None:
        if self.validation is None:
            return
        with self._showing():
            found = dict(self.validation(self.objective))
        figures = {f"validation/{name}": float(value) for name, value in found.items()}
        self.figures |= figures
        log.figures(self.step, figures)
        if found.get("score", -math.inf) > self.best:
            self.best = float(found["score"])
            self._save(self.folder / "best")

    def _preview(self, log: Log) -> None:
        if log.board is None:
            return
        with self._showing():
            batch = loading.to_device(self.batches.batch(0), self.device)
            generator = torch.Generator().manual_seed(self.settings.seed)
            log.preview(self.step, self.objective.preview(batch, generator))

    @contextmanager
    def _showing(self) -> Iterator[None]:
        """Evaluation mode, averaged weights, no gradients, and no trace in the random numbers."""
        averaged = self.average.in_place() if self.average is not None else _nothing()
        with torch.no_grad(), _own_randomness(self.device), averaged:
            for network in self.networks.values():
                network.eval()
            try:
                yield
            finally:
                for network in self.networks.values():
                    network.train()

    def _save(self, folder: Path) -> None:
        tensors = state.collect(
            self.networks, self.stepper.optimisers, self.average, self.generator, self.device
        )
        facts = {
            "step": self.step,
            "identity": self.identity,
            "failed": self.failed,
            "failed_in_a_row": self.failed_in_a_row,
            "best": self.best if math.isfinite(self.best) else None,
            "average_updates": self.average.updates if self.average is not None else 0,
            "window": self.window.sums,
            "figures": {n: v if math.isfinite(v) else None for n, v in self.figures.items()},
        }
        checkpoints.save(folder, tensors, facts)

    def _resume(self) -> None:
        folder = self.folder / "checkpoint"
        found = checkpoints.load(folder)
        if found is None:
            return
        tensors, facts = found
        for key in sorted({*self.identity, *facts["identity"]}):
            then, now = facts["identity"].get(key), self.identity.get(key)
            if then != now:
                raise AudioTransferError(
                    f"checkpoint {folder} was made with {key}={then}, not {now}; train it in "
                    "another folder, or start again without resuming"
                )
        state.restore(
            tensors,
            self.networks,
            self.stepper.optimisers,
            self.average,
            self.generator,
            self.device,
        )
        self.step = int(facts["step"])
        self.failed = int(facts["failed"])
        self.failed_in_a_row = int(facts["failed_in_a_row"])
        self.best = -math.inf if facts["best"] is None else float(facts["best"])
        if self.average is not None:
            self.average.updates = int(facts["average_updates"])
        self.window = Window(facts["window"])
        self.figures = {n: math.nan if v is None else v for n, v in facts["figures"].items()}


def _identity(
    objective: Objective, settings: TrainerSettings, config: Mapping[str, Any]
) -> dict[str, str]:
    """What two runs must share for one to go on where the other stopped, as plain words."""
    identity = {key: repr(value) for key, value in settings.what_decides().items()}
    identity |= {f"config.{key}": repr(value) for key, value in config.items()}
    for name, group in objective.groups.items():
        identity[f"groups.{name}"] = repr(asdict(group))
    for name, network in objective.networks.items():
        shapes = ", ".join(f"{k}{tuple(v.shape)}" for k, v in network.state_dict().items())
        identity[f"networks.{name}"] = shapes
    return identity


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


@contextmanager
def _own_randomness(device: torch.device) -> Iterator[None]:
    """Leave the caller's global random numbers as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield
