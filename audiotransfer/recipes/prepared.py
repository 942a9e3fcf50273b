"""Validation samples, classifiers and card entries from the songs of a prepared collection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from audiotransfer.data.manifest import Manifest
from audiotransfer.evaluation import GenreClassifier
from audiotransfer.evaluation.checkpoint_metric import (
    CheckpointMetricSettings,
    some_of_each,
    validation_classifier,
)
from audiotransfer.evaluation.classifiers.genre_data import Clip
from audiotransfer.evaluation.validation_samples import ValidationSample, prepared_samples


def card_corpora(manifest: Manifest, genres: Iterable[str]) -> list[dict[str, Any]]:
    """The entries of a card for genres of a collection: name, licences, count of training songs."""
    entries = []
    for genre in genres:
        songs = [s for s in manifest.songs if s.genre == genre and s.split == "train"]
        licence = "; ".join(sorted({song.licence for song in songs}))
        name = f"{genre} ({manifest.kind})"
        entries.append({"name": name, "licence": licence, "songs": len(songs)})
    return entries


def song_samples(
    manifest: Manifest, split: str, genres: Collection[str], stems: Sequence[str], count: int
) -> list[ValidationSample]:
    """Samples of each stem out of ``count`` songs of some genres in a split."""
    songs = [s for s in manifest.songs if s.genre in genres and s.split == split]
    return [sample for stem in stems for sample in prepared_samples(manifest, songs, stem, count)]


def song_classifier(
    manifest: Manifest,
    genres: Collection[str],
    stems: Sequence[str],
    settings: CheckpointMetricSettings,
    folder: Path,
) -> Callable[[], GenreClassifier]:
    """A function that trains a genre classifier on stems of training songs, saved in ``folder``."""
    clips = [
        Clip(manifest.folder / song.files[stem], song.genre, song.artist or song.id)
        for song in manifest.songs
        for stem in stems
        if song.genre in genres and song.split == "train" and stem in song.files
    ]
    chosen = some_of_each(clips, settings.classifier_songs * len(stems))
    return partial(validation_classifier, chosen, folder, settings)
