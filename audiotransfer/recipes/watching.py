"""Telling how far a training is."""

from __future__ import annotations

from collections.abc import Callable

from audiotransfer.training import Trainer

Show = Callable[[str, float], None]
"""Is told a stage and its share that is done, 0..1."""


def watch(trainer: Trainer, show: Show | None) -> Callable[[], bool]:
    """Tells how far a run is and what is wrong with it, and never stops it."""

    def after_step() -> bool:
        if show is not None and trainer.first:
            wrong = ", ".join(trainer.diagnosis.present)
            stage = f"step {trainer.step}" + (f" ({wrong})" if wrong else "")
            show(stage, trainer.step / trainer.settings.steps)
        return False

    return after_step
