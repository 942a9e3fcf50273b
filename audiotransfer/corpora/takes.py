"""Finds stems on disk, whoever made them, and decodes them once for random access."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from audiotransfer import files, sound
from audiotransfer.corpora.stems import SAMPLE_RATE, STEMS, Take
from audiotransfer.errors import AudioTransferError


def rendered_takes(folder: Path, split: str = "train") -> list[Take]:
    """Stems of rendered songs (``*/{source,target/STYLE}/{stem}.wav`` beside a ``song.json``)."""
    takes = []
    for card in sorted(folder.glob("*/song.json")):
        if json.loads(card.read_text())["split"] != split:
            continue
        # Only what was rendered: `separated/` beside it holds a separator's guesses.
        sides = [card.parent / "source", *sorted(card.parent.glob("target/*"))]
        for path in (path for side in sides for path in sorted(side.glob("*.wav"))):
            song = f"{card.parent.name}/{path.parent.name}"
            takes.append(_take(path, path.stem, song, real=False))
    return takes


def song_takes(folder: Path, cache: Path, without: Iterable[str] = ()) -> list[Take]:
    """Stems of real songs (``song/{stem}[_part].{ogg,wav,…}``); parts of a stem are added later.

    Songs or files whose name holds a word of ``without`` are left out.
    """
    takes = []
    for path in files.find_audio(folder):
        stem = re.split(r"[_.]", path.name)[0]
        if stem in STEMS and not _held_out(path, without):
            takes.append(_take(_decoded(path, cache), stem, path.parent.name, real=True))
    return takes


def solo_takes(folder: Path, stem: str, cache: Path, without: Iterable[str] = ()) -> list[Take]:
    """Recordings of one stem on its own: solo singing, drum loops."""
    return [
        _take(_decoded(path, cache), stem, f"solo/{path.stem}", real=True)
        for path in files.find_audio(folder)
        if not _held_out(path, without)
    ]


def folder_takes(folder: Path, stem: str, cache: Path) -> list[Take]:
    """Every song of a folder as a take. Raises AudioTransferError where there is none."""
    takes = solo_takes(folder, stem, cache)
    if not takes:
        raise AudioTransferError(f"folder {folder} holds no audio; name one with songs or stems")
    return takes


def mix(folder: Path) -> Tensor:
    """The sum of the stems in a folder ``[C, T]``."""
    stems = [files.read(path)[0] for path in sorted(folder.glob("*.wav"))]
    if not stems:
        raise AudioTransferError(f"{folder} holds no stems: render the song again")
    return torch.stack(stems).sum(0)


def _held_out(path: Path, without: Iterable[str]) -> bool:
    return any(word in f"{path.parent.name}/{path.name}" for word in without)


def _take(path: Path, stem: str, song: str, real: bool) -> Take:
    return Take(path, stem, song, soundfile.info(str(path)).frames, real)


def _decoded(path: Path, cache: Path) -> Path:
    """A 44.1 kHz 16-bit copy: compressed files cannot be read at random places quickly."""
    name = f"{path.stem}-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:10]}.wav"
    copy = cache / name
    if not copy.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        audio, rate = files.read(path)
        if audio.shape[0] > 2:
            audio = sound.to_stereo(audio)
        files.write(copy, sound.resample(audio, rate, SAMPLE_RATE), SAMPLE_RATE, overwrite=True)
    return copy
