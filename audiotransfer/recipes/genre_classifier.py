"""The recipe of a genre classifier, trained on recordings and rendered songs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

import separation
from audiotransfer.audio.reading import find_audio, read_audio
from audiotransfer.audio.writing import write_audio
from audiotransfer.data.manifest import Manifest, load_manifest
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import AudioClassifierSettings
from audiotransfer.evaluation.classifiers.genre import GenreObjective, confusion, window_validation
from audiotransfer.evaluation.classifiers.genre_data import (
    Clip,
    GenreWindowBatches,
    held_out_windows,
    prepare,
    split_groups,
)
from audiotransfer.recipes.base import Run, restore
from audiotransfer.renamed import present_folder


@dataclass
class GenreClassifierRecipe:
    """Recorded ``clips`` in a folder for each genre, and ``rendered`` songs: genre -> folder.

    ``artists`` names the artist of a file, by its name without suffix, where that is not its first
    word. Folders are relative to ``data``. Of a rendered song the mix of its ``side`` is used. The
    share ``held_out`` of each genre's artists and scores is not trained on: ``split_seed`` draws
    which. Every clip also comes as a copy that went through ``separator``.

    ``prepared``, the folder of a prepared collection, takes the place of clips and rendered songs:
    its genres are the classes, and its test split is left out.
    """

    data: str = "data"
    clips: str = "audio/genres"
    prepared: str = ""
    artists: dict[str, str] = field(default_factory=dict)
    rendered: dict[str, str] = field(default_factory=dict)
    side: str = "source"
    separator: str = "embedded"
    held_out: float = 0.25
    split_seed: int = 0
    batch: int = 32
    width: int = 24
    learning_rate: float = 1e-3
    max_seconds: float = 60.0
    copy_seconds: float = 20.0

    def train(self, run: Run) -> dict[str, float]:
        """Trains a classifier, and saves it in the run's folder for `GenreClassifier.load`.

        It has the last weights, not the best on what is held out: its accuracy there would be no
        held-out figure then.
        """
        real, songs = self._clips(run.folder / "mixes")
        settings = AudioClassifierSettings(
            tuple(sorted({clip.genre for clip in real})), width=self.width
        )
        show = run.show
        features = prepare(
            [*real, *songs],
            run.folder / "features",
            settings,
            separator=separation.create(self.separator),
            max_seconds=self.max_seconds,
            copy_seconds=self.copy_seconds,
            progress=None
            if show is None
            else lambda done, total: show("computing features", done / total),
        )
        # Each by itself: artists are few and must not be outnumbered by scores.
        trained, held_out = split_groups(real, self.held_out, self.split_seed)
        held_out_songs: frozenset[str] = frozenset()
        if songs:
            scores, held_out_songs = split_groups(songs, self.held_out, self.split_seed)
            trained = trained | scores
        objective = GenreObjective(settings, learning_rate=self.learning_rate, seed=run.seed)
        fit = run.fit(
            objective,
            GenreWindowBatches(features, trained, batch_size=self.batch, seed=run.seed),
            self,
            validation=window_validation(held_out_windows(features, held_out)),
        )
        if not fit.exports:
            return fit.figures
        restore(fit.last, objective.networks)
        classifier = objective.classifier()
        tested = [clip for clip in real if clip.group in held_out]
        on_real = confusion(classifier, tested, self.max_seconds)
        tested_songs = [clip for clip in songs if clip.group in held_out_songs]
        on_songs = confusion(classifier, tested_songs).report() if tested_songs else {}
        classifier.report = {
            "clips": len(real),
            "rendered songs": len(songs),
            "steps": fit.steps,
            "held-out real clips": on_real.report(),
            "held-out rendered songs": on_songs,
            "held out": sorted(f"{clip.genre}/{clip.path.stem}" for clip in tested),
        }
        classifier.save(run.folder)
        return {
            **fit.figures,
            "accuracy": on_real.accuracy,
            "balanced_accuracy": on_real.balanced_accuracy,
        }

    def _clips(self, mixes: Path) -> tuple[list[Clip], list[Clip]]:
        """Recordings, and the mixes of rendered songs."""
        if self.prepared:
            return prepared_clips(load_manifest(self.prepared), mixes), []
        real = real_clips(Path(self.data) / self.clips, self.artists)
        return real, rendered_clips(self, mixes)


def real_clips(folder: Path, artists: Mapping[str, str] | None = None) -> list[Clip]:
    """Every file of ``folder/GENRE`` with its artist: the first word of its name, or as listed.

    Two artists with the same first word count as one, so that an artist's clips are never split.
    """
    listed = artists or {}
    clips = [
        Clip(path, path.parent.name, listed.get(path.stem, path.stem.split("_")[0]))
        for path in find_audio(folder)
    ]
    if not clips:
        raise AudioTransferError(f"{folder} holds no clips; it needs a folder for each genre")
    return clips


def prepared_clips(manifest: Manifest, mixes: Path) -> list[Clip]:
    """The mixes of a prepared collection's songs but its test split, written into ``mixes``."""
    manifest.require_sound("a genre classifier")
    clips = []
    for song in manifest.songs:
        if song.split == "test" or not song.files:
            continue
        path = mixes / song.genre / f"{song.id.replace('/', '-')}.wav"
        stems = [manifest.folder / file for file in song.files.values()]
        clips.append(Clip(_mixed(stems, path), song.genre, song.artist or song.id))
    return clips


def rendered_clips(recipe: GenreClassifierRecipe, mixes: Path) -> list[Clip]:
    """The mixes of the rendered songs, written into ``mixes``; each score is a group."""
    clips = []
    for genre, place in recipe.rendered.items():
        folder = present_folder(Path(recipe.data) / place)
        cards = sorted(folder.glob("*/song.json"))
        if not cards:
            raise AudioTransferError(
                f"{folder} holds no rendered songs; `audiotransfer render` makes them"
            )
        for card in cards:
            stems = find_audio(card.parent / recipe.side)
            path = _mixed(stems, mixes / genre / f"{card.parent.name}.wav")
            clips.append(Clip(path, genre, str(json.loads(card.read_text())["score"])))
    return clips


def _mixed(stems: Sequence[Path], path: Path) -> Path:
    """Writes the sum of stems as a file, where it is not there yet, and returns its path."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        read = [read_audio(stem) for stem in stems]
        write_audio(path, torch.stack([audio for audio, _ in read]).sum(0), read[0][1])
    return path
