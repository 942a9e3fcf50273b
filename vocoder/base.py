"""The inverter protocol, the registry of inverters, and checks of their inputs."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol

from torch import Generator, Tensor

if TYPE_CHECKING:
    from vocoder.spectrogram import SpectrogramSettings

GROUP = "audiotransfer.inverters"


class VocoderError(Exception):
    """Root of the errors raised on purpose by `vocoder`; the message is one line for the user."""


class Inverter(Protocol):
    """A callable that turns a spectrogram back into sound."""

    expects: SpectrogramSettings
    """Settings of the spectrograms that it inverts."""
    reach: int
    """Samples on each side of a frame's centre that its values affect."""

    def __call__(
        self,
        spectrogram: Tensor,
        length: int,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Spectrogram [.., F, L] to sound of exactly `length` samples.

        Inverters that need a source take it as [.., C, T] and return [.., C, T]; the others return
        [.., T]. `generator` draws initial phases. Raises VocoderError when the spectrogram's shape
        is not what `expects` makes of `length` samples.
        """
        ...


def names() -> list[str]:
    """Names of the registered inverters, sorted."""
    return sorted(_registered())


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def create(name: str, expects: SpectrogramSettings, **options: Any) -> Inverter:
    """The inverter registered as `name`, for spectrograms made with `expects`.

    ``NAME:FILE`` gives an inverter with a network the file that its training wrote. Raises
    VocoderError for an unknown name, for settings that the inverter cannot invert, and for a
    network whose weights are missing.
    """
    found = _registered()
    name, _, file = name.partition(":")
    if file:
        options["weights"] = file
    if name not in found:
        known = sorted(found)
        if not known:
            raise VocoderError(f"no inverter {name!r}: none are registered; install with pip first")
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise VocoderError(f"no inverter {name!r}: {hint}")
    kind = found[name].load()
    if file and "weights" not in inspect.signature(kind).parameters:
        raise VocoderError(f"{name} has no network that {file!r} could be of: give {name} alone")
    inverter: Inverter = kind(expects, **options)
    return inverter


def require_equal(expected: SpectrogramSettings, given: SpectrogramSettings, who: str) -> None:
    """Raise VocoderError, naming what differs, unless `given` equals what `who` expects."""
    right, wrong = dataclasses.asdict(expected), dataclasses.asdict(given)
    different = [
        f"{key} {right[key]}, not {wrong[key]}" for key in right if right[key] != wrong[key]
    ]
    if different:
        raise VocoderError(f"{who} expects spectrograms with {'; '.join(different)}: make them so")


def require_frames(expects: SpectrogramSettings, who: str) -> None:
    """Raise VocoderError for a "cqt", which has no frames of an STFT."""
    if expects.kind == "cqt":
        raise VocoderError(f"{who} needs frames of an STFT: use griffinlim for a cqt")


def require_shape(expects: SpectrogramSettings, spectrogram: Tensor, length: int) -> None:
    """Raise VocoderError unless `spectrogram` [.., F, L] has the shape for `length` samples."""
    expected_shape = (expects.bins, expects.frames(length))
    if spectrogram.ndim < 2 or tuple(spectrogram.shape[-2:]) != expected_shape:
        raise VocoderError(
            f"spectrogram of shape {list(spectrogram.shape)} for {length} samples: "
            f"the settings make {expected_shape[0]} bins x {expected_shape[1]} frames of them"
        )
