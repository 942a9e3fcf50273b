"""Spectrograms of stems for training: their settings, block-wise computation, and silence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.styles import find_style
from vocoder import SpectrogramSettings

_CHUNK_SECONDS, _CONTEXT_SECONDS = 60.0, 4.0


def spectrogram_settings(
    changes: Sequence[tuple[str, str]] = (), style: str | None = None
) -> dict[str, Any]:
    """The settings of a style's spectrogram, else the defaults, with changes as (name, value).

    A new sample rate limits the highest frequency to its half. Raises AudioTransferError
    for a style that has no spectrogram, VocoderError for settings that no spectrogram has.
    """
    settings: dict[str, Any] = {}
    if style is not None:
        stems = find_style(style).card.stems.values()
        entries = [entry for entry in stems if entry and entry.spectrogram]
        if not entries:
            raise AudioTransferError(f"style {style!r} transfers no stem by its spectrogram")
        settings = dict(entries[0].spectrogram)
    settings |= {name: _value(name, text) for name, text in changes}
    if "sample_rate" in settings and "f_max" not in settings:
        settings["f_max"] = min(SpectrogramSettings.f_max, settings["sample_rate"] / 2)
    return SpectrogramSettings.from_dict(settings).to_dict()


def _value(name: str, text: str) -> Any:
    """A setting as the type that `SpectrogramSettings` has; unknown ones as they are parsed."""
    value = yaml.safe_load(text)
    wanted = type(getattr(SpectrogramSettings, name, value))
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        kind = "a word" if wanted is str else "a whole number" if wanted is int else "a number"
        raise AudioTransferError(f"spectrogram setting {name}={text} is not {kind}")
    return value


def label(settings: Mapping[str, Any]) -> str:
    """A name for spectrograms of these settings: a hash of them."""
    plain = json.dumps(dict(settings), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:8]


def draw(sound: Tensor, spectrogram: SpectrogramSettings) -> NDArray[np.float16]:
    """The spectrogram ``[L, F]`` of a stem ``[C, T]``, computed in blocks of a minute."""
    hop = spectrogram.hop_length
    frames = spectrogram.frames(sound.shape[-1])
    chunk, context = (
        int(seconds * spectrogram.sample_rate / hop)
        for seconds in (_CHUNK_SECONDS, _CONTEXT_SECONDS)
    )
    drawn = np.empty((frames, spectrogram.bins), dtype=np.float16)
    for first in range(0, frames, chunk):
        last = min(first + chunk, frames)
        low, high = max(0, first - context), min(frames, last + context)
        stop = sound.shape[-1] if high == frames else high * hop
        with torch.no_grad():
            part = spectrogram.stereo(sound[:, low * hop : stop])
        drawn[first:last] = part[:, first - low : last - low].T.numpy()
    return drawn


#: RMS below which a stem of a song at RMS 0.1 is silent: 40 dB under the song.
SILENT = 1e-3
_WINDOW_SECONDS = 0.25
_PAUSE_SECONDS = 1.0  # shorter silences are kept
_SHORTEST_SECONDS = 0.5


def sounding(sound: Tensor, sample_rate: int) -> list[tuple[float, float]]:
    """Ranges of a stem ``[C, T]`` that are not silent, as (start, stop) in seconds.

    Pauses of less than a second are included, sounds of less than half a second are not.
    """
    window = max(1, round(_WINDOW_SECONDS * sample_rate))
    power = sound.square().mean(0)
    count = -(-len(power) // window)
    power = torch.nn.functional.pad(power, (0, count * window - len(power)))
    loud = power.reshape(count, window).mean(1).sqrt().numpy() > SILENT
    length = sound.shape[-1] / sample_rate
    least = min(_SHORTEST_SECONDS, length)
    unit = window / sample_rate
    found = [(start * unit, min(stop * unit, length)) for start, stop in stretches(loud)]
    joined: list[tuple[float, float]] = []
    for start, stop in found:
        if joined and start - joined[-1][1] < _PAUSE_SECONDS:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return [(start, stop) for start, stop in joined if stop - start >= least - 1e-9]


def stretches(loud: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of true values, as index ranges (start, stop)."""
    edges = np.diff(np.concatenate(([0], loud.astype(np.int8), [0])))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]
