"""Devices, processes and precision: Lightning Fabric, random state and CPU autocast."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from audiotransfer.errors import AudioTransferError
from audiotransfer.training.settings import Precision, TrainerSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)
#: Environment variables in which launchers give a process's rank, the most reliable first.
_RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")


def is_first() -> bool:
    """Whether this process has rank 0, and so writes files and shows progress for all.

    Read from the environment, so that it is known before anything is launched.
    """
    return next((os.environ[name] for name in _RANKS if name in os.environ), "0") == "0"


def launch(settings: TrainerSettings) -> Fabric:
    """Launches Lightning Fabric, and returns it with this process's device and rank.

    Under `torchrun` the processes exist already and the environment has their number; a cluster's
    launcher must start `devices` on each of `num_nodes` machines. Where nothing has started them,
    Fabric runs the present command again for each further device.

    Raises:
        AudioTransferError: Fabric is not installed, or cannot give what is asked for.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    except ImportError as error:
        raise AudioTransferError(
            "training needs Lightning Fabric; pip install 'audiotransfer[train]'"
        ) from error
    # It reports its choice on stderr, where the progress line is.
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
            precision=usable_precision(settings.precision, device),
        )
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise AudioTransferError(
            f"devices={devices} of {device.type} on num_nodes={machines} cannot be used "
            f"({reason}); correct them"
        ) from error
    return fabric


def resolve_device(name: str) -> torch.device:
    """Returns the device of that name; "auto" is the GPU where there is one.

    Raises:
        AudioTransferError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise AudioTransferError(f"device {name!r} is unknown; take auto, cpu or cuda") from error
    missing = device.type == "cuda" and not torch.cuda.is_available()
    if missing or (device.type == "mps" and not torch.backends.mps.is_available()):
        raise AudioTransferError(f"device {name!r} is not there; take cpu or auto")
    return device


def usable_precision(precision: Precision, device: torch.device) -> Precision:
    """The precision to train in: float32 in place of bfloat16 on a processor that emulates it.

    Without instructions for bfloat16 (x86-64 before AVX-512) a step takes about twenty times as
    long as in float32.
    """
    if precision == "bf16-mixed" and device.type == "cpu" and not _computes_in_bfloat16():
        logger.info("this processor has no bfloat16: trained in float32")
        return "32-true"
    return precision


def _computes_in_bfloat16() -> bool:
    """Whether the kernels of oneDNN use the processor's own instructions."""
    mkldnn = torch.backends.mkldnn
    return mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """A context that restores the global random state at its end."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def own_threads(count: int | None) -> Iterator[None]:
    """A context with `count` CPU threads, if not None; restores their number at its end."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_CONVOLUTIONS = {torch.conv1d, torch.conv2d, torch.conv3d}
_TRANSPOSED = {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}


class NarrowInFloat32(TorchFunctionMode):
    """A mode in which strided convolutions of one column run in float32 under CPU autocast.

    In bfloat16 the CPU kernels read memory that was never written, and may give NaN.
    """

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
