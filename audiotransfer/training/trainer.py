"""The loop: fetch a batch, step each of the objective's turns, log, check, save."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.training import checkpoints, loading, state
from audiotransfer.training.averages import MovingAverage
from audiotransfer.training.checkpoints import identity, refuse_another
from audiotransfer.training.devices import launch
from audiotransfer.training.diagnosis import Diagnosis
from audiotransfer.training.log import Log, Window, own_randomness, own_threads, showing
from audiotransfer.training.objective import Batches, Objective, Preview
from audiotransfer.training.settings import TrainerSettings, factor
from audiotransfer.training.state import Progress
from audiotransfer.training.stepping import Stepper, impossible, require

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

GIVE_UP = 20  # steps in a row that may fail before the run ends
PROBES = 4  # fixed batches that the diagnosis looks at
logger = logging.getLogger(__name__)


class Trainer:
    """Trains an objective's networks and keeps what it needs to go on after any interruption.

    Of several processes (`torchrun`, or the settings' `devices`) each takes its share of every
    batch and they step alike, to the weights of one process that takes it all; `first` says which
    of them writes, shows and exports. An objective whose loss is no mean over examples, as with
    batch norm, learns a little differently then.

    Args:
        objective: its networks are moved to the device and trained in place.
        batches: a pure function of the step.
        settings: see `TrainerSettings`.
        folder: holds `log.jsonl`, TensorBoard files, `checkpoint/` and `best/`.
        validation: figures of the present networks (averaged ones where there are averages), in
            evaluation mode and without gradients; "H", or else "score", higher is better, chooses
            `best/` and ends the run when it stays behind for the settings' `patience`.
        config: what else makes this run what it is (corpus, objective): a checkpoint of another
            config is refused.
        audition: sounds that the present networks make, [C, T] and rate in Hz, heard in the log
            beside the objective's spectrograms; called like the validation.
    """

    def __init__(
        self,
        objective: Objective,
        batches: Batches,
        settings: TrainerSettings,
        folder: str | Path,
        validation: Callable[[Objective], dict[str, float]] | None = None,
        *,
        config: DataclassInstance | None = None,
        audition: Callable[[Objective], dict[str, tuple[Tensor, int]]] | None = None,
    ) -> None:
        self.objective = objective
        self.batches = batches
        self.settings = settings
        self.folder = Path(folder)
        self.validation = validation
        self.audition = audition
        self.fabric = launch(settings)
        self.first = self.fabric.is_global_zero
        self.networks = dict(objective.networks)
        for network in self.networks.values():
            self.fabric.to_device(network)
            if settings.channels_last:
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if self.fabric.world_size > 1:
                network.load_state_dict(self.fabric.broadcast(network.state_dict()))
        self.stepper = Stepper(
            self.networks, objective.groups, self.fabric, clip_norm=settings.clip_norm
        )
        require(self.networks, settings.ema, "setting ema")
        self.average: MovingAverage | None = None
        if settings.ema_decay is not None:
            averaged = {name: self.networks[name] for name in settings.ema}
            self.average = MovingAverage(averaged, settings.ema_decay)
        self.identity = identity(objective, settings, config)
        self.seed = settings.seed + self.fabric.global_rank
        self.generator = torch.Generator().manual_seed(self.seed)
        self.progress = Progress()
        self.diagnosis = Diagnosis()

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self.progress.step

    def run(
        self, resume: bool = True, should_stop: Callable[[], bool] | None = None
    ) -> dict[str, float]:
        """Train to the last step and return the last figures.

        Args:
            resume: go on from the folder's checkpoint where there is one; else start afresh.
            should_stop: asked after every step; a yes saves a checkpoint and returns. Ctrl-C and
                SIGTERM save a checkpoint as well, and then do what they always do.

        Raises:
            AudioTransferError: the checkpoint is of another config, damaged or in the end cannot
                be written; a step cannot be computed; or the loss or gradient was not finite in 20
                steps in a row.
        """
        threads = own_threads(self.settings.threads)
        with threads, own_randomness(self.fabric.device), StopRequest() as stop:
            torch.manual_seed(self.seed)
            if resume:
                self._resume()
            log = Log(self.folder if self.first else None, self.step)
            try:
                self._loop(log, stop, should_stop or (lambda: False))
            finally:
                log.close()
            self.fabric.barrier()  # what the first one wrote is there for all
        stop.act()
        return self.progress.figures

    def _loop(self, log: Log, stop: StopRequest, should_stop: Callable[[], bool]) -> None:
        settings, progress = self.settings, self.progress
        if self._hopeless():
            return
        for network in self.networks.values():
            network.train()
        began, before = time.monotonic(), self.step
        batches = loading.fetch(
            self.batches,
            self.step,
            settings.steps,
            workers=settings.workers,
            prefetch=settings.prefetch,
            fabric=self.fabric,
        )
        for batch in batches:
            try:
                rates = self._train_step(batch)
            except (RuntimeError, ValueError) as error:
                raise impossible(self.step, batch, error) from error
            progress.step += 1
            last = self.step >= settings.steps
            if last or self.step % settings.log_every == 0:
                figures = progress.window.means() | {"failed_steps": float(progress.failed)}
                progress.figures |= figures
                progress.window = Window()
                speed = (self.step - before) / max(1e-9, time.monotonic() - began)
                log.figures(self.step, figures | rates | {"steps_per_second": speed})
            if last or _due(self.step, settings.validate_every):
                self._validate(log)
            leave = self._agreed(should_stop() or stop.signal is not None)
            leave = leave or last or self._hopeless()
            if leave or _due(self.step, settings.checkpoint_every):
                self._save("checkpoint", needed=leave)
            if log.board is not None and (last or _due(self.step, settings.preview_every)):
                log.preview(self.step, self._look(0, heard=True))
            if self.first and _due(self.step, settings.diagnose_every):
                self._diagnose(log)
            if leave:
                return

    def _train_step(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Take the step's turns, and return each group's learning rate in it."""
        settings, progress = self.settings, self.progress
        scale = factor(
            self.step,
            settings.steps,
            settings.schedule,
            settings.warmup,
            settings.rise,
            settings.hold,
        )
        turns = iter(self.objective.turns(batch, self.step, self.generator))
        rates = {
            f"learning_rate/{name}": scale * group.learning_rate
            for name, group in self.objective.groups.items()
        }
        figures: dict[str, float] = {}
        while (turn := self.stepper.next(turns)) is not None:
            numbers = self.stepper.take(turn, scale)
            if not all(map(math.isfinite, numbers.values())):
                self._note_failure(turn.group, numbers)
                return rates
            figures |= numbers
        progress.failed_in_a_row = 0
        progress.window.add(figures)
        if self.average is not None:
            self.average.update()
        return rates

    def _note_failure(self, group: str, numbers: dict[str, float]) -> None:
        self.progress.failed += 1
        self.progress.failed_in_a_row += 1
        wrong = ", ".join(name for name, value in numbers.items() if not math.isfinite(value))
        logger.warning("step %d skipped: %s not finite", self.step, wrong)
        if self.progress.failed_in_a_row >= GIVE_UP:
            raise AudioTransferError(
                f"training gave up at step {self.step}: {wrong} not finite in {GIVE_UP} steps in a "
                f"row; lower the learning rate of group {group!r} and resume from the last "
                "checkpoint"
            )

    def _validate(self, log: Log) -> None:
        if self.validation is None:
            return
        found: dict[str, float] = {}
        if self.first:
            with showing(self.networks, self.average, self.fabric.device):
                found = {name: float(v) for name, v in self.validation(self.objective).items()}
        found = self.fabric.broadcast(found)
        figures = {f"validation/{name}": value for name, value in found.items()}
        self.progress.figures |= figures
        log.figures(self.step, figures)
        if self.progress.score(found.get("H", found.get("score"))):
            self._save("best", needed=False)

    def _hopeless(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.progress.since_best >= patience

    def _diagnose(self, log: Log) -> None:
        looks = [self._look(step) for step in range(PROBES)]
        for finding in self.diagnosis.check(self.progress, looks):
            logger.warning("step %d: %s", self.step, finding)
            log.note(self.step, finding)

    def _look(self, step: int, heard: bool = False) -> Preview:
        """What the present networks make of the batch of that step, always with the same noise."""
        with showing(self.networks, self.average, self.fabric.device):
            batch = self.fabric.to_device(self.batches.batch(step))
            noise = torch.Generator().manual_seed(self.settings.seed)
            seen = self.objective.preview(batch, noise)
            sounds = self.audition(self.objective) if heard and self.audition else {}
            return Preview(seen.spectrograms, seen.audio | sounds, seen.embeddings)

    def _agreed(self, wish: bool) -> bool:
        """Whether any process wishes it: all must leave after the same step."""
        return bool(self.fabric.all_reduce(torch.tensor(float(wish)), reduce_op="sum"))

    def _save(self, name: str, *, needed: bool) -> None:
        """Write a checkpoint; where it is not `needed` now, the next one may succeed."""
        tensors = state.collect(
            self.networks, self.stepper.optimisers, self.average, self.generator, self.fabric
        )
        if not self.first:
            return
        facts = self.progress.facts() | {
            "identity": self.identity,
            "average_updates": self.average.updates if self.average is not None else 0,
        }
        try:
            checkpoints.save(self.folder / name, tensors, facts)
        except checkpoints.Unwritable as error:
            if needed:
                raise
            logger.warning("step %d: %s", self.step, error)

    def _resume(self) -> None:
        folder = self.folder / "checkpoint"
        found = self.fabric.broadcast(checkpoints.load(folder) if self.first else None)
        if found is None:
            return
        tensors, facts = found
        refuse_another(folder, facts["identity"], self.identity)
        state.restore(
            tensors,
            self.networks,
            self.stepper.optimisers,
            self.average,
            self.generator,
            self.fabric,
        )
        self.progress = Progress.of(facts)
        if self.average is not None:
            self.average.updates = int(facts["average_updates"])


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Holds the first stop signal back inside its `with` block; a second one acts at once.

    Outside the main thread, where Python takes no signals, it never sees one.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()

    def act(self) -> None:
        """Let the held-back signal do what it would have done."""
        self._give_back()
        if self.signal is not None:
            signal.raise_signal(self.signal)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self._give_back()

    def _give_back(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}
