"""Strided convolutions to one column, kept in float32 where a CPU trains in bfloat16.

On processors with AMX, oneDNN's bfloat16 convolutions with a stride and an output one column wide
read memory that nobody wrote, forwards or backwards: a loss that is not finite or, worse, one that
is finite and wrong (seen with torch 2.13 over kernels of 3, 4 and 5; float32 and wider outputs are
right). So small a convolution costs next to nothing in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

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
