"""What every inverter promises, and the one door through which they are found."""

from __future__ import annotations

import dataclasses
import difflib
from importlib.metadata import entry_points
from typing import Any, Protocol

from torch import Generator, Tensor

from vocoder.errors import VocoderError
from vocoder.spectrogram import SpectrogramSettings

GROUP = "audiotransfer.inverters"


class Inverter(Protocol):
    """Turns spectrograms back into sound."""

    expects: SpectrogramSettings
    reach: int
    """Samples on each side of a frame's centre that its values change."""

    def __call__(
        self,
        spectrogram: Tensor,
        length: int,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Spectrogram [.., F, L] -> sound of exactly `length` samples.

        Inverters that need a source take it as [.., C, T] and give [.., C, T]; the others give [..,
        T].
        Raises VocoderError when the spectrogram's shape is not what `expects` makes of `length`
        samples.
        """
        ...


def names() -> list[str]:
    """The registered inverters, in alphabetical order."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def create(name: str, expects: SpectrogramSettings, **options: Any) -> Inverter:
    """The inverter of this name for spectrograms made with `expects`.

    Raises VocoderError for a name that nothing is registered under, or a spectrogram the inverter
    cannot take.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        known = sorted(found)
        if not known:
            raise VocoderError(f"no inverter {name!r}: none are registered; install with pip first")
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise VocoderError(f"no inverter {name!r}: {hint}")
    inverter: Inverter = found[name].load()(expects, **options)
    return inverter


def require_equal(expected: SpectrogramSettings, given: SpectrogramSettings, who: str) -> None:
    """Raise VocoderError, naming what differs, unless `given` is the spectrogram `who` expects."""
    wanted, got = dataclasses.asdict(expected), dataclasses.asdict(given)
    different = [
        f"{key} {wanted[key]}, not {got[key]}" for key in wanted if wanted[key] != got[key]
    ]
    if different:
        raise VocoderError(f"{who} expects spectrograms with {'; '.join(different)}: make them so")


def require_shape(expects: SpectrogramSettings, spectrogram: Tensor, length: int) -> None:
    """Raise VocoderError unless `spectrogram` [.., F, L] is what `expects` makes of `length`."""
    wanted = (expects.bins, expects.frames(length))
    if spectrogram.ndim < 2 or tuple(spectrogram.shape[-2:]) != wanted:
        raise VocoderError(
            f"spectrogram of shape {list(spectrogram.shape)} for {length} samples: "
            f"the settings make {wanted[0]} bins x {wanted[1]} frames of them"
        )
