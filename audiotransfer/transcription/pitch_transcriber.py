"""Runs the pitch network over a recording that is pushed block by block."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiotransfer.transcription.activations import LOWEST, PITCHES, PitchActivations
from audiotransfer.transcription.pitch_features import (
    ALL_BINS,
    BINS,
    FLOOR,
    FRAME_RATE,
    LOWEST_BIN,
    PER_SEMITONE,
    SAMPLE_RATE,
    PitchFeatures,
    estimate_tuning,
    pitch_features,
)
from audiotransfer.transcription.pitch_network import (
    FRAMES,
    LEVEL_REACH,
    PitchNetwork,
    load_pitch_network,
    normalised,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

SHIPPED = Path(__file__).parent / "shipped" / "pitch.safetensors"
#: Frames that the network answers together, and those it sees beyond them on each side: its
#: convolutions reach 150, and 3 s more set the level of the outermost.
BLOCK, CONTEXT = 4096, LEVEL_REACH + 151

_TUNED_FROM = 60 * SAMPLE_RATE  # samples that decide the tuning
_IN_TUNE = 25.0  # cents: songs that deviate no further are read as they are
_DISTRIBUTIONS = ("lead", "bass", "chords")
_SILENCE = -75.0  # dB of the loudest pitch


@cache
def shipped_network() -> PitchNetwork:
    """The pitch network that comes with the package.

    Raises AudioTransferError where its weights cannot be read.
    """
    return load_pitch_network(SHIPPED)


class PitchTranscriber:
    """Pitch activations of a recording, pushed block by block as mono samples at 22.05 kHz.

    The first minute decides the tuning; where it deviates by more than 25 cents the bins of the
    features follow it. What is kept of a song grows by 0.1 GB an hour (see `PitchActivations`).

    Args:
        network: instead of the shipped one.
    """

    def __init__(self, network: PitchNetwork | None = None) -> None:
        self._network = shipped_network() if network is None else network
        self._waiting: list[NDArray[np.float32]] = []  # samples, until the tuning is known
        self._features: PitchFeatures | None = None
        self._frames = np.empty((0, ALL_BINS), dtype=np.float32)
        self._before = 0  # frames of context at the beginning of `_frames`
        self._found: list[PitchActivations] = []
        self.tuning = 0.0

    def push(self, samples: NDArray[np.float32]) -> None:
        """Takes the next samples ``[t]``, of any number."""
        if self._features is not None:
            self._add(self._features.push(samples))
            return
        self._waiting.append(np.array(samples, dtype=np.float32))
        if sum(map(len, self._waiting)) >= _TUNED_FROM:
            self._tune()

    def finish(self) -> PitchActivations:
        """The activations of everything that was pushed."""
        features = self._features or self._tune()
        self._add(features.finish(), last=True)
        silence = np.full((FRAMES, ALL_BINS), FLOOR, dtype=np.float32)
        found = self._found or [frame_activations(self._network, silence, count=0)]
        self._found = []

        def joined(name: str) -> NDArray[np.float16]:
            return np.concatenate([getattr(part, name) for part in found])

        return _activations(joined, self.tuning)

    @property
    def waiting(self) -> int:
        """Frames that wait for their context, or are context of such."""
        return len(self._frames)

    def _tune(self) -> PitchFeatures:
        """Estimates the tuning from the samples so far, and starts the features with them."""
        samples = np.concatenate(self._waiting) if self._waiting else np.empty(0, np.float32)
        self._waiting = []
        self.tuning = estimate_tuning(pitch_features(samples[:_TUNED_FROM]))
        self._features = PitchFeatures(_followed(self.tuning))
        self._add(self._features.push(samples))
        return self._features

    def _add(self, frames: NDArray[np.float32], last: bool = False) -> None:
        """Adds frames, and answers those whose context is there."""
        self._frames = np.concatenate((self._frames, frames))
        while True:
            ready = len(self._frames) - self._before
            if ready >= BLOCK + CONTEXT:
                count = BLOCK
            elif last and ready > 0:
                count = min(ready, BLOCK)
            else:
                return
            end = self._before + count + CONTEXT
            self._found.append(
                frame_activations(self._network, self._frames[:end], self._before, count)
            )
            first = max(0, self._before + count - CONTEXT)
            self._before += count - first
            self._frames = self._frames[first:]


@torch.inference_mode()
def frame_activations(
    network: PitchNetwork, frames: NDArray[np.float32], before: int = 0, count: int | None = None
) -> PitchActivations:
    """The activations of frames ``[L, 378]`` in dB; nothing is in those quieter than -75 dB.

    ``before`` are context that is not answered, and what follows ``count`` others.
    """
    own = slice(before, len(frames) if count is None else before + count)
    padded = np.pad(frames, ((0, len(frames) % FRAMES), (0, 0)), mode="edge")
    logits = network(normalised(torch.from_numpy(padded)[None]))

    levels = _levels(frames[own])
    silent = levels.max(1, initial=-np.inf) < _SILENCE

    def probabilities(name: str) -> NDArray[np.float16]:
        if name == "levels":
            return levels
        answered: Tensor = logits[name][0, own]
        shares = answered.softmax(-1) if name in _DISTRIBUTIONS else answered.sigmoid()
        half: NDArray[np.float16] = shares.half().numpy()
        half[silent] = 0.0
        if name in _DISTRIBUTIONS:
            half[silent, -1] = 1.0
        return half

    return _activations(probabilities)


def transcribe_pitches(
    samples: NDArray[np.float32], network: PitchNetwork | None = None
) -> PitchActivations:
    """The pitch activations of a whole recording ``[T]``, mono at 22.05 kHz."""
    transcriber = PitchTranscriber(network)
    transcriber.push(samples)
    return transcriber.finish()


def tuned_features(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """The features ``[L, 378]`` of a short recording, as the transcriber has them, and its tuning.

    The tuning is the deviation from A = 440 Hz in cents.
    """
    features = pitch_features(samples)
    tuning = estimate_tuning(features)
    followed = _followed(tuning)
    return (pitch_features(samples, followed) if followed else features), tuning


def _activations(
    values: Callable[[str], NDArray[np.float16]], tuning: float = 0.0
) -> PitchActivations:
    return PitchActivations(
        rate=FRAME_RATE,
        lead=values("lead"),
        lead_onsets=values("lead_onsets"),
        notes=values("notes"),
        note_onsets=values("note_onsets"),
        bass=values("bass"),
        chords=values("chords"),
        voice=values("voice"),
        levels=values("levels"),
        tuning=tuning,
    )


def _followed(tuning: float) -> float:
    """The tuning in cents that the bins follow."""
    return tuning if abs(tuning) > _IN_TUNE else 0.0


def _levels(frames: NDArray[np.float32]) -> NDArray[np.float16]:
    """The level in dB at each pitch ``[L, 88]``: the mean power of its first two partials."""
    power = 10.0 ** (0.1 * frames)
    low = LOWEST_BIN * PER_SEMITONE
    found = np.empty((len(frames), PITCHES), dtype=np.float16)
    for index in range(PITCHES):
        places = [PER_SEMITONE * (LOWEST + index + up) - low for up in (0, 12)]
        bins = [place for place in places if 0 <= place < BINS]
        found[:, index] = 10.0 * np.log10(power[:, bins].mean(1) + 1e-10)
    return found
