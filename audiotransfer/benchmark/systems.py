"""What competes in a trial: nothing, an equaliser, a bare round trip, other clips, other styles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.benchmark.songs import BenchmarkSong, rendered_songs
from audiotransfer.evaluation import MatchedEQ, inverter_round_trip, random_target_clip
from audiotransfer.pipeline import Song, StemChoice, transfer
from audiotransfer.styles import Style, find_style, installed
from separation import Separator
from vocoder import GriffinLimInverter, SpectrogramSettings

System = Callable[[Tensor], Tensor]

NOTHING, EQUALISER, ROUND_TRIP, RANDOM, WRONG, STYLE = (
    "doing nothing", "matched EQ", "Griffin-Lim round trip", "random target clip", "wrong style",
    "style",
)  # fmt: skip
EQUALISER_FILE = "matched-eq.json"
_EQUALISER_SECONDS = 20
_EQUALISER_SONGS = 40


def fit_equaliser(sources: Sequence[BenchmarkSong], targets: Sequence[BenchmarkSong]) -> MatchedEQ:
    """The equaliser that turns the mean spectrum of some songs into that of others.

    Of each set 40 songs and of each song the middle 20 s are heard.
    """
    return MatchedEQ.fit(
        *(
            (song.source(_EQUALISER_SECONDS) for song in songs[:_EQUALISER_SONGS])
            for songs in (sources, targets)
        )
    )


def equaliser_for(style: str | Path, genre: str, baseline: Path | None = None) -> MatchedEQ | None:
    """Fitted to the rendered training songs in ``baseline``, or read from it; else what came with
    the style.

    None where there is neither.
    """
    if baseline is not None and not baseline.is_file():
        songs = rendered_songs(baseline, genre, "train")
        return fit_equaliser(songs, [BenchmarkSong(song.name, song.truth) for song in songs])
    path = baseline or find_style(style).folder / EQUALISER_FILE
    return MatchedEQ.load(path) if path.is_file() else None


def another_style(style: str | Path) -> str | None:
    """The wrong style of a trial: the first of another name that is installed, None without one."""
    own = find_style(style).card
    others = [one.card.name for one in installed() if one.card.route == own.route]
    return next((name for name in others if name != own.name), None)


def systems(
    style: str | Path | Style,
    equaliser: MatchedEQ | None = None,
    *,
    wrong: str | Path | Style | None = None,
    clips: Sequence[Tensor] = (),
    separator: str | Separator = "auto",
    stems: Mapping[str, StemChoice] | None = None,
    device: str = "auto",
    seed: int = 0,
) -> dict[str, System]:
    """Doing nothing, the baselines, and the whole command: each takes and gives ``[2, T]``.

    ``clips`` are songs of the target ``[2, T]`` out of which random clips are taken; ``wrong`` is
    the style of another genre. Without them, or an ``equaliser``, these rows are left out.
    """
    griffin_lim = GriffinLimInverter(SpectrogramSettings(), iterations=32)
    generator = torch.Generator().manual_seed(seed)

    def command(chosen: str | Path | Style) -> System:
        def run(audio: Tensor) -> Tensor:
            return transfer(
                Song(audio, STEREO_RATE), chosen, separator=separator, stems=dict(stems or {}),
                device=device, seed=seed,
            ).audio  # fmt: skip

        return run

    found: dict[str, System] = {NOTHING: lambda audio: audio}
    if equaliser is not None:
        found[EQUALISER] = equaliser
    found[ROUND_TRIP] = lambda audio: inverter_round_trip(
        audio, griffin_lim, torch.Generator().manual_seed(seed)
    )
    if clips:
        found[RANDOM] = lambda audio: random_target_clip(clips, audio.shape[-1], generator)
    if wrong is not None:
        found[WRONG] = command(wrong)
    found[STYLE] = command(style)
    return found
