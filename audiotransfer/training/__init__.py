"""Training of any `Objective`: trainer, checkpoints, schedules, log, diagnosis, configs."""

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
