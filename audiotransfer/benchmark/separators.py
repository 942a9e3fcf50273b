"""Benchmark of separators: SDR improvement over the mix for each stem."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.reading import find_audio, read_audio
from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import museval_sdr, sdr_gain
from audiotransfer.evaluation.report.statistics import Row
from separation import Separator

STEMS = ("drums", "bass", "other", "vocals")
_LEVEL = 0.1
_SILENT = 1e-4


@dataclass(frozen=True)
class StemSong:
    """The true stems of a song, [2, T] at 44.1 kHz, whose sum, the mix, has RMS 0.1."""

    name: str
    stems: dict[str, Tensor]

    @property
    def mix(self) -> Tensor:
        """The sum of the stems."""
        return torch.stack(list(self.stems.values())).sum(0)

    def mono(self) -> StemSong:
        """The song with the mean of its channels in both."""
        stems = {n: s.mean(0, keepdim=True).expand(2, -1) for n, s in self.stems.items()}
        return StemSong(f"{self.name} (mono)", stems)


def stem_songs(folder: Path, seconds: float | None = None) -> Iterator[StemSong]:
    """Reads songs from folders of stems, ``SONG/{drums,bass,other,vocals}[_part].*``.

    Rendered songs give their ``source`` side. Raises AudioTransferError where there are no stems.
    """
    places = sorted({path.parent for path in find_audio(folder)})
    found = False
    for place in places:
        if place.parent.name == "target" or place.name == "separated":
            continue
        stems: dict[str, Tensor] = {}
        for path in find_audio(place):
            stem = re.split(r"[_.]", path.name)[0]
            if stem in STEMS and path.parent == place:
                audio, rate = read_audio(path)
                audio = to_stereo(resample(audio, rate, STEREO_RATE))
                before = stems.get(stem)
                stems[stem] = audio if before is None else _added(before, audio)
        if stems:
            found = True
            name = place.parent.name if place.name == "source" else place.name
            yield _levelled(name, stems, seconds)
    if not found:
        raise AudioTransferError(
            f"{folder} holds no stems; name a folder of songs with drums, bass, other or vocals"
        )


def _added(one: Tensor, other: Tensor) -> Tensor:
    """The sum of two sounds [C, T], the shorter padded with silence."""
    length = max(one.shape[-1], other.shape[-1])
    pad = torch.nn.functional.pad
    return pad(one, (0, length - one.shape[-1])) + pad(other, (0, length - other.shape[-1]))


def _levelled(name: str, stems: Mapping[str, Tensor], seconds: float | None) -> StemSong:
    """A song with stems of one length, and one gain for all that brings the mix to RMS 0.1."""
    length = max(stem.shape[-1] for stem in stems.values())
    if seconds is not None:
        length = min(length, round(seconds * STEREO_RATE))
    silence = torch.zeros(2, length)
    cut = {stem: _added(silence, audio)[:, :length] for stem, audio in stems.items()}
    level = torch.stack(list(cut.values())).sum(0).square().mean().sqrt().clamp_min(1e-9)
    return StemSong(name, {stem: audio * (_LEVEL / level) for stem, audio in cut.items()})


def sdr_gains(
    songs: Iterable[StemSong],
    separators: Mapping[str, Separator],
    *,
    museval: bool = False,
    show: Callable[[str], None] | None = None,
) -> list[Row]:
    """A row for each song and separator: `sdr_gain` in dB of each stem that is not silent.

    ``museval`` adds `museval_sdr`, as in published tables (no difference to the mix).
    """
    rows: list[Row] = []
    for song in songs:
        mix = song.mix
        for name, separator in separators.items():
            estimates = separator(mix)
            row: dict[str, object] = {"song": song.name, "separator": name}
            sounding = {
                stem: true
                for stem, true in song.stems.items()
                if stem in estimates and float(true.square().mean().sqrt()) > _SILENT
            }
            row |= {stem: sdr_gain(estimates[stem], true, mix) for stem, true in sounding.items()}
            if museval and sounding:
                found = museval_sdr({s: estimates[s] for s in sounding}, sounding, STEREO_RATE)
                row |= {f"{stem} museval": value for stem, value in found.items()}
            rows.append(row)
        if show is not None:
            show(song.name)
    return rows
