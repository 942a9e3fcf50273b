"""Collects the inputs of a style's benchmark: songs, target songs, equaliser, classifiers."""

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
from audiotransfer.styles import Card, check_playable, find_for_recordings

RECORDED_SECONDS = 30.0
_TARGET_SONGS = 40
_FOLDER, _OLD_FOLDER = "genre-classifier", "judge"  # in a prepared folder
Show = Callable[[str, float], None]


class UnknownGenre(AudioTransferError):
    """No genre classifier knows a genre."""


@dataclass(frozen=True)
class Entries:
    """The inputs of a benchmark.

    Attributes:
        songs: what systems are run on.
        targets: songs of the target genre.
        equaliser: from the source's mean spectrum to the target's, where it could be fitted.
        wanted: the target genre, also where no classifier knows it.
        seconds: how much of each song, around its middle; None is all.
        wrong: a style of another genre, None where there is none.
    """

    songs: list[BenchmarkSong]
    targets: list[BenchmarkSong]
    equaliser: MatchedEQ | None
    classifiers: Classifiers
    seconds: float | None
    wrong: str | Path | None
    wanted: str


def gather(
    style: str | Path,
    on: Sequence[Path],
    *,
    split: str = "test",
    count: int | None = None,
    seconds: float | None = None,
    genre: str | None = None,
    baseline: Path | None = None,
    genre_classifier: Path | None = None,
    instrument_classifier: Path | None = None,
    wrong: str | Path | None = None,
    show: Callable[[str, float], None] | None = None,
) -> Entries:
    """Finds the inputs of a style's benchmark in a rendered or prepared folder, or in recordings.

    Songs of the target are, for rendered songs, the true renderings (those of the training songs
    where ``baseline`` has them), else the songs of the genre, which systems are then not run on.
    Prepared folders give their test split; the equaliser, where none came with the style, and a
    genre classifier, where none knows the genre, are fitted to their training split. Where no
    ``genre`` was asked for and no classifier knows the style's, the classifiers have none.
    ``count`` songs are taken, evenly spread.

    Raises:
        AudioTransferError: something is missing.
    """
    first, *others = on
    rendered, prepared = is_rendered(first), is_prepared(first)
    if (rendered or prepared) and others:
        raise AudioTransferError(
            f"--on {first} and others: rendered and prepared songs are evaluated alone, name one "
            "folder"
        )
    card = find_for_recordings(style).card
    check_playable(card)
    wanted = genre or _target_genre(card)
    manifest = load_manifest(first) if prepared else None
    try:
        classifier, name = genre_classifier_for(wanted, genre_classifier, manifest, show)
    except UnknownGenre:
        if genre is not None:
            raise
        # Everything else can be measured, and set distances need its embedding only.
        classifier, name = GenreClassifier.load(genre_classifier or shipped_genre_classifier()), ""
    own = {wanted, name}
    if show is not None and baseline is not None:
        show(f"fitting the equaliser to {baseline.name}", 0.0)
    equaliser = equaliser_for(style, wanted, baseline)
    if rendered:
        songs = rendered_songs(first, wanted, split)
        training = baseline is not None and baseline.is_dir()
        renderings = rendered_songs(baseline, wanted, "train") if baseline and training else songs
        targets = [BenchmarkSong(song.name, song.truth) for song in renderings]
    else:
        found = (
            prepared_songs(manifest)
            if manifest
            else recorded_songs([song.path for song in find_songs(on, [wanted]).songs])
        )
        targets = [song for song in found if song.genre in own]
        songs = [song for song in found if song.genre not in own] or found
    if equaliser is None and manifest is not None:
        equaliser = _fitted(manifest, own)
    instruments = instrument_classifier or shipped_instrument_classifier()
    return Entries(
        spread(songs, count),
        spread(targets, _TARGET_SONGS),
        equaliser,
        Classifiers(
            classifier, name, InstrumentClassifier.load(instruments) if instruments else None
        ),
        seconds or (None if rendered else RECORDED_SECONDS),
        wrong or another_style(style),
        wanted,
    )


def _target_genre(card: Card) -> str:
    """The genre that a style was trained toward by its config, else its name."""
    recipe = card.config.get("unpaired") or {}
    return Path(recipe.get("target") or card.name).name


def _fitted(manifest: Manifest, own: set[str]) -> MatchedEQ | None:
    """An equaliser from the training songs of other genres to those of the target, if any."""
    songs = prepared_songs(manifest, ("train",))
    targets = [song for song in songs if song.genre in own]
    sources = [song for song in songs if song.genre not in own]
    return fit_equaliser(sources, targets) if targets and sources else None


def genre_classifier_for(
    genre: str,
    folder: Path | None = None,
    prepared: Manifest | None = None,
    show: Show | None = None,
) -> tuple[GenreClassifier, str]:
    """A genre classifier that knows a genre, and its name there (``rock_metal`` for ``rock``).

    The one in ``folder``; else the one that ships; else, where that one does not know the genre,
    one trained on all but the test split of a ``prepared`` collection, which is kept in its folder.
    Raises UnknownGenre where none of them knows it, with the command that trains one.
    """
    classifier = GenreClassifier.load(folder or shipped_genre_classifier())
    name = known_as(genre, classifier.classes)
    if name is None and folder is None and prepared is not None and genre in prepared.genres:
        classifier, name = _trained(prepared, show), genre
    if name is None:
        raise UnknownGenre(
            f"the genre classifier does not know {genre!r}, --genre takes one of "
            f"{', '.join(classifier.classes)}; one for other genres: audiotransfer prepare "
            "GENRE_FOLDERS -o ready, audiotransfer train audio-genre-classifier "
            "genre_classifier.prepared=ready -o runs/genres, then --classifier runs/genres"
        )
    return classifier, name


def known_as(genre: str, classes: Sequence[str]) -> str | None:
    """The class named after a genre, or with the genre as one of its words; None without one."""
    if genre in classes:
        return genre
    parts = [name for name in classes if genre in name.split("_")]
    return parts[0] if len(parts) == 1 else None


def _trained(prepared: Manifest, show: Show | None) -> GenreClassifier:
    from audiotransfer import recipes  # slow to import, and needed here only

    old = prepared.folder / _OLD_FOLDER
    folder = old if GenreClassifier.is_saved(old) else prepared.folder / _FOLDER
    if not GenreClassifier.is_saved(folder):
        settings = [f"genre_classifier.prepared={prepared.folder}"]
        recipes.train("audio-genre-classifier", settings, folder, show)
    return GenreClassifier.load(folder)
