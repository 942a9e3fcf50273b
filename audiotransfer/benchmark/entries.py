"""Who meets whom in a trial: its songs, the songs aimed at, the equaliser, the jury."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiotransfer.benchmark.measuring import Classifiers
from audiotransfer.benchmark.songs import (
    BenchmarkSong,
    is_prepared,
    is_rendered,
    prepared_songs,
    recorded_songs,
    rendered_songs,
)
from audiotransfer.benchmark.systems import another_style, equaliser_for, fit_equaliser
from audiotransfer.data.manifest import Manifest, load_manifest
from audiotransfer.data.splits import spread
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import (
    GenreClassifier,
    InstrumentClassifier,
    MatchedEQ,
    shipped_genre_classifier,
    shipped_instrument_classifier,
)
from audiotransfer.pipeline.naming import find_songs
from audiotransfer.styles import Card, check_playable, find_style

RECORDED_SECONDS = 30.0
_TARGET_SONGS = 40


@dataclass(frozen=True)
class Entries:
    """Songs on trial and songs of the target, of which the middle ``seconds`` are heard.

    ``wrong`` is the style of another genre, None where there is none.
    """

    songs: list[BenchmarkSong]
    targets: list[BenchmarkSong]
    equaliser: MatchedEQ | None
    jury: Classifiers
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
) -> Entries:
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
        targets = [BenchmarkSong(song.name, song.truth) for song in aims]
    else:
        found = (
            prepared_songs(manifest)
            if manifest
            else recorded_songs([song.path for song in find_songs(on, [wanted]).songs])
        )
        targets = [song for song in found if song.genre in own]
        songs = [song for song in found if song.genre not in own] or found
    if equaliser is None and manifest is not None:
        equaliser = _learned(manifest, own)
    ears = tagger or shipped_instrument_classifier()
    return Entries(
        spread(songs, count),
        spread(targets, _TARGET_SONGS),
        equaliser,
        Classifiers(chosen, name, InstrumentClassifier.load(ears) if ears else None),
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


Show = Callable[[str, float], None]

_FOLDER = "judge"


def judge_for(
    genre: str,
    folder: Path | None = None,
    prepared: Manifest | None = None,
    show: Show | None = None,
) -> tuple[GenreClassifier, str]:
    """A judge that knows a genre, and the name that it has there (``rock_metal`` for ``rock``).

    The one in ``folder``; else the one that ships; else, where that one does not know the genre,
    one trained on what is not the test split of a ``prepared`` collection and kept in its folder.
    Raises AudioTransferError where none of them knows it, with the command that trains one.
    """
    judge = GenreClassifier.load(folder or shipped_genre_classifier())
    name = known_as(genre, judge.classes)
    if name is None and folder is None and prepared is not None and genre in prepared.genres:
        judge, name = _trained(prepared, show), genre
    if name is None:
        raise AudioTransferError(
            f"the judge does not know {genre!r}, --genre takes one of {', '.join(judge.classes)}; "
            "one for other genres: audiotransfer prepare GENRE_FOLDERS -o ready, audiotransfer "
            "train audio-genre-classifier genre_classifier.prepared=ready -o runs/judge, then "
            "--classifier runs/judge"
        )
    return judge, name


def known_as(genre: str, classes: Sequence[str]) -> str | None:
    """The class that a genre is, or is a part of the name of; None where there is no such one."""
    if genre in classes:
        return genre
    parts = [name for name in classes if genre in name.split("_")]
    return parts[0] if len(parts) == 1 else None


def _trained(prepared: Manifest, show: Show | None) -> GenreClassifier:
    from audiotransfer import recipes  # all of training, which other trials do without

    folder = prepared.folder / _FOLDER
    if not (folder / "judge.json").is_file():
        settings = [f"genre_classifier.prepared={prepared.folder}"]
        recipes.train("audio-genre-classifier", settings, folder, show)
    return GenreClassifier.load(folder)
