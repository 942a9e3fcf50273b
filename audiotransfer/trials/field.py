"""Who meets whom in a trial: its songs, the songs aimed at, the equaliser, the jury."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiotransfer import files
from audiotransfer.corpora.manifest import Manifest, load_manifest
from audiotransfer.corpora.splits import spread
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import MatchedEQ, Tagger, shipped_tagger
from audiotransfer.styles import Card, check_playable, find_style
from audiotransfer.trials.judging import judge_for
from audiotransfer.trials.measuring import Jury
from audiotransfer.trials.songs import (
    TrialSong,
    is_prepared,
    is_rendered,
    prepared_songs,
    recorded_songs,
    rendered_songs,
)
from audiotransfer.trials.systems import another_style, equaliser_for, fit_equaliser

RECORDED_SECONDS = 30.0
_TARGET_SONGS = 40


@dataclass(frozen=True)
class Field:
    """Songs on trial and songs of the target, of which the middle ``seconds`` are heard.

    ``wrong`` is the style of another genre, None where there is none.
    """

    songs: list[TrialSong]
    targets: list[TrialSong]
    equaliser: MatchedEQ | None
    jury: Jury
    seconds: float | None
    wrong: str | Path | None


def gather(
    style: str | Path,
    on: Sequence[Path],
    *,
    split: str = "test",
    count: int | None = None,
    seconds: float | None = None,
    genre: str | None = None,
    baseline: Path | None = None,
    judge: Path | None = None,
    tagger: Path | None = None,
    wrong: str | Path | None = None,
    show: Callable[[str, float], None] | None = None,
) -> Field:
    """Finds all that a trial of a style needs, in a rendered or prepared folder or in recordings.

    What is aimed at: of rendered songs the true renderings (those of the training songs where
    ``baseline`` has them), of others the songs of the genre, which are then not on trial
    themselves. Prepared folders give their test split, and their training split to the equaliser
    where none came with the style, and to a judge where none knows the genre. ``count`` songs are
    taken, evenly spread.
    Raises AudioTransferError where something is missing.
    """
    (first, *others) = on
    rendered, prepared = is_rendered(first), is_prepared(first)
    if (rendered or prepared) and others:
        raise AudioTransferError(
            f"--on {first} and others: rendered and prepared songs are judged alone, name one "
            "folder"
        )
    card = find_style(style).card
    check_playable(card)
    wanted = genre or _aim(card)
    manifest = load_manifest(first) if prepared else None
    chosen, name = judge_for(wanted, judge, manifest, show)
    own = {wanted, name}
    if show is not None and baseline is not None:
        show(f"fitting the equaliser to {baseline.name}", 0.0)
    equaliser = equaliser_for(style, wanted, baseline)
    if rendered:
        songs = rendered_songs(first, wanted, split)
        learned = baseline is not None and baseline.is_dir()
        aims = rendered_songs(baseline, wanted, "train") if baseline and learned else songs
        targets = [TrialSong(song.name, song.truth) for song in aims]
    else:
        found = (
            prepared_songs(manifest)
            if manifest
            else recorded_songs([song.path for song in files.find_songs(on, [wanted]).songs])
        )
        targets = [song for song in found if song.genre in own]
        songs = [song for song in found if song.genre not in own] or found
    if equaliser is None and manifest is not None:
        equaliser = _learned(manifest, own)
    ears = tagger or shipped_tagger()
    return Field(
        spread(songs, count),
        spread(targets, _TARGET_SONGS),
        equaliser,
        Jury(chosen, name, Tagger.load(ears) if ears else None),
        seconds or (None if rendered else RECORDED_SECONDS),
        wrong or another_style(style),
    )


def _aim(card: Card) -> str:
    """The genre that a style was trained toward, where its config says one, else its name."""
    recipe = card.config.get("unpaired") or {}
    return Path(recipe.get("target") or card.name).name


def _learned(manifest: Manifest, own: set[str]) -> MatchedEQ | None:
    """From the training songs of other genres to those of the target's, where there are both."""
    songs = prepared_songs(manifest, ("train",))
    targets = [song for song in songs if song.genre in own]
    sources = [song for song in songs if song.genre not in own]
    return fit_equaliser(sources, targets) if targets and sources else None
