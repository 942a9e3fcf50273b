"""Pictures of stems for training: which settings, and a whole song's in little memory."""

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
from vocoder import Picture

_CHUNK_SECONDS, _CONTEXT_SECONDS = 60.0, 4.0


def picture_settings(
    changes: Sequence[tuple[str, str]] = (), style: str | None = None
) -> dict[str, Any]:
    """The settings of a style's picture, else the usual ones, with changes as (name, value).

    A new sample rate takes what lies above its half out of the bands. Raises AudioTransferError
    for a style that has no picture, VocoderError for settings that no picture has.
    """
    settings: dict[str, Any] = {}
    if style is not None:
        entries = [entry for entry in find_style(style).card.stems.values() if entry]
        if not entries:
            raise AudioTransferError(f"style {style!r} keeps every stem and has no picture")
        settings = dict(entries[0].picture)
    settings |= {name: _value(name, text) for name, text in changes}
    if "sample_rate" in settings and "f_max" not in settings:
        settings["f_max"] = min(Picture.f_max, settings["sample_rate"] / 2)
    return Picture.from_dict(settings).to_dict()


def _value(name: str, text: str) -> Any:
    """A setting of the kind that pictures have it in; unknown ones are left to the picture."""
    value = yaml.safe_load(text)
    wanted = type(getattr(Picture, name, value))
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        kind = "a word" if wanted is str else "a whole number" if wanted is int else "a number"
        raise AudioTransferError(f"picture setting {name}={text} is not {kind}")
    return value


def label(settings: Mapping[str, Any]) -> str:
    """A name for pictures of these settings: others get another."""
    plain = json.dumps(dict(settings), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:8]


def draw(sound: Tensor, picture: Picture) -> NDArray[np.float16]:
    """The picture ``[L, F]`` of a stem ``[C, T]``, a minute at a time; equal to the whole's."""
    hop = picture.hop_length
    frames = picture.frames(sound.shape[-1])
    chunk, context = (
        int(seconds * picture.sample_rate / hop) for seconds in (_CHUNK_SECONDS, _CONTEXT_SECONDS)
    )
    drawn = np.empty((frames, picture.bins), dtype=np.float16)
    for first in range(0, frames, chunk):
        last = min(first + chunk, frames)
        low, high = max(0, first - context), min(frames, last + context)
        stop = sound.shape[-1] if high == frames else high * hop
        with torch.no_grad():
            part = picture.stereo(sound[:, low * hop : stop])
        drawn[first:last] = part[:, first - low : last - low].T.numpy()
    return drawn
