"""Lightning Fabric: the device, the precision, and the processes that share each batch."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from audiotransfer.errors import AudioTransferError
from audiotransfer.training.settings import TrainerSettings, resolve_device

if TYPE_CHECKING:
    from lightning_fabric import Fabric

#: Where launchers say which of a run's processes this one is, the surest first.
_RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")


def is_first() -> bool:
    """Whether this process speaks for a run: where several share its batches, one of them does.

    The environment tells, so that it is known before anything is launched.
    """
    return next((os.environ[name] for name in _RANKS if name in os.environ), "0") == "0"


def launch(settings: TrainerSettings) -> Fabric:
    """Return Fabric, launched: this process knows its device and its place among the others.

    Under `torchrun` the processes are there already and it says how many; a cluster's launcher must
    start `devices` on each of `num_nodes` machines. Where nothing has started them, Fabric runs the
    present command once more for each further device.

    Raises:
        AudioTransferError: Fabric is not installed, or cannot give what is asked for.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import TorchElasticEnvironment
    except ImportError as error:
        raise AudioTransferError(
            "training needs Lightning Fabric; pip install 'audiotransfer[train]'"
        ) from error
    # It tells what it chose on stderr, where the line of progress is.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device = resolve_device(settings.device)
    devices, machines = settings.devices, settings.num_nodes
    if TorchElasticEnvironment.detect():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        machines = int(os.environ["WORLD_SIZE"]) // devices
    chosen = [device.index] if device.index is not None and devices == 1 else devices
    try:
        fabric = Fabric(
            accelerator=device.type,
            devices=chosen,
            num_nodes=machines,
            strategy=settings.strategy,
            precision=settings.precision,
        )
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise AudioTransferError(
            f"devices={devices} of {device.type} on num_nodes={machines} cannot be used "
            f"({reason}); correct them"
        ) from error
    return fabric
