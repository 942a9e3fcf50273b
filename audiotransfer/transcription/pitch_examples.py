"""Training examples of the pitch network: features and labels of rendered excerpts."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.transcription.activations import (
    BASSES,
    CHORD_QUALITIES,
    LOWEST,
    LOWEST_BASS,
    PITCHES,
)
from audiotransfer.transcription.pitch_features import (
    ALL_BINS,
    BINS,
    FLOOR,
    FRAME_RATE,
    LOWEST_BIN,
    LOWEST_FINE_BIN,
    PER_SEMITONE,
    STEPS,
    to_bytes,
)
from audiotransfer.transcription.pitch_transcriber import tuned_features

#: Class of a frame that the truth says nothing of.
UNKNOWN = -100

_NO_CHORD = 12 * len(CHORD_QUALITIES)
_BESIDE = 0.5  # label of the frames beside an onset's
_FULL_SCALE = 32768.0


@dataclass(frozen=True)
class PitchExample:
    """Features and truth of an excerpt.

    ``features`` ``[L, 378]`` are in 8 bits. ``lead``, ``notes`` and ``bass`` ``[N, 3]`` are
    beginning and end in frames, and MIDI pitch; ``chords`` ``[K, 3]`` beginning, root (-1: none)
    and index of the quality; ``sung`` ``[S, 2]`` frames. ``known`` says for which of them there is
    truth.
    """

    name: str
    features: NDArray[np.uint8]
    lead: NDArray[np.float32]
    notes: NDArray[np.float32]
    bass: NDArray[np.float32]
    chords: NDArray[np.float32]
    sung: NDArray[np.float32]
    known: dict[str, bool]
    about: dict[str, Any]


def read_examples(folder: Path, cache: Path | None = None, most: int = 0) -> list[PitchExample]:
    """The excerpts of a folder, by name; their features are kept in ``cache``.

    ``most``: no more than so many, evenly from among them. Raises AudioTransferError where there
    is none, or one cannot be read.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise AudioTransferError(f"folder {folder} holds no excerpts (*.npz); render them first")
    if most and len(paths) > most:
        paths = [paths[i * len(paths) // most] for i in range(most)]
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    return [read_example(path, cache) for path in paths]


def read_example(path: Path, cache: Path | None = None) -> PitchExample:
    """An excerpt's features and truth. Raises AudioTransferError where it cannot be read."""
    try:
        with np.load(path) as file:
            times = {
                "lead": _in_frames(file["lead"], 2),
                "notes": _in_frames(file["notes"], 2),
                "bass": _in_frames(file["bass"], 2),
                "chords": _in_frames(file["chords"], 1),
                "sung": _in_frames(file["sung"].reshape(-1, 2), 2),
            }
            known = {n: bool(file[f"has_{n}"]) for n in ("lead", "notes", "bass", "chords")}
            about = json.loads(str(file["about"]))
            features = _features(file["audio"], cache and cache / f"{path.stem}.npy")
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise AudioTransferError(f"excerpt {path} cannot be read ({error})") from error
    return PitchExample(path.stem, features, **times, known=known, about=about)


@dataclass(frozen=True)
class Augmentation:
    """Random changes of crops: semitones and gain to both sides, equalisation, noise and masks."""

    semitones: int = 4
    gain: float = 8.0  # dB
    equalisation: float = 8.0  # dB
    noise: float = 0.3  # share of crops with a floor of noise
    masks: float = 0.4  # share of crops with a band or a moment silenced


class PitchBatches:
    """Crops of ``frames`` frames from examples, ``batch`` at a step.

    An entry of a batch has the length B: ``features`` ``[B, L, 378]`` in dB, the labels of
    `crop_labels`, and ``has_lead`` and so on ``[B]``. The share ``share`` of the crops is of the
    examples ``more``, where there are any.
    """

    def __init__(
        self,
        examples: list[PitchExample],
        batch: int,
        frames: int,
        seed: int,
        augmentation: Augmentation | None = None,
        more: Sequence[PitchExample] = (),
        share: float = 0.0,
    ) -> None:
        self._examples, self._batch, self._frames = [*examples, *more], batch, frames
        self._seed, self._augmentation = seed, augmentation
        self._first, self._share = len(examples), share if more else 0.0

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of that step, always the same."""
        random = np.random.default_rng((self._seed, step))
        chosen = random.integers(self._first, size=self._batch)
        if self._share:
            added = random.integers(self._first, len(self._examples), size=self._batch)
            chosen = np.where(random.random(self._batch) < self._share, added, chosen)
        return collate([self._crop(self._examples[i], random) for i in chosen])

    def _crop(self, example: PitchExample, random: np.random.Generator) -> dict[str, Any]:
        first = int(random.integers(max(1, len(example.features) - self._frames + 1)))
        shift = 0
        if (change := self._augmentation) is not None:
            shift = int(random.integers(-change.semitones, change.semitones + 1))
        crop = crop_labels(example, first, self._frames, shift)
        features = crop_features(example, first, self._frames, shift)
        if change is not None:
            _augment(features, change, random)
        return {"features": features, **crop}


def collate(crops: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Crops of one length as one batch."""
    return {name: torch.from_numpy(np.stack([crop[name] for crop in crops])) for name in crops[0]}


def crop_features(
    example: PitchExample, first: int, frames: int, shift: int = 0
) -> NDArray[np.float32]:
    """Levels in dB of frames ``[first, first + frames)``, moved by semitones."""
    own = example.features[first : first + frames]
    moved = np.zeros((frames, ALL_BINS), dtype=np.uint8)
    bins = PER_SEMITONE * shift
    for low, high in ((0, BINS), (BINS, ALL_BINS)):
        to = slice(low + max(0, bins), high + min(0, bins))
        source = slice(low + max(0, -bins), high + min(0, -bins))
        moved[: len(own), to] = own[:, source]
    return moved.astype(np.float32) / np.float32(STEPS) + np.float32(FLOOR)


def crop_labels(example: PitchExample, first: int, frames: int, shift: int = 0) -> dict[str, Any]:
    """Labels of a crop, moved by semitones.

    Classes ``lead``, ``bass`` and ``chords`` ``[L]`` (as in `PitchActivations`, `UNKNOWN` past the
    excerpt's end), and 0..1 ``lead_onsets``, ``notes``, ``note_onsets`` ``[L, 88]`` and ``voice``
    ``[L]``; ``has_lead``, ``has_notes``, ``has_bass`` and ``has_chords``.
    """
    lead = _classes(example.lead, first, frames, shift, LOWEST, PITCHES)
    bass = _classes(example.bass, first, frames, shift, LOWEST_BASS, BASSES)
    chords = np.full(frames, _NO_CHORD, dtype=np.int64)
    for begin, root, quality in example.chords:
        moved = 12 * int(quality) + (int(root) + shift) % 12
        chords[max(0, round(float(begin)) - first) :] = moved if root >= 0 else _NO_CHORD
    voice = np.zeros(frames, dtype=np.float32)
    for begin, end in example.sung:
        voice[max(0, round(float(begin)) - first) : max(0, round(float(end)) - first)] = 1.0
    past = len(example.features) - first
    for classes in (lead, bass, chords):
        classes[past:] = UNKNOWN
    lead_roll = _rolls(example.lead, first, frames, shift)
    note_roll = _rolls(example.notes, first, frames, shift)
    has = {f"has_{name}": np.float32(known) for name, known in example.known.items()}
    return {
        "lead": lead,
        "bass": bass,
        "chords": chords,
        "voice": voice,
        "lead_onsets": lead_roll[1],
        "notes": note_roll[0],
        "note_onsets": note_roll[1],
        **has,
    }


def _classes(
    notes: NDArray[np.float32], first: int, frames: int, shift: int, lowest: int, count: int
) -> NDArray[np.int64]:
    """The class of each frame of a line of notes; ``count`` where there is none."""
    classes = np.full(frames, count, dtype=np.int64)
    for begin, end, pitch in notes:
        low, high = round(float(begin)) - first, round(float(end)) - first
        if high > 0 and low < frames:
            place = round(float(pitch)) + shift - lowest
            classes[max(0, low) : max(high, low + 1)] = place if 0 <= place < count else UNKNOWN
    return classes


def _rolls(notes: NDArray[np.float32], first: int, frames: int, shift: int) -> NDArray[np.float32]:
    """What sounds and what begins, ``[2, L, 88]``."""
    rolls = np.zeros((2, frames + 2, PITCHES), dtype=np.float32)
    for begin, end, pitch in notes:
        low, high = round(float(begin)) - first + 1, round(float(end)) - first + 1
        place = round(float(pitch)) + shift - LOWEST
        if high <= 0 or low >= frames + 2 or not 0 <= place < PITCHES:
            continue
        rolls[0, max(0, low) : max(high, low + 1), place] = 1.0
        for frame, value in ((low - 1, _BESIDE), (low, 1.0), (low + 1, _BESIDE)):
            if 0 <= frame < frames + 2:
                rolls[1, frame, place] = max(value, rolls[1, frame, place])
    return rolls[:, 1:-1]


def _augment(
    features: NDArray[np.float32], change: Augmentation, random: np.random.Generator
) -> None:
    """Changes levels in dB in place (see `Augmentation`)."""
    places = np.concatenate(
        (
            LOWEST_BIN + np.arange(BINS) / PER_SEMITONE,
            LOWEST_FINE_BIN + np.arange(ALL_BINS - BINS) / PER_SEMITONE,
        )
    )
    knots = random.normal(0.0, change.equalisation / 2, 6).clip(
        -change.equalisation, change.equalisation
    )
    curve = np.interp(places, np.linspace(LOWEST_BIN, LOWEST_BIN + 88, 6), knots)
    features += (curve + random.uniform(-change.gain, change.gain)).astype(np.float32)
    if random.random() < change.noise:
        floor = float(features.max()) - random.uniform(35.0, 65.0)
        np.maximum(features, floor, out=features)
    if random.random() < change.masks:
        width = random.uniform(3.0, 12.0)
        low = random.uniform(LOWEST_BIN, LOWEST_BIN + 88 - width)
        features[:, (places >= low) & (places < low + width)] = FLOOR
    if random.random() < change.masks / 2:
        length = int(random.integers(2, 8))
        begin = int(random.integers(len(features) - length))
        features[begin : begin + length] = FLOOR


def _in_frames(values: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """Rows whose first columns are seconds, with frames instead."""
    found = np.array(values, dtype=np.float32)
    found[:, :times] *= FRAME_RATE
    return found


def _features(audio: NDArray[np.int16], kept: Path | None) -> NDArray[np.uint8]:
    """The features of int16 samples, from the file where they are kept."""
    if kept is not None and kept.exists():
        found: NDArray[np.uint8] = np.load(kept)
        return found
    features = to_bytes(tuned_features(audio.astype(np.float32) / _FULL_SCALE)[0])
    if kept is not None:
        part = kept.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, features)
        os.replace(part, kept)
    return features
