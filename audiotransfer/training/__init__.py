"""Training of any objective: turns, the trainer, checkpoints, schedules, log, configs."""

from audiotransfer.training.checkpoints import load_networks
from audiotransfer.training.objective import Batches, Group, Objective, Preview, Turn
from audiotransfer.training.settings import TrainerSettings
from audiotransfer.training.trainer import Trainer

__all__ = [
    "Batches",
    "Group",
    "Objective",
    "Preview",
    "Trainer",
    "TrainerSettings",
    "Turn",
    "load_networks",
]
