"""The systems of a benchmark: a style, another style, and baselines."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.benchmark.songs import BenchmarkSong, rendered_songs
from audiotransfer.evaluation import MatchedEQ, inverter_round_trip, random_target_clip
from audiotransfer.evaluation.baselines.random_chords import with_random_chords
from audiotransfer.leadsheet import LeadSheet
from audiotransfer.leadsheet.files import write_lead_sheet
from audiotransfer.pipeline import Song, StemChoice, transfer
from audiotransfer.pipeline.cover_options import AUTO, COVER, TIMBRE, check_mode
from audiotransfer.styles import Style, find_for_recordings, installed
from audiotransfer.transcription import Transcriber
from separation import Separator
from vocoder import GriffinLimInverter, SpectrogramSettings

System = Callable[[Tensor], Tensor]

NOTHING, EQUALISER, ROUND_TRIP, RANDOM, RANDOM_CHORDS, WRONG, STYLE = (
    "doing nothing", "matched EQ", "Griffin-Lim round trip", "random target clip", "random chords",
    "wrong style", "style",
)  # fmt: skip
EQUALISER_FILE = "matched-eq.json"
_EQUALISER_SECONDS = 20
_EQUALISER_SONGS = 40


def fit_equaliser(sources: Sequence[BenchmarkSong], targets: Sequence[BenchmarkSong]) -> MatchedEQ:
    """An equaliser from the mean spectrum of some songs to that of others.

    It is fitted to the middle 20 s of 40 songs of each set.
    """
    return MatchedEQ.fit(
        *(
            (song.source(_EQUALISER_SECONDS) for song in songs[:_EQUALISER_SONGS])
            for songs in (sources, targets)
        )
    )


def equaliser_for(style: str | Path, genre: str, baseline: Path | None = None) -> MatchedEQ | None:
    """The matched equaliser of a style.

    It is fitted to the rendered training songs in the folder ``baseline``, or read from the file
    ``baseline``; without that it is the one in the style's folder, None where there is none.
    """
    if baseline is not None and not baseline.is_file():
        songs = rendered_songs(baseline, genre, "train")
        return fit_equaliser(songs, [BenchmarkSong(song.name, song.truth) for song in songs])
    path = baseline or find_for_recordings(style).folder / EQUALISER_FILE
    return MatchedEQ.load(path) if path.is_file() else None


def another_style(style: str | Path) -> str | None:
    """Name of the first installed style that changes timbre and is not this one; None without."""
    own = find_for_recordings(style).card.name
    others = (one.card.name for one in installed() if one.card.route == "spectral")
    return next((name for name in others if name != own), None)


def systems(
    style: str | Path | Style,
    equaliser: MatchedEQ | None = None,
    *,
    wrong: str | Path | Style | None = None,
    clips: Sequence[Tensor] = (),
    separator: str | Separator = "auto",
    stems: Mapping[str, StemChoice] | None = None,
    mode: str = AUTO,
    device: str = "auto",
    seed: int = 0,
) -> dict[str, System]:
    """The baselines and the whole pipeline with a style, by name: each maps [2, T] to [2, T].

    ``clips`` are songs of the target [2, T] from which random clips are taken; ``wrong`` is a style
    of another genre. Without them, or without an ``equaliser``, their rows are left out. A style
    whose ``mode`` may be a cover also plays the songs with random chords.
    """
    check_mode(mode, midi=False)
    griffin_lim = GriffinLimInverter(SpectrogramSettings(), iterations=32)
    generator = torch.Generator().manual_seed(seed)

    def pipeline(chosen: str | Path | Style, mode: str = AUTO, **more: Any) -> System:
        def run(audio: Tensor) -> Tensor:
            return transfer(
                Song(audio, STEREO_RATE), chosen, separator=separator, stems=dict(stems or {}),
                mode=mode, device=device, seed=seed, cache=False, **more,
            ).audio  # fmt: skip

        return run

    def random_chords(audio: Tensor) -> Tensor:
        sheet = transcribed(audio)
        if sheet is None:
            return audio
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "random.json"
            write_lead_sheet(with_random_chords(sheet, generator), path)
            return pipeline(style, COVER, leadsheet=path)(audio)

    found: dict[str, System] = {NOTHING: lambda audio: audio}
    if equaliser is not None:
        found[EQUALISER] = equaliser
    found[ROUND_TRIP] = lambda audio: inverter_round_trip(
        audio, griffin_lim, torch.Generator().manual_seed(seed)
    )
    if clips:
        found[RANDOM] = lambda audio: random_target_clip(clips, audio.shape[-1], generator)
    if wrong is not None:
        found[WRONG] = pipeline(wrong)
    if mode != TIMBRE and _band(style):
        found[RANDOM_CHORDS] = random_chords
    found[STYLE] = pipeline(style, mode)
    return found


def _band(style: str | Path | Style) -> object:
    """What plays the style's covers of recordings; nothing where it has none."""
    return style.band if isinstance(style, Style) else find_for_recordings(style).card.band


def transcribed(audio: Tensor) -> LeadSheet | None:
    """The lead sheet of a song [2, T]; None where nothing can be arranged."""
    transcriber = Transcriber()
    transcriber.push(audio)
    sheet = transcriber.finish().sheet
    return sheet if sheet is not None and sheet.chords else None
