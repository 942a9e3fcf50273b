"""The recipe of the genre classifier and its training songs: genres by their own ensembles."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import torch
from torch import Tensor

from audiotransfer import recipes
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.writing import write_audio
from audiotransfer.data.rendering.arrangement import Arrangement
from audiotransfer.data.rendering.ensembles import (
    ENSEMBLES,
    Ensemble,
    draw_ensemble,
    genre_instruments,
)
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import GenreClassifier
from audiotransfer.recipes.genre_classifier import GenreClassifierRecipe, real_clips, rendered_clips
from audiotransfer.synthesis.synthesizer import Part, default_soundfont

RATE = 22050
GENRES = ("classical", "electronic", "hiphop", "jazz", "pop_folk", "rock_metal")


def sound(seed: int, seconds: float = 1.2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(round(seconds * RATE)) / RATE
    tone = torch.sin(2 * math.pi * (200 + 97 * seed) * time)
    return 0.1 * tone + 0.01 * torch.randn(2, len(time), generator=generator)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two artists a genre, and two rendered songs a genre of two stems each."""
    folder = tmp_path_factory.mktemp("data")
    for number, genre in enumerate(GENRES):
        for artist in ("ann", "bob"):
            path = folder / "clips" / genre / f"{artist}_song.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(path, sound(number + 10 * (artist == "bob")), RATE)
        for song in ("one", "two"):
            place = folder / "genre-songs" / genre / song
            for side, stem in (("source", "bass"), ("source", "other"), ("target", "other")):
                path = place / side / f"{stem}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_audio(path, sound(number + len(stem)), RATE)
            (place / "song.json").write_text(json.dumps({"score": f"{genre}/{song}"}))
    return folder


@pytest.mark.usefixtures("every_branch")
def test_the_config_becomes_a_classifier_with_its_accuracy(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    overrides = [
        f"genre_classifier.data={data}",
        "genre_classifier.clips=clips",
        "genre_classifier.separator=none",
        "genre_classifier.width=2",
        "genre_classifier.batch=4",
        "trainer.steps=2",
        "trainer.validate_every=2",
    ]
    figures = recipes.train("audio-genre-classifier", overrides, run)
    classifier = GenreClassifier.load(run)
    assert classifier.classes == GENRES
    assert set(classifier.probabilities(sound(1), RATE)) == set(GENRES)
    report = classifier.report
    assert report["steps"] == 2
    unheard = report["held out"]
    # One artist of two is held out, the same one in all genres: nobody is on both sides.
    assert len(unheard) == len(GENRES)
    assert len({name.split("/")[1] for name in unheard}) == 1
    for kind in ("held-out real clips", "held-out rendered songs"):
        assert np.sum(report[kind]["confusion"]) == len(GENRES)
    assert figures["accuracy"] == pytest.approx(report["held-out real clips"]["accuracy"], abs=1e-4)


def test_artists_are_first_words(data: Path) -> None:
    clips = real_clips(data / "clips")
    assert {clip.group for clip in clips} == {"ann", "bob"}
    assert {clip.genre for clip in clips} == set(GENRES)
    known = real_clips(data / "clips", {"bob_song": "ann"})
    assert {clip.group for clip in known} == {"ann"}
    (data / "nothing").mkdir(exist_ok=True)
    with pytest.raises(AudioTransferError, match="no clips"):
        real_clips(data / "nothing")


def test_rendered_songs_are_the_mix_of_one_side(data: Path, tmp_path: Path) -> None:
    recipe = GenreClassifierRecipe(str(data), rendered={"jazz": "genre-songs/jazz"})
    clips = rendered_clips(recipe, tmp_path)
    assert [clip.group for clip in clips] == ["jazz/one", "jazz/two"]
    stems = [read_audio(path)[0] for path in (data / "genre-songs/jazz/one/source").glob("*.wav")]
    mixed, rate = read_audio(clips[0].path)
    assert rate == RATE
    assert torch.allclose(mixed, sum(stems), atol=1e-4)
    shutil.rmtree(tmp_path / "jazz")
    with pytest.raises(AudioTransferError, match="render"):
        rendered_clips(GenreClassifierRecipe(str(data), rendered={"jazz": "clips"}), tmp_path)


def part(notes: list[tuple[float, float, float, float]], program: int, stem: str = "other") -> Part:
    return Part(stem, program, stem == "drums", np.array(notes, dtype=np.float64))


ARRANGEMENT = Arrangement(
    (
        part([(t, 0.5, pitch, 80) for t in range(4) for pitch in (60, 64, 67)], 4),
        part([(0.5 * t, 0.4, 70 + t, 80) for t in range(8)], 80),
        part([(t, 0.9, 40, 80) for t in range(4)], 33, "bass"),
        part([(t, 0.1, 38, 80) for t in range(4)], 0, "drums"),
    )
)


@pytest.mark.parametrize("genre", ENSEMBLES)
def test_every_genre_plays_with_its_own_instruments(genre: str) -> None:
    random = np.random.default_rng(3)
    for ensemble in ENSEMBLES[genre]:
        chords, lead, bass, drums = genre_instruments(ARRANGEMENT, ensemble, random).parts
        for played, pool in (
            (chords, ensemble.chords),
            (lead, ensemble.leads),
            (bass, ensemble.basses),
            (drums, ensemble.kits),
        ):
            if pool:
                assert played.program in pool
        assert len(lead.notes) == 8
        assert np.abs(lead.notes[:, 0] - ARRANGEMENT.parts[1].notes[:, 0]).max() < 0.05
    assert draw_ensemble(genre, random) in ENSEMBLES[genre]


def test_without_programs_the_scores_own_stay() -> None:
    played = genre_instruments(ARRANGEMENT, Ensemble(), np.random.default_rng(0))
    assert [p.program for p in played.parts] == [4, 80, 33, 0]
    with pytest.raises(AudioTransferError, match="no ensemble"):
        draw_ensemble("polka", np.random.default_rng(0))


def test_songs_of_several_genres_lie_in_a_folder_each(tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    scores.mkdir()
    midi = pretty_midi.PrettyMIDI(initial_tempo=120.0)
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(80, 60 + t % 12, t / 4, t / 4 + 0.2) for t in range(32)]
    midi.instruments.append(piano)
    midi.write(str(scores / "tune.mid"))
    midi.write(str(scores / "air.mid"))
    config = tmp_path / "songs.yaml"
    config.write_text(
        json.dumps(
            {
                "genres": {"classical": {str(scores): 1.0}, "jazz": {str(scores): 1.0}},
                "soundfonts": [str(default_soundfont())],
                "songs": 1,
                "seconds": 1.5,
                "workers": 1,
            }
        )
    )
    shares: list[float] = []
    out = tmp_path / "out"
    songs = recipes.render(str(config), [], out, lambda _, share: shares.append(share))
    assert [song["genre"] for song in songs] == ["classical", "jazz"]
    assert shares == [0.5, 1.0]
    for genre in ("classical", "jazz"):
        (song,) = out.glob(f"{genre}/*/song.json")
        assert sorted(p.name for p in song.parent.iterdir()) == ["notes.npz", "song.json", "source"]
        audio, rate = read_audio(song.parent / "source" / "other.wav")
        assert audio.shape == (2, round(1.5 * rate))
        assert float(audio.abs().max()) > 0.01
    # A pianist plays alone; a jazz trio gets its bass.
    assert json.loads(song.read_text())["programs"]["other0"] in (0, 11, 26, *range(56, 72))
    assert [p.stem for p in (out / "classical").glob("*/source/*")] == ["other"]
