"""A blind listening test as one HTML page: songs before and after a style, questions, votes."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from torch import Tensor

from audiotransfer.atomic import temporary_path
from audiotransfer.audio.writing import write_audio
from audiotransfer.errors import AudioTransferError

BEFORE, AFTER = "before", "after"
_SLOT = "__DATA__"
_LEVEL = 0.1
_HIGHEST = 0.97


@dataclass(frozen=True)
class Pair:
    """A song before and after a style: sounds [C, T] at one sample rate."""

    name: str
    before: Tensor
    after: Tensor


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
    """Writes a self-contained HTML file: sounds (mp3), questions, and the evaluation of votes.

    The order of the pairs, and which side of each is A, are drawn from ``seed``. Both sides have
    RMS 0.1 (less where one would clip), so that loudness is no cue. Votes are kept in the
    browser's storage and saved as JSON, which says which side was which.
    Raises AudioTransferError where there is no pair.
    """
    if not pairs:
        raise AudioTransferError(f"no listening page {path} of zero pairs: give at least one")
    random = np.random.default_rng(seed)
    key: list[dict[str, str]] = []
    shown: list[dict[str, str]] = []
    for index in random.permutation(len(pairs)):
        pair = pairs[index]
        first = BEFORE if random.random() < 0.5 else AFTER
        second = AFTER if first == BEFORE else BEFORE
        sides = dict(zip((BEFORE, AFTER), _level(pair.before, pair.after), strict=True))
        key.append({"A": first, "B": second, "name": pair.name})
        shown.append({"A": _mp3(sides[first], sample_rate), "B": _mp3(sides[second], sample_rate)})
    answers = json.dumps(key)
    data = {
        "id": hashlib.sha256(f"{style}{genre}{seed}{answers}{shown}".encode()).hexdigest()[:12],
        "title": f"Blind listening: {style}",
        "style": style,
        "seed": seed,
        "questions": questions(genre),
        "key": base64.b64encode(answers.encode()).decode(),
        "pairs": shown,
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


def _level(before: Tensor, after: Tensor) -> list[Tensor]:
    """Both sounds scaled to one RMS: 0.1, or less where one would clip."""
    sounds = [sound / max(float(sound.square().mean().sqrt()), 1e-9) for sound in (before, after)]
    peak = max(float(sound.abs().max()) for sound in sounds)
    level = min(_LEVEL, _HIGHEST / max(peak, 1e-9))
    return [sound * level for sound in sounds]


def _mp3(sound: Tensor, sample_rate: int) -> str:
    """A sound [C, T] as a data URL of an mp3 file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.mp3"
        write_audio(path, sound, sample_rate)
        return "data:audio/mpeg;base64," + base64.b64encode(path.read_bytes()).decode()
