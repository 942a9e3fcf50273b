"""Lightning Fabric: the device, the precision, and the processes that share each batch."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

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


_CONVOLUTIONS = {torch.conv1d, torch.conv2d, torch.conv3d}
_TRANSPOSED = {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}


class NarrowInFloat32(TorchFunctionMode):
    """While entered, convolutions that are strided and one column wide leave CPU autocast."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if not _is_strided(function, args, kwargs) or not torch.is_autocast_enabled("cpu"):
            return function(*args, **kwargs)
        source = args[0] if args else kwargs["input"]
        made = function(*args, **kwargs)
        narrow = source if function in _TRANSPOSED else made
        if source.device.type != "cpu" or narrow.shape[-1] > 1:
            return made
        with torch.autocast("cpu", enabled=False):
            exact = [_float32(value) for value in args]
            return function(*exact, **{name: _float32(value) for name, value in kwargs.items()})


def _is_strided(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> bool:
    if function not in _CONVOLUTIONS and function not in _TRANSPOSED:
        return False
    stride = args[3] if len(args) > 3 else kwargs.get("stride", 1)
    return bool((max(stride) if isinstance(stride, Sequence) else stride) > 1)


def _float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value
