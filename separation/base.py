"""What a separator promises, and how one is found by its name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Protocol

from separation.errors import SeparationError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GROUP = "audiotransfer.separators"

GRID = 65536
"""Samples (1.5 s at 44.1 kHz) that our grids divide or are a few times as long as: they have short
common multiples."""

Progress = Callable[[float], None]
"""Called with the share (0 to 1) of the present block that is done."""


class Separator(Protocol):
    """Takes a mix apart.

    Called with a block `[C, T]` (float32, full scale ±1, any T, one or two channels) it returns
    one `[C, T]` tensor for each name in `stems`. They sum to the block to −60 dB or better: what
    no stem claims goes to `other`, which every separator has. The block itself stays untouched.

    `sample_rate` is what the block must have (Hz). A song that is cut at multiples of `grid`
    samples, each piece with at least `context` samples more on both sides and starting on the grid
    too, gives the stems of the whole song: segments or frames lie on the same places in both. One
    that also says `large = True` makes good use of every core by itself, and nothing else is worked
    on beside it.
    """

    stems: tuple[str, ...]
    sample_rate: int
    context: int
    grid: int

    def __call__(
        self, mix: Tensor, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]: ...


def names() -> list[str]:
    """Names that `create` knows, sorted: ours and those of installed plugins."""
    return sorted(_registered())


def create(
    name: str, *, device: str = "cpu", progress: Progress | None = None, **options: Any
) -> Separator:
    """Build the separator called `name`.

    `name` may carry a model after a colon (`demucs:htdemucs_ft`), which is the option `model`.
    `device` and `progress` reach the separators that can use them; every other option has to be
    one that the separator has.

    Raises SeparationError for an unknown name or option, and whatever the separator raises where
    its weights are missing or damaged.
    """
    kind, _, model = name.partition(":")
    if model:
        options["model"] = model
    factory = _factory(kind)
    parameters = signature(factory).parameters
    takes_all = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    unknown = [] if takes_all else sorted(set(options) - set(parameters))
    if unknown:
        raise SeparationError(
            f"separator '{kind}' has no option '{unknown[0]}' "
            f"(value {options[unknown[0]]!r}): it knows {', '.join(parameters) or 'none'}"
        )
    offered = {"device": device, "progress": progress}
    given = {key: value for key, value in offered.items() if takes_all or key in parameters}
    separator: Separator = factory(**given, **options)
    return separator


def check_mix(mix: Tensor) -> None:
    """Refuse what is no block `[C, T]` of real samples; raises SeparationError."""
    if mix.dim() != 2 or mix.shape[0] < 1 or not mix.is_floating_point():
        raise SeparationError(
            f"a mix is a float tensor [channels, samples], not {mix.dtype} {list(mix.shape)}"
        )


def complete(mix: Tensor, stems: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give `other` what the remaining stems leave of the mix, so that all of them sum to it."""
    left = mix.clone()
    for name, stem in stems.items():
        if name != "other":
            left -= stem
    return {**stems, "other": left}


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _factory(kind: str) -> Callable[..., Separator]:
    registered = _registered()
    if kind not in registered:
        near = difflib.get_close_matches(kind, registered, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        known = ", ".join(sorted(registered)) or "none (install the package with pip)"
        raise SeparationError(f"unknown separator '{kind}': {hint}there are {known}")
    try:
        factory: Callable[..., Separator] = registered[kind].load()
    except (ImportError, AttributeError) as error:
        raise SeparationError(
            f"separator '{kind}' cannot be loaded from {registered[kind].value} ({error}): "
            "install its package again"
        ) from error
    return factory
