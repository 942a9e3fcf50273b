"""Long-term properties of a sound: level over time, spectrum and width, measured in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiotransfer.audio.levels import HopMeans, active_power
from audiotransfer.audio.loudness import k_weighting
from audiotransfer.errors import AudioTransferError

RATE = 44100
HOP = 2205  # samples between levels, 50 ms
HOP_SECONDS = HOP / RATE
_FRAME = 4096
_SILENT, _SHORTEST_SILENCE = 10.0**-4.5, 0.3  # power relative to the usual one, seconds
#: Centres in Hz of the third-octave bands of a spectrum, 50 Hz to 16 kHz.
BANDS: NDArray[np.float64] = 1000.0 * 2.0 ** (np.arange(-13, 13) / 3.0)


@dataclass(frozen=True)
class SoundProfile:
    """Levels ``[L]``: K-weighted power each 50 ms, mean of the channels. ``spectrum`` ``[B]``: mean
    power in `BANDS`. ``mid`` and ``side``: mean power of half the sum and difference of channels.
    """

    levels: NDArray[np.float64]
    spectrum: NDArray[np.float64]
    mid: float
    side: float

    @property
    def active(self) -> float:
        """Mean K-weighted power without pauses (30 dB below the mean); 0 of silence."""
        return active_power(self.levels)

    @property
    def span(self) -> tuple[float, float]:
        """First and last time in seconds at which something sounds; ``(0, 0)`` for silence."""
        sounding = np.flatnonzero(~silences(self.levels)) if self.active else np.zeros(0)
        if not len(sounding):
            return 0.0, 0.0
        return float(sounding[0]) * HOP_SECONDS, float(sounding[-1] + 1) * HOP_SECONDS

    def shares(self) -> dict[str, Any]:
        """Spectrum, mid and side as shares of the whole, as JSON: without a level, and without
        levels over time. Not of silence.
        """
        total, both = float(self.spectrum.sum()), self.mid + self.side
        return {
            "spectrum": [round(share, 9) for share in (self.spectrum / total).tolist()],
            "mid": round(self.mid / both, 9),
            "side": round(self.side / both, 9),
        }

    @classmethod
    def from_shares(cls, shares: Mapping[str, Any]) -> SoundProfile:
        """The profile that `shares` describes, without levels over time.

        Raises AudioTransferError where it is something else.
        """
        try:
            spectrum = np.asarray(shares["spectrum"], dtype=np.float64)
            mid, side = float(shares["mid"]), float(shares["side"])
        except (KeyError, TypeError, ValueError):
            raise AudioTransferError("a profile needs spectrum, mid and side") from None
        if spectrum.shape != BANDS.shape or not (spectrum >= 0.0).all():
            raise AudioTransferError(f"a profile's spectrum has {len(BANDS)} powers")
        return cls(np.zeros(0), spectrum, mid, side)

    def scaled(self, gain: float) -> SoundProfile:
        """The profile of the sound times ``gain``."""
        power = gain**2
        return replace(
            self,
            levels=power * self.levels,
            spectrum=power * self.spectrum,
            mid=power * self.mid,
            side=power * self.side,
        )


def silences(levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of levels ``[L]`` lie in a silence of 0.3 s or more: 45 dB below the usual one."""
    from scipy.ndimage import binary_opening

    if not len(levels):
        return np.zeros(0, dtype=bool)
    shortest = round(_SHORTEST_SILENCE / HOP_SECONDS)
    quiet: NDArray[np.bool_] = binary_opening(
        levels <= _SILENT * active_power(levels), np.ones(shortest)
    )
    return quiet


class SoundMeter:
    """Measures a `SoundProfile` of stereo sound at 44.1 kHz, pushed block by block."""

    def __init__(self) -> None:
        self._sos = k_weighting(RATE)
        self._state = np.zeros((len(self._sos), 2, 2))
        self._levels: list[float] = []
        self._powers = HopMeans(HOP)
        self._frame = torch.zeros(2, 0)
        self._window = torch.hann_window(_FRAME)
        self._power = torch.zeros(_FRAME // 2 + 1, dtype=torch.float64)
        self._frames = self._samples = 0
        self._mid = self._side = 0.0

    def push(self, block: Tensor) -> None:
        """Takes the next samples ``[2, t]``."""
        from scipy.signal import sosfilt  # slow to import

        if not block.shape[-1]:
            return
        sound = block.detach().cpu().float()
        weighted, self._state = sosfilt(self._sos, sound.double().numpy(), zi=self._state)
        self._levels += self._powers.push(np.square(weighted).mean(0)).tolist()
        self._mid += float((sound.mean(0)).double().square().sum())
        self._side += float(((sound[0] - sound[1]) / 2).double().square().sum())
        self._samples += sound.shape[-1]
        frames = torch.cat([self._frame, sound], 1)
        whole = frames.shape[1] // _FRAME * _FRAME
        if whole:
            windowed = frames[:, :whole].unflatten(1, (-1, _FRAME)) * self._window
            self._power += torch.fft.rfft(windowed).abs().double().square().mean(0).sum(0)
            self._frames += whole // _FRAME
        self._frame = frames[:, whole:].clone()

    def profile(self) -> SoundProfile:
        """The profile of everything that was pushed."""
        levels = list(self._levels)
        if len(self._powers.rest):
            levels.append(float(self._powers.rest.mean()))
        power = (self._power / max(1, self._frames)).numpy()
        hertz = np.fft.rfftfreq(_FRAME, 1.0 / RATE)
        edges = np.append(BANDS, BANDS[-1] * 2.0 ** (1 / 3)) * 2.0 ** (-1 / 6)
        # The lowest bands are narrower than a bin: the power between bins is interpolated.
        total = np.interp(edges, hertz, np.concatenate([[0.0], np.cumsum(power)])[:-1])
        count = max(1, self._samples)
        return SoundProfile(
            np.array(levels), np.maximum(np.diff(total), 0.0), self._mid / count, self._side / count
        )
