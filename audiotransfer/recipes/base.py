"""What every config of a training says, whatever it trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.training import Trainer, load_networks
from audiotransfer.training.settings import TrainerSettings


@dataclass
class Training:
    """How something is trained; ``seed`` draws its first weights."""

    trainer: TrainerSettings
    seed: int = 0


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


def start_from(
    network: nn.Module, checkpoint: Path, settings: str, name: str = "generator"
) -> None:
    """Takes the first weights of a network from another run's checkpoint, where it has a name.

    Raises AudioTransferError where it holds none, or one of another shape: ``settings`` names
    what decides that.
    """
    networks = load_networks(checkpoint)
    if name not in networks:
        raise AudioTransferError(
            f"checkpoint {checkpoint} holds {', '.join(networks)}, but no {name}; name another"
        )
    try:
        network.load_state_dict(networks[name])
    except RuntimeError as error:
        raise AudioTransferError(
            f"the {name} of {checkpoint} has another shape; set {settings} as there"
        ) from error
