"""Blind listening tests as one HTML page: pairs before and after a style, or a MUSHRA test.

What a page saves, ``votes-*.json``, is described in `evaluation.report.votes`, which reads it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from audiotransfer.atomic import temporary_path
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.writing import write_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.report.votes import ANCHOR, MUSHRA, PAIRS, REFERENCE

BEFORE, AFTER = "before", "after"
_SLOT = "__DATA__"
_LOUDNESS = -23.0  # LUFS, of every sound
_HIGHEST = 0.97
_LETTERS = "ABCDEFGHIJKL"
_ANCHOR_HZ = 3500.0  # of the low anchor of ITU-R BS.1534


@dataclass(frozen=True)
class Pair:
    """A song before and after a style: sounds [C, T] at one sample rate."""

    name: str
    before: Tensor
    after: Tensor


@dataclass(frozen=True)
class RatedSong:
    """A song of a MUSHRA test: the open reference, and what systems made, [C, T] at one rate."""

    name: str
    reference: Tensor
    systems: Mapping[str, Tensor]


def questions(genre: str) -> list[dict[str, object]]:
    """The questions about each pair and their answers; A and B are the sides in a pair's order."""
    return [
        {"id": "tune", "text": "Is it the same tune?", "answers": ["yes", "partly", "no"]},
        {
            "id": "style",
            "text": f"Which sounds more like {genre}?",
            "answers": ["A", "B", "no difference"],
        },
        {
            "id": "quality",
            "text": "Which sounds cleaner?",
            "answers": ["A", "B", "no difference"],
        },
        {
            "id": "keep",
            "text": "Which would you keep?",
            "answers": ["A", "B", "both", "neither"],
        },
    ]


def write_page(
    path: str | Path,
    pairs: Sequence[Pair],
    sample_rate: int,
    *,
    style: str,
    genre: str,
    seed: int = 0,
) -> None:
    """Writes a self-contained HTML file: pairs of sounds (mp3), questions, evaluation of votes.

    The order of the pairs, and which side of each is A, are drawn from ``seed``. All sounds have
    -23 LUFS (less in songs where one would clip), so that loudness is no cue. Votes are kept in the
    browser's storage and saved as JSON, which says which side was which.
    Raises AudioTransferError where there is no pair.
    """
    if not pairs:
        raise AudioTransferError(f"no listening page {path} of zero pairs: give at least one")
    songs = [(pair.name, {BEFORE: pair.before, AFTER: pair.after}, None) for pair in pairs]
    more = {"title": f"Blind listening: {style}", "questions": questions(genre)}
    _write(path, PAIRS, songs, sample_rate, style, genre, seed, more)


def write_mushra_page(
    path: str | Path,
    rated_songs: Sequence[RatedSong],
    sample_rate: int,
    *,
    style: str,
    genre: str,
    asked: str,
    seed: int = 0,
) -> None:
    """Writes a self-contained HTML file of a MUSHRA test (ITU-R BS.1534-3).

    Each song has an open reference, and is rated 0..100 in an order that is drawn from ``seed``:
    what every system made, the reference again (hidden), and the reference through a low-pass of
    3.5 kHz (the anchor). ``asked`` is the question that the ratings answer. Loudness and votes are
    those of `write_page`.
    Raises AudioTransferError where there is no rated_song.
    """
    if not rated_songs:
        raise AudioTransferError(f"no listening page {path} of zero songs: give at least one")
    songs = []
    for rated_song in rated_songs:
        rated = {
            REFERENCE: rated_song.reference,
            ANCHOR: low_passed(rated_song.reference, sample_rate),
            **rated_song.systems,
        }
        songs.append((rated_song.name, rated, rated_song.reference))
    more = {"title": f"MUSHRA listening test: {style}", "asked": asked}
    _write(path, MUSHRA, songs, sample_rate, style, genre, seed, more)


def low_passed(sound: Tensor, sample_rate: int, hertz: float = _ANCHOR_HZ) -> Tensor:
    """A sound [C, T] without what lies above a frequency, without delay."""
    from scipy.signal import butter, sosfiltfilt

    sos = butter(10, hertz, fs=sample_rate, output="sos")
    filtered = sosfiltfilt(sos, sound.double().numpy(), axis=-1)
    return Tensor(np.ascontiguousarray(filtered, dtype=np.float32))


Shown = tuple[str, Mapping[str, Tensor], Tensor | None]
"""A song's name, its sounds by what they are, and the open reference."""


def _write(
    path: str | Path,
    mode: str,
    songs: Sequence[Shown],
    sample_rate: int,
    style: str,
    genre: str,
    seed: int,
    more: Mapping[str, object],
) -> None:
    """Writes the page of a mode with the songs and the sounds of each in random order."""
    random = np.random.default_rng(seed)
    key: list[dict[str, str]] = []
    shown: list[dict[str, str]] = []
    for index in random.permutation(len(songs)):
        name, sounds, reference = songs[index]
        order = [list(sounds)[place] for place in random.permutation(len(sounds))]
        level = _level(sounds, sample_rate)
        key.append({**dict(zip(_LETTERS, order, strict=False)), "name": name})
        coded = {
            letter: _mp3(level[what], sample_rate)
            for letter, what in zip(_LETTERS, order, strict=False)
        }
        if reference is not None:
            coded[REFERENCE] = _mp3(level[REFERENCE], sample_rate)
        shown.append(coded)
    answers = json.dumps(key)
    data: dict[str, Any] = {
        "id": hashlib.sha256(f"{style}{genre}{seed}{answers}{shown}".encode()).hexdigest()[:12],
        "mode": mode,
        "style": style,
        "genre": genre,
        "seed": seed,
        "key": base64.b64encode(answers.encode()).decode(),
        "songs": shown,
        **more,
    }
    template = (
        resources.files("audiotransfer.benchmark")
        .joinpath("listening_page.html")
        .read_text(encoding="utf-8")
    )
    # "<" would end the script element where a name holds "</script>".
    text = template.replace(_SLOT, json.dumps(data).replace("<", "\\u003c"))
    path = Path(path)
    part = temporary_path(path)
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _level(sounds: Mapping[str, Tensor], sample_rate: int) -> dict[str, Tensor]:
    """The sounds at one loudness: -23 LUFS, or less where one of them would clip."""
    gains = {name: _gain(sound, sample_rate) for name, sound in sounds.items()}
    peak = max(float(sound.abs().max()) * gains[name] for name, sound in sounds.items())
    common = min(1.0, _HIGHEST / max(peak, 1e-9))
    return {name: sound * (gains[name] * common) for name, sound in sounds.items()}


def _gain(sound: Tensor, sample_rate: int) -> float:
    """The factor that brings a sound to -23 LUFS; 1 for silence and what is shorter than 0.4 s."""
    meter = LoudnessMeter(sample_rate, len(sound))
    meter.push(sound)
    loudness = meter.integrated()
    return float(10 ** ((_LOUDNESS - loudness) / 20)) if np.isfinite(loudness) else 1.0


def _mp3(sound: Tensor, sample_rate: int) -> str:
    """A sound [C, T] as a data URL of an mp3 file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.mp3"
        write_audio(path, sound, sample_rate)
        return "data:audio/mpeg;base64," + base64.b64encode(path.read_bytes()).decode()
