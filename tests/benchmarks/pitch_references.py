"""References of the pitch network: basic-pitch with a skyline and chord templates, and pYIN."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray

from audiotransfer.leadsheet import Note
from audiotransfer.leadsheet.chords import QUALITIES
from audiotransfer.transcription.activations import CHORD_QUALITIES
from audiotransfer.transcription.pitch_features import HOP, SAMPLE_RATE

_WINDOW = 2 * SAMPLE_RATE - 256  # samples of the network's input
_OVERLAP = 30  # of its frames
_KEPT = 172 - _OVERLAP  # frames of a window
_STEP = _WINDOW - 256 * _OVERLAP  # samples between windows: fewer than those frames last
_LOW = 55  # highest pitch of a bass


class BasicPitch:
    """basic-pitch 0.4 (Bittner et al. 2022) by its ONNX network, from a folder of packages."""

    def __init__(self, folder: Path) -> None:
        sys.path.insert(0, str(folder))
        sys.modules.setdefault("resampy", types.ModuleType("resampy"))
        import onnxruntime
        from basic_pitch import note_creation

        self._decode = note_creation.output_to_notes_polyphonic
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = folder / "basic_pitch" / "saved_models" / "icassp_2022" / "nmp.onnx"
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, samples: NDArray[np.float32]) -> tuple[list[Note], NDArray[np.float64]]:
        """All notes, and the notes' probabilities at 43 frames a second ``[L, 88]``."""
        overlap = _OVERLAP * 256
        padded = np.concatenate((np.zeros(overlap // 2, np.float32), samples))
        parts: list[list[NDArray[np.float32]]] = [[], []]
        for start in range(0, len(padded), _STEP):
            window = padded[start : start + _WINDOW]
            window = np.pad(window, (0, _WINDOW - len(window)))[None, :, None]
            name = self._session.get_inputs()[0].name
            outputs = [f"StatefulPartitionedCall:{number}" for number in (1, 2)]
            for part, found in zip(parts, self._session.run(outputs, {name: window}), strict=True):
                part.append(found[0, _OVERLAP // 2 : -(_OVERLAP // 2)])
        sounding, onsets = (np.concatenate(part) for part in parts)
        numbers = np.arange(len(sounding) + 1)
        times = (numbers // _KEPT * _STEP + numbers % _KEPT * 256) / SAMPLE_RATE
        events = self._decode(
            sounding.copy(), onsets.copy(), 0.5, 0.3, 11, True, None, None, True, 11
        )
        notes = [
            Note(times[first], times[last] - times[first], int(pitch), confidence=float(level))
            for first, last, pitch, level in events
        ]
        ours = np.arange(0, len(samples), HOP) / SAMPLE_RATE
        near = np.minimum(np.searchsorted(times, ours), len(sounding) - 1)
        return sorted(notes, key=lambda n: n.start), sounding[near].astype(float)


def skyline(notes: list[Note]) -> list[Note]:
    """The highest notes: those above which nothing sounds at their onset."""
    kept = []
    for note in notes:
        above = (
            other.pitch > note.pitch
            and other.start - 0.03 <= note.start < other.start + other.duration - 0.03
            for other in notes
        )
        if not any(above):
            kept.append(note)
    return kept


def template_chords(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities ``[L, 73]`` of chords by binary templates, from notes ``[L, 88]``."""
    chroma = np.stack([frames[:, (c - 21) % 12 :: 12].sum(1) for c in range(12)], 1)
    rows = []
    for quality in CHORD_QUALITIES:
        tones = np.zeros(12)
        tones[[tone % 12 for tone in QUALITIES[quality]]] = 1.0
        rows += [np.roll(tones, root) / np.linalg.norm(tones) for root in range(12)]
    scores = chroma @ np.array(rows).T / (np.linalg.norm(chroma, axis=1, keepdims=True) + 1e-9)
    weights = np.exp(30.0 * scores)
    shares = weights / weights.sum(1, keepdims=True)
    return np.concatenate((0.99 * shares, np.full((len(shares), 1), 0.01)), 1)


def low_bass(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the bass's pitch classes ``[L, 12]``: the strongest notes of the low register."""
    found = np.zeros((len(frames), 12))
    low = frames[:, : _LOW - 21 + 1] * np.linspace(1.5, 1.0, _LOW - 20)
    best = low.argmax(1)
    found[np.arange(len(frames)), (best + 21) % 12] = low.max(1)
    return found


def pyin_pitches(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """The MIDI pitch of each frame of 512 samples by pYIN (Mauch and Dixon 2014); NaN: none."""
    found, voiced, _ = librosa.pyin(
        samples, fmin=65.0, fmax=1100.0, sr=SAMPLE_RATE, frame_length=2048, hop_length=HOP
    )
    pitches: NDArray[np.float64] = np.where(voiced, librosa.hz_to_midi(found), np.nan)
    return pitches


def confirmed(samples: NDArray[np.float32], pitches: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which frames' pitches (MIDI, NaN: none) the spectrum of the same samples confirms ``[L]``.

    It has its maximum of three semitones within 50 cents of the pitch, no more than 25 dB below the
    strongest of the first six partials. Where several voices sound together pYIN tends to answer
    their common fundamental, which none of them has.
    """
    size = 8192
    decibels = 20 * np.log10(np.abs(librosa.stft(samples, n_fft=size, hop_length=HOP)) + 1e-7)
    width = SAMPLE_RATE / size
    found = np.zeros(len(pitches), dtype=bool)

    def loudest(spectrum: NDArray[np.float64], low: float, high: float) -> int:
        first = int(low / width)
        return first + int(spectrum[first : int(np.ceil(high / width)) + 1].argmax())

    for frame in np.flatnonzero(np.isfinite(pitches)).tolist():
        hertz, spectrum = librosa.midi_to_hz(pitches[frame]), decibels[:, frame]
        peak = loudest(spectrum, hertz * 2 ** (-1.6 / 12), hertz * 2 ** (1.6 / 12))
        before, here, after = spectrum[peak - 1 : peak + 2]
        bend = before - 2 * here + after
        offset = np.clip(0.5 * (before - after) / bend, -0.5, 0.5) if bend < -1e-6 else 0.0
        away = 12 * np.log2((peak + offset) * width / hertz)
        partials = [spectrum[loudest(spectrum, h * hertz * 0.985, h * hertz * 1.015)]
                    for h in range(1, 7)]  # fmt: skip
        found[frame] = abs(away) < 0.5 and here > max(partials) - 25.0
    return found
