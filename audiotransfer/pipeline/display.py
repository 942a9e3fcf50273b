"""Songs in notebooks: a waveform and a media element as HTML."""

from __future__ import annotations

import base64
import html
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.resampling import resample
from audiotransfer.audio.writing import write_audio
from audiotransfer.timing import clock

_COLUMNS, _HEIGHT = 600, 80
_LONGEST = 600.0  # seconds that are embedded: some 7 MB
_RATES = (8000, 12000, 16000, 24000, 44100, 48000)  # of which Vorbis files are surely decoded


def song_html(audio: Tensor, sample_rate: int, name: str) -> str:
    """HTML of sound ``[C, T]``: its name, format and waveform, and the sound itself in Ogg Vorbis.

    Of more than ten minutes the beginning is embedded. Needs no network and no script.
    """
    seconds = audio.shape[-1] / sample_rate
    channels = {1: "mono", 2: "stereo"}.get(len(audio), f"{len(audio)} channels")
    about = f"{html.escape(name)}: {clock(seconds)}, {sample_rate} Hz, {channels}"
    if seconds > _LONGEST:
        about += f" (the first {clock(_LONGEST)})"
    sound = base64.b64encode(vorbis(audio[:, : round(_LONGEST * sample_rate)], sample_rate))
    return (
        f"<figure><figcaption>{about}</figcaption>{waveform_svg(audio)}"
        f'<br><audio controls src="data:audio/ogg;base64,{sound.decode()}"></audio></figure>'
    )


def waveform_svg(audio: Tensor) -> str:
    """The greatest and least samples of 600 equal parts of sound ``[C, T]``, as an SVG picture."""
    parts = audio.tensor_split(min(_COLUMNS, max(1, audio.shape[-1])), dim=-1)
    middle = _HEIGHT / 2
    lines = []
    for place, part in enumerate(parts):
        top, bottom = (float(edge.clamp(-1.0, 1.0)) for edge in (part.max(), part.min()))
        lines.append(f"M{place + 0.5} {middle - top * middle:.1f}V{middle - bottom * middle:.1f}")
    return (
        f'<svg viewBox="0 0 {_COLUMNS} {_HEIGHT}" width="{_COLUMNS}" height="{_HEIGHT}" '
        f'role="img" aria-label="waveform" style="max-width: 100%"><path d="{"".join(lines)}" '
        'stroke="currentColor" stroke-width="1" fill="none"/></svg>'
    )


def vorbis(audio: Tensor, sample_rate: int) -> bytes:
    """Sound ``[C, T]`` as an Ogg Vorbis file."""
    sound = audio if len(audio) <= 2 else to_stereo(audio)
    rate = min(_RATES, key=lambda known: abs(known - sample_rate))
    sound = resample(sound, sample_rate, rate)
    peak = float(sound.abs().max()) if sound.numel() else 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.ogg"
        write_audio(path, torch.clamp(sound / max(1.0, peak), -1.0, 1.0), rate)
        return path.read_bytes()
