"""Images of voices: piano rolls for a training's previews, and an animation of its progress."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiotransfer.atomic import temporary_path
from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.accompaniment.chorales import BEAT, Voices
from audiotransfer.symbolic.accompaniment.masked_voices import LOWEST, PITCHES

COLOURS = ("#1b1b1b", "#d1495b", "#2e8b74", "#3d6cb3")
"""Colours of soprano, alto, tenor and bass."""
_CELL = (3, 4)  # pixels of a step and of a semitone
_HEAD = 14  # pixels above, for the caption
_MILLISECONDS, _LAST_MILLISECONDS = 250, 3000


def piano_roll(voices: Tensor) -> Tensor:
    """Voices [T, V] as a piano roll [pitches, T] of 0 and 1, low pitches first."""
    pitches = torch.arange(LOWEST, LOWEST + PITCHES, device=voices.device)
    return (voices[:, :, None] == pitches).any(1).T.float()


def save_frame(voices: Voices, folder: Path, step: int) -> None:
    """Draws voices [T, 4], each in its colour, as ``folder/STEP.png``."""
    from PIL import Image, ImageDraw

    wide, high = _CELL
    image = Image.new("RGB", (wide * len(voices), high * PITCHES + _HEAD), "white")
    draw = ImageDraw.Draw(image)
    for bar in range(0, len(voices), 4 * BEAT):
        draw.line([(wide * bar, _HEAD), (wide * bar, image.height)], "#dddddd")
    draw.text((3, 1), f"step {step}", "#555555")
    for line, colour in reversed(list(zip(voices.T, COLOURS, strict=True))):
        edges = [0, *(np.flatnonzero(np.diff(line)) + 1), len(line)]
        for begin, end in pairwise(edges):
            if line[begin] >= 0:
                top = _HEAD + high * (LOWEST + PITCHES - 1 - int(line[begin]))
                box = [wide * int(begin), top, wide * int(end) - 2, top + high - 1]
                draw.rectangle(box, colour)
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / f"{step:06d}.png")


def animate(folder: Path, path: Path) -> Path | None:
    """Joins the frames of a folder to a looping GIF; None where there are no frames.

    Raises AudioTransferError where it cannot be written.
    """
    from PIL import Image

    files = sorted(folder.glob("*.png"))
    if not files:
        return None
    first, *rest = [Image.open(file).convert("P", palette=Image.Palette.ADAPTIVE) for file in files]
    durations = [_MILLISECONDS] * len(rest) + [_LAST_MILLISECONDS]
    part = temporary_path(path)
    try:
        first.save(
            part,
            "GIF",
            save_all=True,
            append_images=rest,
            duration=durations,
            loop=0,
            optimize=True,
        )
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise AudioTransferError(f"animation {path} cannot be written ({error})") from error
    return path
