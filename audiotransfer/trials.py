"""Styles on trial: the whole command on songs never trained on, beside the baselines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer import files
from audiotransfer.corpora.takes import mix
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import (
    Judge,
    MatchedEQ,
    harmonic,
    inverter_round_trip,
    random_target_clip,
    rescaled,
    share,
    song_figures,
    style_score,
    summary_row,
)
from audiotransfer.evaluation.table import Row
from audiotransfer.pipeline import Song, StemChoice, transfer
from audiotransfer.sound import STEREO_RATE, resample, to_stereo
from audiotransfer.styles import Style, find_style
from separation import Separator
from vocoder import GriffinLimInverter, Picture

System = Callable[[Tensor], Tensor]
Figures = dict[str, dict[str, float]]
Show = Callable[[str, float], None]
Heard = Callable[[str, dict[str, Tensor]], None]
"""Is given a song's name and what was heard: ``source``, the output of each system, ``truth``."""

NOTHING, EQUALISER, RANDOM, STYLE = "doing nothing", "matched EQ", "random target clip", "style"
EQUALISER_FILE = "matched-eq.json"
_EQUALISER_SECONDS = 20


@dataclass(frozen=True)
class Trial:
    """What was measured: song -> system -> figure, and which systems there were."""

    songs: dict[str, Figures]

    def systems(self) -> list[str]:
        """Names in the order of the table."""
        return list(dict.fromkeys(name for song in self.songs.values() for name in song))

    def rows(self) -> list[Row]:
        """One row a system: means with 95 % bootstrap intervals."""
        return [
            summary_row(name, [song[name] for song in self.songs.values() if name in song])
            for name in self.systems()
        ]

    def song_rows(self, figure: str) -> list[Row]:
        """One row a song: one figure of every system."""
        return [
            {"song": name, **{system: found.get(figure) for system, found in song.items()}}
            for name, song in self.songs.items()
        ]

    def better(self, system: str, other: str, figure: str, *, more: bool = False) -> float:
        """Share of the songs on which ``system`` has less (or more) of a figure than ``other``."""
        pairs = [(song[system][figure], song[other][figure]) for song in self.songs.values()]
        return share([one > two if more else one < two for one, two in pairs])

    def only(self, wanted: Callable[[str], bool]) -> Trial:
        """The same for the songs of some names."""
        return Trial({name: song for name, song in self.songs.items() if wanted(name)})


def song_folders(folder: Path, split: str = "test") -> list[Path]:
    """The rendered songs of a split. Raises AudioTransferError where there is none."""
    found = [
        card.parent
        for card in sorted(folder.glob("*/song.json"))
        if json.loads(card.read_text())["split"] == split
    ]
    if not found:
        raise AudioTransferError(
            f"{folder} holds no rendered songs of split {split!r}; "
            "`audiotransfer render` makes them"
        )
    return found


def rendered_songs(folder: Path, split: str = "test") -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, mix of the source's stems and mix of the target's ``[2, T]``, of rendered songs."""
    for song in song_folders(folder, split):
        yield song.name, mix(song / "source"), mix(song / "target")


def matched_eq(folder: Path, songs: int = 40) -> MatchedEQ:
    """The equaliser that turns the mean spectrum of training sources into the targets'."""
    length = _EQUALISER_SECONDS * STEREO_RATE
    pairs = [
        (mix(song / "source")[:, :length], mix(song / "target")[:, :length])
        for song in song_folders(folder, "train")[:songs]
    ]
    return MatchedEQ.fit([source for source, _ in pairs], [target for _, target in pairs])


def equaliser_for(style: str | Path, baseline: Path | None = None) -> MatchedEQ | None:
    """Fitted to the training songs in ``baseline``, or read from it; else what came with the style.

    None where there is neither.
    """
    if baseline is not None:
        return MatchedEQ.load(baseline) if baseline.is_file() else matched_eq(baseline)
    path = find_style(style).folder / EQUALISER_FILE
    return MatchedEQ.load(path) if path.is_file() else None


def systems(
    style: str | Path | Style,
    equaliser: MatchedEQ | None,
    *,
    separator: str | Separator = "auto",
    stems: Mapping[str, StemChoice] | None = None,
    clips: Sequence[Tensor] = (),
    device: str = "auto",
    seed: int = 0,
) -> dict[str, System]:
    """Doing nothing, the baselines, and the whole command.

    ``clips`` are songs of the target ``[2, T]`` out of which random clips are taken.
    """
    griffin_lim = GriffinLimInverter(Picture(), iterations=32)
    generator = torch.Generator().manual_seed(seed)

    def command(audio: Tensor) -> Tensor:
        song = Song(audio, STEREO_RATE)
        return transfer(
            song, style, separator=separator, stems=dict(stems or {}), device=device, seed=seed
        ).audio

    found: dict[str, System] = {NOTHING: lambda audio: audio}
    if equaliser is not None:
        found[EQUALISER] = equaliser
    found["Griffin-Lim round trip"] = lambda audio: inverter_round_trip(
        audio, griffin_lim, torch.Generator().manual_seed(seed)
    )
    if clips:
        found[RANDOM] = lambda audio: random_target_clip(clips, audio.shape[-1], generator)
    found[STYLE] = command
    return found


def on_rendered(
    songs: Path | Sequence[Path],
    systems: Mapping[str, System],
    show: Show | None = None,
    *,
    seconds: float | None = None,
    heard: Heard | None = None,
) -> Trial:
    """Distance to the true rendering, contrast, chroma and onsets of every song.

    ``songs`` are rendered songs, or a folder whose test songs are taken; of each the first
    ``seconds``.
    """
    places = song_folders(songs) if isinstance(songs, Path) else songs
    length = None if seconds is None else round(seconds * STEREO_RATE)
    measured: dict[str, Figures] = {}
    for place in places:
        source, truth = (mix(place / side)[:, :length] for side in ("source", "target"))
        outputs = {system: run(source) for system, run in systems.items()}
        measured[place.name] = {
            system: song_figures(output, source, STEREO_RATE, truth=truth)
            for system, output in outputs.items()
        }
        if heard is not None:
            heard(place.name, {"source": source, **outputs, "truth": truth})
        if show is not None:
            show(place.name, len(measured) / len(places))
    return Trial(measured)


def said(genre: str) -> str:
    """The name of the judge's figure."""
    return f"judge says {genre}"


def on_clips(
    clips: Sequence[Path],
    systems: Mapping[str, System],
    judge: Judge,
    genre: str,
    show: Show | None = None,
    seconds: float = 30.0,
    *,
    targets: Sequence[Tensor] = (),
    heard: Heard | None = None,
) -> Trial:
    """The judge's probability of the target genre on real songs, and what is left of the song.

    Of each clip the middle ``seconds`` are taken. With real songs of the target (``targets``) and
    random clips of them among the systems there are also style and content, rescaled, and H.
    """
    real = [style_score(judge, target, STEREO_RATE, genre) for target in targets]
    measured: dict[str, Figures] = {}
    for path in clips:
        source = read_clip(path, seconds)
        outputs = {system: run(source) for system, run in systems.items()}
        figures: Figures = {
            system: {said(genre): style_score(judge, output, STEREO_RATE, genre)}
            | song_figures(output, source, STEREO_RATE)
            for system, output in outputs.items()
        }
        if real and RANDOM in figures:
            _rescale(figures, said(genre), sum(real) / len(real))
        name = f"{path.parent.name}/{path.stem}"
        measured[name] = figures
        if heard is not None:
            heard(name, {"source": source, **outputs})
        if show is not None:
            show(path.stem, len(measured) / len(clips))
    return Trial(measured)


def read_clip(path: Path, seconds: float | None = None) -> Tensor:
    """A song at 44.1 kHz stereo ``[2, T]``: its middle ``seconds``, or all of it."""
    audio, rate = files.read(path)
    audio = to_stereo(resample(audio, rate, STEREO_RATE))
    if seconds is None:
        return audio
    length = min(audio.shape[-1], round(seconds * STEREO_RATE))
    start = (audio.shape[-1] - length) // 2
    return audio[:, start : start + length]


def _rescale(figures: Figures, judged: str, real: float) -> None:
    """Adds style (0 doing nothing, 1 real songs), content (0 random clip, 1 the source) and H.

    A source that sounds as much like the target as real songs of it has no style to gain.
    """
    nothing, random = figures[NOTHING][judged], _content(figures[RANDOM])
    for found in figures.values():
        found["content"] = rescaled(_content(found), zero=random, one=1.0)
        if nothing < real:
            found["style"] = rescaled(found[judged], zero=nothing, one=real)
            found["H"] = harmonic(found["style"], found["content"])


def _content(figures: Mapping[str, float]) -> float:
    return 0.5 * (figures["centred chroma"] + figures["onset correlation"])
