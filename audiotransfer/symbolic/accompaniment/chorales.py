"""Four-part chorales on a grid of sixteenths: reading, transposition, random batches.

A chorale is an integer array [T, 4] of MIDI pitches, -1 where a voice rests; the voices are
`VOICES`, from the highest down. A repeated note is one with the note before: notes begin where the
pitch changes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiotransfer.errors import AudioTransferError

VOICES = ("Soprano", "Alto", "Tenor", "Bass")
RANGES = ((60, 81), (52, 74), (46, 69), (36, 66))
"""Lowest and highest MIDI pitch of each voice, those of the JSB chorales' training split."""
REST = -1
OUTSIDE = -2  # before the first step of a piece and after its last one
BEAT = 4  # steps
SPLITS = ("train", "valid", "test")
_NAMES = {"train": "train", "valid": "valid", "validation": "valid", "test": "test"}
_WIDEST = 5  # semitones of transposition
_HELD_OUT = 0.1  # of chorales that come without splits, for each of valid and test
_PAST_THE_END = 8  # steps before and after a piece that a window may include

Voices = NDArray[np.int64]


@dataclass(frozen=True)
class Chorale:
    """A piece: its name and its voices [T, 4]."""

    name: str
    voices: Voices


def read_chorales(place: str | Path) -> dict[str, list[Chorale]]:
    """Reads chorales by split: "train", "valid" and "test", no piece in two of them.

    Args:
        place: a JSON file of splits -> chorales -> steps -> four pitches (JSB-Chorales-dataset:
            its published splits), a folder or zip that holds one, or an NPZ file of binary rolls
            [N, T, 128, 4] under "train" (the samples of AWS DeepComposer), split by sample.

    Raises:
        AudioTransferError: the file does not exist or holds something else.
    """
    path = Path(place)
    try:
        if path.suffix == ".npz":
            return _split(_of_rolls(path))
        return _of_json(json.loads(_json(path)))
    except FileNotFoundError:
        raise AudioTransferError(
            f"chorales {path} do not exist; name a .json, .zip or .npz of them"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, zipfile.BadZipFile) as error:
        raise AudioTransferError(
            f"{path} holds no chorales of four voices ({' '.join(str(error).split())}); "
            "name JSB-Chorales-dataset's JSON or its zip, or rolls as .npz"
        ) from error


def transpositions(voices: Voices) -> list[int]:
    """All transpositions within 5 semitones that keep all voices in their ranges, and 0."""
    free = [0]
    for shift in range(-_WIDEST, _WIDEST + 1):
        fits = all(
            low <= pitch + shift <= high
            for line, (low, high) in zip(voices.T, RANGES, strict=True)
            for pitch in np.unique(line[line != REST])
        )
        if shift and fits:
            free.append(shift)
    return sorted(free)


def transpose(voices: Voices, semitones: int) -> Voices:
    """Transposes all notes; rests stay rests."""
    return np.where(voices < 0, voices, voices + semitones)


class ChoraleBatches:
    """Random windows of chorales, transposed to random keys within their voices' ranges.

    A batch holds "voices", int64 [B, `steps`, 4], which begin on a beat, up to two beats before a
    piece; steps before and after it are `OUTSIDE`. With `inside` windows stay within a piece that
    is long enough. The probability of a piece is proportional to its length. A batch depends on
    seed and step alone.
    """

    def __init__(
        self,
        chorales: Sequence[Chorale],
        *,
        batch: int,
        steps: int,
        seed: int,
        inside: bool = False,
    ) -> None:
        if not chorales:
            raise AudioTransferError("no chorales to learn from; name others")
        self.pieces = [chorale.voices for chorale in chorales]
        self.keys = [transpositions(voices) for voices in self.pieces]
        self.size, self.steps, self.seed = batch, steps, seed
        self.margin = 0 if inside else _PAST_THE_END
        lengths = np.array([len(voices) for voices in self.pieces], dtype=np.float64)
        self.shares = lengths / lengths.sum()

    def batch(self, step: int) -> dict[str, Tensor]:
        random = np.random.default_rng((self.seed, step))
        drawn = random.choice(len(self.pieces), size=self.size, p=self.shares)
        windows = []
        for piece in drawn:
            voices = transpose(self.pieces[piece], int(random.choice(self.keys[piece])))
            last = max(0, len(voices) + self.margin - self.steps)
            first = BEAT * int(random.integers(-(self.margin // BEAT), last // BEAT + 1))
            windows.append(window(voices, first, self.steps))
        return {"voices": torch.from_numpy(np.stack(windows))}


def window(voices: Voices, first: int, steps: int) -> Voices:
    """The ``steps`` from ``first`` on, padded with `OUTSIDE`; ``first`` may be negative."""
    found = np.full((steps, voices.shape[1]), OUTSIDE, dtype=np.int64)
    begin, end = max(0, first), min(len(voices), first + steps)
    if end > begin:
        found[begin - first : end - first] = voices[begin:end]
    return found


def _json(path: Path) -> str:
    if path.is_dir():
        return _only(path.rglob("*.json"), path).read_text()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [Path(name) for name in archive.namelist() if name.endswith(".json")]
            return archive.read(_only(names, path).as_posix()).decode()
    return path.read_text()


def _only(found: Iterable[Path], place: Path) -> Path:
    """Chooses the file with a grid of sixteenths among several resolutions."""
    files = sorted(found)
    if not files:
        raise AudioTransferError(f"{place} holds no JSON of chorales; name another")
    return next((file for file in files if "16th" in file.name), files[0])


def _of_json(splits: Any) -> dict[str, list[Chorale]]:
    if not isinstance(splits, Mapping):
        raise ValueError("no splits by name")
    found: dict[str, list[Chorale]] = {split: [] for split in SPLITS}
    for name, pieces in splits.items():
        split = _NAMES[name]
        for number, piece in enumerate(pieces):
            found[split].append(Chorale(f"{split} {number}", _checked(np.array(piece))))
    return found


def _of_rolls(path: Path) -> list[Chorale]:
    with np.load(path) as arrays:
        rolls = arrays["train"] > 0
    if rolls.ndim != 4 or rolls.shape[2:] != (128, 4):
        raise ValueError(f"train is {list(rolls.shape)}, not [N, T, 128, 4]")
    pitches = np.where(rolls.any(2), rolls.argmax(2), REST)
    return [Chorale(f"sample {n}", _checked(voices)) for n, voices in enumerate(pitches)]


def _checked(voices: NDArray[Any]) -> Voices:
    if voices.ndim != 2 or voices.shape[1] != len(VOICES):
        raise ValueError(f"a piece is {list(voices.shape)}, not [T, 4]")
    return np.where(voices < 0, REST, voices).astype(np.int64)


def _split(chorales: list[Chorale]) -> dict[str, list[Chorale]]:
    order = np.random.default_rng(0).permutation(len(chorales))
    held = max(1, round(_HELD_OUT * len(chorales)))
    places = {"valid": order[:held], "test": order[held : 2 * held], "train": order[2 * held :]}
    return {split: [chorales[i] for i in sorted(places[split])] for split in SPLITS}
