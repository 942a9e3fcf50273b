"""The protocol of a recipe, and one run of its training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.preview import Previews
from audiotransfer.renamed import present_folder
from audiotransfer.training import Batches, Objective, Trainer, load_networks
from audiotransfer.training.checkpoints import load_facts
from audiotransfer.training.panel import write_panel
from audiotransfer.training.settings import TrainerSettings

if TYPE_CHECKING:
    from dataclasses import Field

    from _typeshed import DataclassInstance

VALIDATION = "validation/"
"""Prefix of the figures of a validation among those of a checkpoint."""
Show = Callable[[str, float], None]
"""Called with a stage of the work and its share that is done, 0..1."""
Figures = Callable[[Objective], dict[str, float]]
"""Figures of the present networks."""
Sounds = Callable[[Objective], dict[str, tuple[Tensor, int]]]
"""Sounds that the present networks make, ``[C, T]`` with their sample rates, by name."""


class Recipe(Protocol):
    """A section of a config: a dataclass of settings that trains what they describe."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def train(self, run: Run) -> dict[str, float]:
        """Trains, writes the result into ``run.folder`` and returns the last figures."""
        ...


@dataclass
class Training:
    """Settings of every training config; ``seed`` determines the first weights."""

    trainer: TrainerSettings
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """A training in its folder. ``config`` is the whole config, as a card has it.

    ``minutes`` ends it after so many minutes of training, ``preview_minutes`` apart it writes
    pictures and sounds (see `preview`). With ``finish`` nothing is trained: what the folder's
    checkpoint holds is exported. ``unfinished`` exports are marked so in their cards.
    """

    folder: Path
    trainer: TrainerSettings
    seed: int = 0
    config: Mapping[str, Any] | None = None
    show: Show | None = None
    minutes: float | None = None
    preview_minutes: float = 10.0
    finish: bool = False
    unfinished: bool = False

    def fit(
        self,
        objective: Objective,
        batches: Batches,
        identity: DataclassInstance,
        *,
        validation: Figures | None = None,
        on_validation: Callable[[Objective, int], None] | None = None,
        samples: Sounds | None = None,
        averaged: tuple[str, ...] | None = None,
    ) -> Fit:
        """Trains an objective from where the folder's checkpoint stands.

        ``identity`` are the settings that a checkpoint must have been made with to be continued.
        ``on_validation`` is called after each validation, with the step. ``averaged`` names the
        networks with a moving average, where the trainer has a decay for it; without it the
        trainer's own setting counts.
        """

        def validate(of: Objective) -> dict[str, float]:
            assert validation is not None
            found = validation(of)
            if on_validation is not None:
                on_validation(of, trainer.step)
            return found

        settings = self.trainer
        if averaged is not None:
            settings = replace(settings, ema=averaged if settings.ema_decay else ())
        trainer = Trainer(
            objective,
            batches,
            settings,
            self.folder,
            None if validation is None else validate,
            config=identity,
            samples=samples,
        )
        began = time.monotonic()
        if self.finish:
            figures = trainer.restore()
        else:
            figures = trainer.run(should_stop=self._watch(trainer))
            if trainer.first:
                write_panel(self.folder, settings.steps)
        hours = (time.monotonic() - began) / 3600
        return Fit(self.folder, figures, trainer.step, hours, trainer.first)

    def _watch(self, trainer: Trainer) -> Callable[[], bool]:
        """A callback after every step: progress, previews, and whether the time is over."""
        previews = Previews(self.folder, trainer, self.preview_minutes)
        began = time.monotonic()
        done = RunShare(trainer.settings.steps)

        def show(stage: str, share: float) -> None:
            if self.show is not None:
                gone = (time.monotonic() - began) / (60 * self.minutes) if self.minutes else 0.0
                self.show(stage, done(share, gone))

        shown = watch(trainer, show)

        def after_step() -> bool:
            previews.update()
            over = self.minutes is not None and time.monotonic() - began >= 60 * self.minutes
            return shown() or over

        return after_step


@dataclass(frozen=True)
class Fit:
    """The result of a run: its last figures, its steps and hours, and its checkpoints.

    ``exports``: whether this process, of several, is the one that writes the result.
    """

    folder: Path
    figures: dict[str, float]
    steps: int
    hours: float
    exports: bool = True

    @property
    def last(self) -> Path:
        """The last checkpoint."""
        return self.folder / "checkpoint"

    @property
    def best(self) -> Path:
        """The checkpoint of the best validation; the last where nothing was validated."""
        place = self.folder / "best"
        return place if place.is_dir() else self.last

    @property
    def best_by_h(self) -> Path:
        """The checkpoint of the highest H; the last where H was not measured."""
        best = self.best
        measured = best != self.last and f"{VALIDATION}H" in load_facts(best)["figures"]
        return best if measured else self.last


class RunShare:
    """The share of a training that is done, which rises evenly to 1 until a run ends.

    A run that goes on begins where the last one stopped; it ends with the last of the ``steps`` or
    when its time is over, whichever is first.
    """

    def __init__(self, steps: int) -> None:
        self._step = 1 / steps
        self._first: float | None = None

    def __call__(self, share: float, gone: float) -> float:
        """``share`` of the steps are done, and ``gone`` is the share of the run's own time."""
        if self._first is None:
            self._first = share - self._step  # before the first step of this run
        rest = max(1e-9, 1.0 - self._first)
        return self._first + rest * min(1.0, max((share - self._first) / rest, gone))


def restore(checkpoint: Path, networks: Mapping[str, nn.Module]) -> None:
    """Moves networks to the CPU and loads their weights from a checkpoint, by name."""
    states = load_networks(checkpoint)
    for name, network in networks.items():
        network.cpu().load_state_dict(states[name])


def watch(trainer: Trainer, show: Show | None) -> Callable[[], bool]:
    """A callback after every step that reports progress and findings, and never stops the run."""

    def after_step() -> bool:
        if show is not None and trainer.first:
            wrong = ", ".join(trainer.diagnosis.present)
            stage = f"step {trainer.step}{_scores(trainer)}" + (f" ({wrong})" if wrong else "")
            show(stage, trainer.step / trainer.settings.steps)
        return False

    return after_step


def _scores(trainer: Trainer) -> str:
    """The last validation's score and the best one, where there are any."""
    figures = trainer.progress.figures
    names = (f"{VALIDATION}{name}" for name in ("H", "score"))
    last = next((figures[name] for name in names if name in figures), None)
    best = trainer.progress.best
    if last is None or not math.isfinite(best):
        return ""
    return f", validation {last:.3f} (best {best:.3f})"


def start_from(
    network: nn.Module, checkpoint: Path, settings: str, name: str = "generator", further: str = ""
) -> None:
    """Loads the first weights of a network from that of the same name in a checkpoint.

    In the checkpoint of several objectives (`training.objective.Mixed`) the name follows that of a
    share. ``settings`` says which settings decide the network's shape. Weights whose names begin
    with ``further``, where it is given, may be more than the checkpoint has. Raises
    AudioTransferError where the checkpoint has no such network, or one of another shape.
    """
    checkpoint = present_folder(checkpoint)
    networks = load_networks(checkpoint)
    of_shares = [one for one in networks if one.endswith(f"_{name}")]
    if name not in networks and len(of_shares) == 1:
        name = of_shares[0]
    if name not in networks:
        raise AudioTransferError(
            f"checkpoint {checkpoint} holds {', '.join(networks)}, but no {name}; name another"
        )
    try:
        lacking = network.load_state_dict(networks[name], strict=not further)
        if lacking.unexpected_keys or not all(k.startswith(further) for k in lacking.missing_keys):
            raise RuntimeError("other names")
    except RuntimeError as error:
        raise AudioTransferError(
            f"the {name} of {checkpoint} has another shape; set {settings} as there"
        ) from error
