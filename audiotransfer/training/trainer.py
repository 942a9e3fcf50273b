"""The training loop: load a batch, step the objective's turns, log, validate, save."""

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
from audiotransfer.training import checkpoints, loading
from audiotransfer.training.devices import launch, own_randomness, own_threads
from audiotransfer.training.diagnosis import Diagnosis
from audiotransfer.training.log import Log, Progress, Window
from audiotransfer.training.objective import Batches, Objective, Preview
from audiotransfer.training.settings import TrainerSettings, learning_rate_factor
from audiotransfer.training.stepping import (
    MovingAverage,
    Stepper,
    evaluating,
    require_networks,
    step_error,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAX_FAILURES = 20  # in a row, before the run ends
DIAGNOSED_BATCHES = 4  # always the same ones
logger = logging.getLogger(__name__)


class Trainer:
    """Trains an objective's networks, with checkpoints from which a stopped run goes on exactly.

    Of several processes (`torchrun`, or the settings' `devices`) each takes its part of every
    batch; they step together, to the weights of one process with the whole batch. `first` is true
    in the one that writes and exports. An objective whose loss is no mean over examples, as with
    batch norm, learns a little differently then.

    Args:
        objective: its networks are moved to the device and trained in place.
        batches: a pure function of the step.
        settings: see `TrainerSettings`.
        folder: for `log.jsonl`, TensorBoard files, `checkpoint/` and `best/`.
        validation: figures of the present networks (averaged ones where there are averages), in
            evaluation mode and without gradients; "H", or else "score", higher is better, chooses
            `best/` and ends the run when it does not improve for the settings' `patience`.
        config: what else decides the weights (corpus, objective): a checkpoint of another config
            is refused.
        samples: sounds from the present networks, [C, T] and rate in Hz, for the log beside the
            objective's preview; called like the validation.
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
        samples: Callable[[Objective], dict[str, tuple[Tensor, int]]] | None = None,
    ) -> None:
        self.objective = objective
        self.batches = batches
        self.settings = settings
        self.folder = Path(folder)
        self.validation = validation
        self.samples = samples
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
        require_networks(self.networks, settings.ema, "setting ema")
        self.average: MovingAverage | None = None
        if settings.ema_decay is not None:
            averaged = {name: self.networks[name] for name in settings.ema}
            self.average = MovingAverage(averaged, settings.ema_decay)
        self.identity = checkpoints.identity(objective, settings, config)
        self.seed = settings.seed + self.fabric.global_rank
        self.generator = torch.Generator().manual_seed(self.seed)
        self.progress = Progress()
        self.diagnosis = Diagnosis()

    @property
    def step(self) -> int:
        """The number of steps done."""
        return self.progress.step

    def run(
        self, resume: bool = True, should_stop: Callable[[], bool] | None = None
    ) -> dict[str, float]:
        """Trains to the last step and returns the last figures.

        Args:
            resume: whether to go on from the folder's checkpoint, where there is one.
            should_stop: called after every step; if true a checkpoint is saved and the run
                returns. Ctrl-C and SIGTERM save a checkpoint too, before they take effect.

        Raises:
            AudioTransferError: the checkpoint is of another config or damaged, or the last one
                cannot be written; a step cannot be computed; or the loss or gradient was not finite
                in 20 steps in a row.
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
            self.fabric.barrier()  # all files of the first process are written
        stop.raise_signal()
        return self.progress.figures

    def restore(self) -> dict[str, float]:
        """Goes to where the folder's checkpoint stands, without a step; returns its figures.

        Raises AudioTransferError where there is none, and as `run`.
        """
        if self.first and checkpoints.load(self.folder / "checkpoint") is None:
            raise AudioTransferError(
                f"{self.folder} has no checkpoint yet: nothing was trained there that could be used"
            )
        self._resume()
        return self.progress.figures

    def sounds(self) -> dict[str, tuple[Tensor, int]]:
        """The samples of the present networks, averaged ones where there are averages."""
        if self.samples is None:
            return {}
        with evaluating(self.networks, self.average, self.fabric.device):
            return self.samples(self.objective)

    def _loop(self, log: Log, stop: StopRequest, should_stop: Callable[[], bool]) -> None:
        """Steps from the present one to the last, or until the run is stopped."""
        settings, progress = self.settings, self.progress
        if self._out_of_patience():
            return
        for network in self.networks.values():
            network.train()
        started, first_step = time.monotonic(), self.step
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
                raise step_error(self.step, batch, error) from error
            progress.step += 1
            last = self.step >= settings.steps
            if last or self.step % settings.log_every == 0:
                figures = progress.window.means() | {"failed_steps": float(progress.failed)}
                progress.figures |= figures
                progress.window = Window()
                speed = (self.step - first_step) / max(1e-9, time.monotonic() - started)
                log.figures(self.step, figures | rates | {"steps_per_second": speed})
            if last or _due(self.step, settings.validate_every):
                self._validate(log)
            stopping = self._in_any_process(should_stop() or stop.signal is not None)
            stopping = stopping or last or self._out_of_patience()
            if stopping or _due(self.step, settings.checkpoint_every):
                self._save("checkpoint", needed=stopping)
            if log.board is not None and (last or _due(self.step, settings.preview_every)):
                log.preview(self.step, self._preview(0, with_samples=True))
            if self.first and _due(self.step, settings.diagnose_every):
                self._diagnose(log)
            if stopping:
                return

    def _train_step(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Steps the batch's turns, and returns each group's learning rate."""
        settings, progress = self.settings, self.progress
        scale = learning_rate_factor(
            self.step,
            settings.steps,
            settings.schedule,
            settings.warmup,
            settings.rise,
            settings.hold,
        )
        scale *= settings.decay ** (self.step // settings.decay_every)
        turns = iter(self.objective.turns(batch, self.step, self.generator))
        rates = {
            f"learning_rate/{name}": scale * group.learning_rate
            for name, group in self.objective.groups.items()
        }
        figures: dict[str, float] = {}
        while (turn := self.stepper.next(turns)) is not None:
            numbers = self.stepper.take(turn, scale)
            if not all(map(math.isfinite, numbers.values())):
                self._record_failure(turn.group, numbers)
                return rates
            figures |= numbers
        progress.failed_in_a_row = 0
        progress.window.add(figures)
        if self.average is not None:
            self.average.update()
        return rates

    def _record_failure(self, group: str, numbers: dict[str, float]) -> None:
        """Counts a skipped step, and gives up after too many in a row."""
        self.progress.failed += 1
        self.progress.failed_in_a_row += 1
        names = ", ".join(name for name, value in numbers.items() if not math.isfinite(value))
        logger.warning("step %d skipped: %s not finite", self.step, names)
        if self.progress.failed_in_a_row >= MAX_FAILURES:
            raise AudioTransferError(
                f"training gave up at step {self.step}: {names} not finite in {MAX_FAILURES} steps "
                f"in a row; lower the learning rate of group {group!r} and resume from the last "
                "checkpoint"
            )

    def _validate(self, log: Log) -> None:
        """Logs the validation's figures, and saves the best checkpoint."""
        if self.validation is None:
            return
        found: dict[str, float] = {}
        if self.first:
            with evaluating(self.networks, self.average, self.fabric.device):
                found = {name: float(v) for name, v in self.validation(self.objective).items()}
        found = self.fabric.broadcast(found)
        figures = {f"validation/{name}": value for name, value in found.items()}
        self.progress.figures |= figures
        log.figures(self.step, figures)
        if self.progress.record_score(found.get("H", found.get("score"))):
            self._save("best", needed=False)

    def _out_of_patience(self) -> bool:
        """Whether the score has not improved for as long as the settings allow."""
        patience = self.settings.patience
        return patience is not None and self.progress.since_best >= patience

    def _diagnose(self, log: Log) -> None:
        """Logs new findings of the diagnosis."""
        previews = [self._preview(step) for step in range(DIAGNOSED_BATCHES)]
        for finding in self.diagnosis.check(self.progress, previews):
            logger.warning("step %d: %s", self.step, finding)
            log.note(self.step, finding)

    def _preview(self, step: int, with_samples: bool = False) -> Preview:
        """The objective's preview of the batch of that step, always with the same noise."""
        with evaluating(self.networks, self.average, self.fabric.device):
            batch = self.fabric.to_device(self.batches.batch(step))
            noise = torch.Generator().manual_seed(self.settings.seed)
            preview = self.objective.preview(batch, noise)
            samples = self.samples(self.objective) if with_samples and self.samples else {}
            return Preview(preview.images, preview.audio | samples, preview.embeddings)

    def _in_any_process(self, condition: bool) -> bool:
        """Whether a condition holds in any process, since all must stop after the same step."""
        return bool(self.fabric.all_reduce(torch.tensor(float(condition)), reduce_op="sum"))

    def _save(self, name: str, *, needed: bool) -> None:
        """Writes a checkpoint; unless it is `needed` a failure is only a warning."""
        tensors = checkpoints.collect_state(
            self.networks, self.stepper.optimisers, self.average, self.generator, self.fabric
        )
        if not self.first:
            return
        facts = self.progress.to_json() | {
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
        """Restores the folder's checkpoint, where there is one."""
        folder = self.folder / "checkpoint"
        found = self.fabric.broadcast(checkpoints.load(folder) if self.first else None)
        if found is None:
            return
        tensors, facts = found
        checkpoints.check_identity(folder, facts["identity"], self.identity)
        checkpoints.restore_state(
            tensors,
            self.networks,
            self.stepper.optimisers,
            self.average,
            self.generator,
            self.fabric,
        )
        self.progress = Progress.from_json(facts)
        if self.average is not None:
            self.average.updates = int(facts["average_updates"])


def _due(step: int, every: int | None) -> bool:
    """Whether an action at intervals of steps is due after this step."""
    return every is not None and step % every == 0


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Defers the first stop signal inside its `with` block; a second one takes effect at once.

    Outside the main thread, where Python handles no signals, it does nothing; nor does it with a
    signal that is ignored.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                    self._before[number] = signal.signal(number, self._defer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore_handlers()

    def raise_signal(self) -> None:
        """Raises the deferred signal, if there was one."""
        self._restore_handlers()
        if self.signal is not None:
            signal.raise_signal(self.signal)

    def _defer(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}
