"""The separator protocol, the registry of separators, and helpers that every separator uses."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GROUP = "audiotransfer.separators"

GRID = 65536
"""Samples (1.5 s at 44.1 kHz): the grids of the separators here divide it or are small multiples of
it, so that their common multiples are short.
"""

Progress = Callable[[float], None]
"""Callback that gets the finished share (0 to 1) of the present block."""


class SeparationError(Exception):
    """Root of the errors that `separation` raises on purpose; one line for the user."""


class Separator(Protocol):
    """A callable that separates a block of a mix into stems.

    Input is a block `[C, T]` (float32, full scale ±1, any T, one or two channels) at `sample_rate`
    Hz, output one `[C, T]` tensor for each name in `stems`. The stems sum to the block to −60 dB or
    better: what no stem takes goes to `other`, which every separator has. The input is not changed.

    A song may be separated in blocks: when every block starts on a multiple of `grid` samples and
    has at least `context` samples more on both sides than are kept, the stems equal those of the
    whole song. A separator with an attribute `large = True` uses all cores by itself, so that
    nothing else is run beside it.
    """

    stems: tuple[str, ...]
    sample_rate: int
    context: int
    grid: int

    def __call__(
        self, mix: Tensor, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]: ...


def names() -> list[str]:
    """Names of all registered separators, sorted, plugins included."""
    return sorted(_registered())


def create(
    name: str, *, device: str = "cpu", progress: Progress | None = None, **options: Any
) -> Separator:
    """Build the separator registered as `name`.

    A model may follow a colon (`demucs:htdemucs_ft`); it is the option `model`. `device` and
    `progress` are passed to separators that take them; every other option must be a parameter of
    the separator.

    Raises SeparationError for an unknown name or option, and what the separator itself raises, for
    example for missing or damaged weights.
    """
    kind, _, model = name.partition(":")
    if model:
        options["model"] = model
    factory = _factory(kind)
    parameters = signature(factory).parameters
    accepts_any = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    unknown = [] if accepts_any else sorted(set(options) - set(parameters))
    if unknown:
        raise SeparationError(
            f"separator '{kind}' has no option '{unknown[0]}' "
            f"(value {options[unknown[0]]!r}): it knows {', '.join(parameters) or 'none'}"
        )
    offered = {"device": device, "progress": progress}
    given = {key: value for key, value in offered.items() if accepts_any or key in parameters}
    separator: Separator = factory(**given, **options)
    return separator


def check_mix(mix: Tensor) -> None:
    """Raise SeparationError unless `mix` is a block `[C, T]` of real samples."""
    if mix.dim() != 2 or mix.shape[0] < 1 or not mix.is_floating_point():
        raise SeparationError(
            f"a mix is a float tensor [channels, samples], not {mix.dtype} {list(mix.shape)}"
        )


def complete(mix: Tensor, stems: dict[str, Tensor]) -> dict[str, Tensor]:
    """Set `other` to the mix minus all remaining stems, so that the stems sum to the mix."""
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


#: Attributes that do not change the stems.
_NOT_COUNTED = ("device", "progress")


def fingerprint(separator: Any) -> str:
    """Hexadecimal digest that differs between separators whose stems differ.

    It is the same in all processes.

    It covers the class, its `version` where it has one (raised when results change without the
    weights), and those attributes that are networks, tensors or plain values.
    """
    from torch import Tensor, nn  # `separation` is importable without loading torch

    kind = type(separator)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{kind.__module__}.{kind.__qualname__} {getattr(kind, 'version', '')}".encode())
    for name, value in sorted(vars(separator).items()):
        if name.lstrip("_") in _NOT_COUNTED:
            continue
        if isinstance(value, nn.Module):
            for key, tensor in sorted(value.state_dict().items()):
                digest.update(f"{name}.{key}".encode() + _bytes(tensor))
        elif isinstance(value, Tensor):
            digest.update(name.encode() + _bytes(value))
        elif not callable(value) and "0x" not in (shown := repr(value)):  # no memory address
            digest.update(f"{name}={shown}".encode())
    return digest.hexdigest()


def _bytes(value: Any) -> bytes:
    import torch

    if not isinstance(value, torch.Tensor):  # a module's extra state
        return repr(value).encode()
    plain = value.detach().cpu().contiguous().flatten()
    return f"{value.dtype}{tuple(value.shape)}".encode() + plain.view(torch.uint8).numpy().tobytes()
