"""A genre judge, from real clips and rendered songs, and what it is worth on clips unheard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import separation
from audiotransfer.audio.reading import find_audio, read_audio
from audiotransfer.audio.writing import write_audio
from audiotransfer.data.manifest import Manifest, load_manifest
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import NETWORK, AudioClassifierSettings
from audiotransfer.evaluation.classifiers.genre import GenreObjective, confusion, window_validation
from audiotransfer.evaluation.classifiers.genre_data import (
    Clip,
    GenreWindowBatches,
    held_out_windows,
    prepare,
    split_groups,
)
from audiotransfer.recipes.base import Show, watch
from audiotransfer.training import Trainer, load_networks

if TYPE_CHECKING:
    from audiotransfer.recipes.base import Training


@dataclass
class GenreClassifierRecipe:
    """Real ``clips`` in a folder for each genre, and ``rendered`` songs: genre -> folder.

    ``artists`` names who made a file, by its name without suffix, where that is not its first word.
    Folders are relative to ``data``. Of a rendered song the mix of its ``side`` is heard. The
    share ``held_out`` of each genre's artists and scores is not trained on: ``split_seed`` draws
    which. Every clip also comes as a copy that went through ``separator``.

    ``prepared``, the folder of a prepared collection, takes the place of clips and rendered songs:
    its genres are the judge's, and its test split stays unheard.
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


def train_genre_classifier(
    recipe: GenreClassifierRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Leaves the classifier's files in ``folder``, for `GenreClassifier.load`.

    The last weights are taken, not the best on what is held out: that would be no held-out figure.
    """
    if recipe.prepared:
        real = prepared_clips(load_manifest(recipe.prepared), folder / "mixes")
        songs: list[Clip] = []
    else:
        real = real_clips(Path(recipe.data) / recipe.clips, recipe.artists)
        songs = rendered_clips(recipe, folder / "mixes")
    genres = tuple(sorted({clip.genre for clip in real}))
    heard = AudioClassifierSettings(genres, width=recipe.width)
    features = prepare(
        [*real, *songs],
        folder / "features",
        heard,
        separator=separation.create(recipe.separator),
        max_seconds=recipe.max_seconds,
        copy_seconds=recipe.copy_seconds,
        progress=None if show is None else lambda done, total: show("listening", done / total),
    )
    # Apart from each other: artists are few and must not be crowded out by scores.
    trained, held_out = split_groups(real, recipe.held_out, recipe.split_seed)
    if songs:
        scores, held_out_scores = split_groups(songs, recipe.held_out, recipe.split_seed)
        trained, held_out_songs = trained | scores, held_out_scores
    else:
        held_out_songs = frozenset()
    objective = GenreObjective(heard, learning_rate=recipe.learning_rate, seed=config.seed)
    batches = GenreWindowBatches(features, trained, batch_size=recipe.batch, seed=config.seed)
    validation = window_validation(held_out_windows(features, held_out))
    trainer = Trainer(objective, batches, config.trainer, folder, validation, config=recipe)
    figures = trainer.run(should_stop=watch(trainer, show))
    objective.network.load_state_dict(load_networks(folder / "checkpoint")[NETWORK])
    judge = objective.classifier()
    unheard = [clip for clip in real if clip.group in held_out]
    on_real = confusion(judge, unheard, recipe.max_seconds)
    on_songs = [clip for clip in songs if clip.group in held_out_songs]
    judge.report = {
        "clips": len(real),
        "rendered songs": len(songs),
        "steps": trainer.step,
        "held-out real clips": on_real.report(),
        "held-out rendered songs": confusion(judge, on_songs).report() if on_songs else {},
        "held out": sorted(f"{clip.genre}/{clip.path.stem}" for clip in unheard),
    }
    if trainer.first:
        judge.save(folder)
    return {
        **figures,
        "accuracy": on_real.accuracy,
        "balanced_accuracy": on_real.balanced_accuracy,
    }


def real_clips(folder: Path, artists: Mapping[str, str] | None = None) -> list[Clip]:
    """Every file of ``folder/GENRE`` with its artist: the first word of its name, or as listed.

    Two artists of one first word count as one, which never splits an artist's clips.
    """
    known = artists or {}
    clips = [
        Clip(path, path.parent.name, known.get(path.stem, path.stem.split("_")[0]))
        for path in find_audio(folder)
    ]
    if not clips:
        raise AudioTransferError(f"{folder} holds no clips; it needs a folder for each genre")
    return clips


def prepared_clips(manifest: Manifest, mixes: Path) -> list[Clip]:
    """The songs of a prepared collection but its test split, written into ``mixes`` once."""
    manifest.require_sound("a judge")
    clips = []
    for song in manifest.songs:
        if song.split == "test" or not song.files:
            continue
        path = mixes / song.genre / f"{song.id.replace('/', '-')}.wav"
        stems = [manifest.folder / file for file in song.files.values()]
        clips.append(Clip(_mixed(stems, path), song.genre, song.artist or song.id))
    return clips


def rendered_clips(recipe: GenreClassifierRecipe, mixes: Path) -> list[Clip]:
    """The mixes of the rendered songs, written into ``mixes`` once; a score is a group."""
    clips = []
    for genre, place in recipe.rendered.items():
        cards = sorted((Path(recipe.data) / place).glob("*/song.json"))
        if not cards:
            raise AudioTransferError(
                f"{Path(recipe.data) / place} holds no rendered songs; "
                "`audiotransfer render` makes them"
            )
        for card in cards:
            stems = find_audio(card.parent / recipe.side)
            path = _mixed(stems, mixes / genre / f"{card.parent.name}.wav")
            clips.append(Clip(path, genre, str(json.loads(card.read_text())["score"])))
    return clips


def _mixed(stems: Sequence[Path], path: Path) -> Path:
    """The file of the stems' sum, written where it is not there yet."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        read = [read_audio(stem) for stem in stems]
        write_audio(path, torch.stack([audio for audio, _ in read]).sum(0), read[0][1])
    return path
