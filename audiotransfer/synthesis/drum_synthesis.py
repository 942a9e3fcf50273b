"""The electronic drum kit: each piece computed from sines and noise.

After the circuits of analogue drum machines: a kick and toms are sines whose pitch falls, a snare
is two sines and noise, a clap is noise in bursts, hats and cymbals are high-passed squares at
frequencies that are no multiples of each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.synthesis.description import InstrumentDescription, SampleDescription
from audiotransfer.synthesis.filters import butterworth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Sound = NDArray[np.float64]

SAMPLE_RATE = 44100
_METAL = (205.3, 304.4, 369.6, 522.7, 540.0, 800.0)  # Hz


def _times(seconds: float) -> Sound:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _noise(seconds: float, seed: int) -> Sound:
    return np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))


def _high(sound: Sound, hertz: float) -> Sound:
    return butterworth(sound, "high", hertz, SAMPLE_RATE)


def _between(sound: Sound, low: float, high: float) -> Sound:
    return butterworth(_high(sound, low), "low", high, SAMPLE_RATE)


def _swept(seconds: float, low: float, high: float, fall: float, decay: float) -> Sound:
    """A sine that falls from ``high`` to ``low`` Hz within ``fall`` s and decays in ``decay`` s."""
    times = _times(seconds)
    phase = low * times + (high - low) * fall * (1.0 - np.exp(-times / fall))
    swept: Sound = np.sin(2.0 * np.pi * phase) * np.exp(-times / decay)
    return swept


def _kick() -> Sound:
    body = _swept(0.6, 48.0, 260.0, 0.025, 0.16)
    click = _high(_noise(0.6, 1), 3000.0) * np.exp(-_times(0.6) / 0.003)
    kick: Sound = np.tanh(1.6 * body) + 0.12 * click
    return kick


def _snare() -> Sound:
    times = _times(0.35)
    body = _swept(0.35, 185.0, 260.0, 0.02, 0.07) + 0.6 * _swept(0.35, 330.0, 420.0, 0.02, 0.05)
    rattle = _high(_noise(0.35, 2), 1500.0) * np.exp(-times / 0.075)
    return 0.7 * body + 0.45 * rattle


def _clap() -> Sound:
    times = _times(0.4)
    bursts = np.zeros(len(times))
    for at in (0.0, 0.011, 0.022):
        bursts += np.where(times >= at, np.exp(-(times - at) / 0.006), 0.0)
    tail = np.where(times >= 0.03, np.exp(-(times - 0.03) / 0.07), 0.0)
    return _between(_noise(0.4, 3), 700.0, 3500.0) * (bursts + tail)


def _rim() -> Sound:
    return _swept(0.12, 1650.0, 1800.0, 0.005, 0.012) + 0.5 * _swept(
        0.12, 480.0, 520.0, 0.005, 0.02
    )


def _metal(seconds: float, decay: float, seed: int) -> Sound:
    times = _times(seconds)
    squares = sum(np.sign(np.sin(2.0 * np.pi * 1.4 * hertz * times)) for hertz in _METAL)
    mixed = squares + 1.2 * _noise(seconds, seed)
    return _high(mixed, 6500.0) * np.exp(-times / decay)


def _bell() -> Sound:
    times = _times(0.5)
    low, high = (np.sign(np.sin(2.0 * np.pi * hertz * times)) for hertz in (540.0, 800.0))
    return _between(low + high, 500.0, 4000.0) * np.exp(-times / 0.09)


def _tom(low: float) -> Callable[[], Sound]:
    return lambda: _swept(0.6, low, 1.7 * low, 0.05, 0.15)


#: Piece: General MIDI keys, sound, level in dB, choke group.
_PIECES: dict[str, tuple[tuple[int, ...], Callable[[], Sound], float, str | None]] = {
    "kick": ((35, 36), _kick, 0.0, None),
    "snare": ((38, 40), _snare, -1.0, None),
    "clap": ((39,), _clap, 0.0, None),
    "rim": ((37,), _rim, -8.0, None),
    "hihat_closed": ((42, 44, 22), lambda: _metal(0.15, 0.03, 4), -6.0, "hat"),
    "hihat_open": ((46, 26), lambda: _metal(0.9, 0.22, 5), -7.0, "hat"),
    "shaker": ((54, 69, 70, 82), lambda: _high(_noise(0.12, 8), 5000.0)
               * np.sin(np.pi * _times(0.12) / 0.12) ** 2, -10.0, None),
    "crash": ((49, 52, 55, 57), lambda: _metal(2.5, 0.7, 6), -9.0, None),
    "ride": ((51, 59), lambda: _metal(1.6, 0.4, 7), -10.0, None),
    "bell": ((53, 56), _bell, -10.0, None),
    "tom_low": ((41, 43), _tom(82.0), -3.0, None),
    "tom_mid": ((45, 47), _tom(116.0), -3.0, None),
    "tom_high": ((48, 50), _tom(164.0), -3.0, None),
}  # fmt: skip


def load_piece(sample: SampleDescription) -> NDArray[np.float32]:
    """Sound ``[1, T]`` of a piece at peak 0.84 with a short fade at its end."""
    sound = _PIECES[sample.file][1]()
    fade = np.minimum(1.0, np.arange(len(sound))[::-1] / 441.0)
    sound = sound * fade
    scaled: NDArray[np.float32] = (0.84 * sound / np.abs(sound).max())[None].astype(np.float32)
    return scaled


def electronic_kit() -> InstrumentDescription:
    """The description of ``kit_electronic``."""
    frames = {name: len(piece[1]()) for name, piece in _PIECES.items()}
    return InstrumentDescription(
        title="Electronic kit, synthesised",
        licence="MIT",
        credit="",
        source="audiotransfer/synthesis/drum_synthesis.py",
        changes="",
        program=24,
        drums=True,
        channels=1,
        mix_db=-0.6,
        samples=tuple(
            SampleDescription(
                file=name,
                frames=frames[name],
                gain_db=level - 8.0,
                attack_ms=0.0,
                low_velocity=1,
                high_velocity=127,
                keys=keys,
                choke_group=group,
            )
            for name, (keys, _, level, group) in _PIECES.items()
        ),
    )
