"""Sampled instruments: notes to voices by key, velocity and round robin.

Levels follow the velocity curve alone, ``(velocity / 127) ** 2``: samples are levelled, so a
velocity layer changes the timbre. Near the border of two layers both sound, in phase.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.midi.percussion import KEYS, NONE, drums_of
from audiotransfer.synthesis.description import InstrumentDescription, SampleDescription
from audiotransfer.synthesis.sample_voice import (
    Layer,
    Match,
    Sample,
    SampleVoice,
    Vibrato,
    phase_match,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 44100
"""Hz, of the sound files."""
_STRETCH = 4  # semitones outside the range by which the outermost sample is still transposed
_ZONE = 3.0  # velocities on each side of a layer's border where both layers sound
_SHORTEST_SECONDS = 0.03
_RINGING = 6  # hits of a kit's piece, or notes of a pitch, that sound at once
_OPEN_HZ = 18000.0  # cutoff of the low-pass filter at velocity 127
_PARTIALS = 3.0  # the filter passes this many partials at the least

Loader = Callable[[SampleDescription], "NDArray[np.float32]"]


class SampledInstrument:
    """An instrument of recorded notes at ``sample_rate`` Hz.

    ``load`` returns the sound ``[C, T]`` of a sample at 44.1 kHz; ``tuning`` is the deviation from
    A = 440 Hz in cents, of samples that have a pitch.
    """

    def __init__(
        self,
        name: str,
        description: InstrumentDescription,
        load: Loader,
        sample_rate: int,
        tuning: float = 0.0,
    ) -> None:
        self.name, self.description, self.sample_rate = name, description, sample_rate
        self.channels = description.channels
        self._tuned = 2.0 ** (tuning / 1200.0)
        self._samples = [Sample(sample, load) for sample in description.samples]
        self._layers_of: dict[int, list[list[Sample]]] = {}
        self._matches: dict[tuple[str, str, int], Match] = {}
        self._vibrato = None
        if description.vibrato_cents:
            self._vibrato = Vibrato(
                description.vibrato_hz, description.vibrato_cents, description.vibrato_delay_s
            )

    def key(self, pitch: int) -> int | None:
        """The key that a pitch is played with.

        Pitches further out of the range than a major third are folded into it by octaves. A kit
        plays what it lacks with the piece of the same drum class; ``None`` where there is none.
        """
        if self.description.drums:
            return self._piece(pitch)
        low, high = self.description.low_key, self.description.high_key
        while pitch < low - _STRETCH:
            pitch += 12
        while pitch > high + _STRETCH:
            pitch -= 12
        return pitch

    def _piece(self, key: int) -> int | None:
        if self._layers(key):
            return key
        drum = int(drums_of(np.array([min(max(key, 0), 127)]))[0])
        return KEYS[drum] if drum != NONE and self._layers(KEYS[drum]) else None

    def _layers(self, key: int) -> list[list[Sample]]:
        """Velocity layers of a key, soft to loud, each with its round robins."""
        if key not in self._layers_of:
            nearest = min(max(key, self.description.low_key), self.description.high_key)
            layers: dict[int, list[Sample]] = defaultdict(list)
            for sample in self._samples:
                of = sample.description
                if key in of.keys or (not of.keys and of.low_key <= nearest <= of.high_key):
                    layers[of.low_velocity].append(sample)
            self._layers_of[key] = [
                sorted(layers[low], key=lambda sample: sample.description.round_robin)
                for low in sorted(layers)
            ]
        return self._layers_of[key]

    def voices(self, notes: NDArray[np.float64]) -> list[SampleVoice]:
        """Voices of notes ``[N, 4]`` (start s, duration s, pitch, velocity), by their onset.

        Round robins follow the order of the notes, so the same notes sound the same.
        """
        used: dict[int, int] = defaultdict(int)
        voices: list[SampleVoice] = []
        for start, duration, pitch, velocity in notes[np.argsort(notes[:, 0], kind="stable")]:
            key = self.key(round(float(pitch)))
            if key is not None:
                voices.append(
                    self._voice(float(start), float(duration), key, float(velocity), used[key])
                )
                used[key] += 1
        voices.sort(key=lambda voice: voice.onset)
        self._cut(voices)
        return voices

    def _voice(
        self, start: float, duration: float, key: int, velocity: float, turn: int
    ) -> SampleVoice:
        velocity = min(max(velocity, 1.0), 127.0)
        level = (velocity / 127.0) ** 2
        layers = []
        for robins, weight in _weights(self._layers(key), velocity):
            sample = robins[turn % len(robins)]
            gain = weight * level * 10.0 ** (sample.description.gain_db / 20.0)
            layers.append(Layer(sample, self._speed(sample, key), gain, weight))
        early = layers[0].sample.description.attack_ms / 2000.0 * SAMPLE_RATE
        onset = max(0, round(start * self.sample_rate - early / layers[0].speed))
        end = round((start + max(duration, _SHORTEST_SECONDS)) * self.sample_rate)
        return SampleVoice(
            key=key,
            onset=onset,
            held=end - onset,
            sample_rate=self.sample_rate,
            layers=tuple(layers),
            match=self._match,
            cutoff_hz=self._cutoff(key, velocity),
            vibrato=self._vibrato,
        )

    def _match(self, soft: Layer, loud: Layer, key: int) -> Match:
        names = soft.sample.description.file, loud.sample.description.file, key
        if names not in self._matches:
            # Hits begin together; what is tuned may start anywhere within its period.
            hertz = 440.0 * self._tuned * 2.0 ** ((key - 69) / 12.0)
            period = 0 if self.description.drums else round(self.sample_rate / hertz)
            self._matches[names] = phase_match(soft, loud, period)
        return self._matches[names]

    def _speed(self, sample: Sample, key: int) -> float:
        """Samples of the recording per output sample."""
        root = sample.description.root_midi
        ratio = 1.0 if root is None else self._tuned * 2.0 ** ((key - root) / 12.0)
        return ratio * SAMPLE_RATE / self.sample_rate

    def _cutoff(self, key: int, velocity: float) -> float | None:
        """Cutoff in Hz of the low-pass filter at a velocity; ``None`` where it is open."""
        soft = self.description.soft_cutoff_hz
        if soft is None:
            return None
        cutoff = soft * (_OPEN_HZ / soft) ** ((velocity - 1.0) / 126.0)
        fundamental = 440.0 * 2.0 ** ((key - 69) / 12.0)
        return float(max(cutoff, _PARTIALS * fundamental))

    def _cut(self, voices: Sequence[SampleVoice]) -> None:
        """Ends each voice where a later one of its choke group begins, or of its struck string.

        A cymbal rings on under the hits that follow, but no further than `_RINGING` of them.
        """
        hits: dict[int, deque[int]] = defaultdict(lambda: deque(maxlen=_RINGING))
        begins: dict[str | int, int] = {}
        later: dict[str | int, int] = {}
        for voice in reversed(voices):
            sample = voice.layers[0].sample.description
            # A string or bar that is struck again sounds once; a held breath or bow does not end.
            struck = not self.description.drums and sample.loop_start is None
            group: str | int | None = voice.key if struck else sample.choke_group
            if group is None:
                following = hits[voice.key]
                if len(following) == _RINGING:
                    voice.cut = following[0] - voice.onset
                following.append(voice.onset)
                continue
            if begins.get(group) != voice.onset:
                if group in begins:
                    later[group] = begins[group]
                begins[group] = voice.onset
            if group in later:
                voice.cut = later[group] - voice.onset


def _weights(layers: list[list[Sample]], velocity: float) -> list[tuple[list[Sample], float]]:
    """The layers that sound at a velocity with their weights, of power 1 in total."""
    for below, above in itertools.pairwise(layers):
        border = (below[0].description.high_velocity + above[0].description.low_velocity) / 2.0
        place = (velocity - border) / _ZONE
        if abs(place) < 1.0:
            angle = (place + 1.0) * math.pi / 4.0
            return [(below, math.cos(angle)), (above, math.sin(angle))]
        if place <= -1.0:
            return [(below, 1.0)]
    return [(layers[-1], 1.0)]


def folder_loader(folder: Path) -> Loader:
    """Reads the sounds ``[C, T]`` of a folder's samples."""

    def load(sample: SampleDescription) -> NDArray[np.float32]:
        import soundfile

        sound: NDArray[np.float32] = soundfile.read(
            folder / sample.file, dtype="float32", always_2d=True
        )[0]
        return np.ascontiguousarray(sound.T)

    return load
