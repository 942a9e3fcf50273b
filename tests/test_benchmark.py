"""Benchmark of styles, in Python and from the command line."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from audiotransfer import benchmark
from audiotransfer.audio.writing import write_audio
from audiotransfer.benchmark import (
    EQUALISER,
    NOTHING,
    RANDOM,
    ROUND_TRIP,
    STYLE,
    TARGETS,
    TRUTH,
    WRONG,
    Benchmark,
    Classifiers,
    measuring,
    probability_figure,
)
from audiotransfer.cli import main
from audiotransfer.data.manifest import Manifest, PreparedSong
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import (
    GenreClassifier,
    InstrumentClassifier,
    MatchedEQ,
    distance,
    shipped_genre_classifier,
)
from audiotransfer.evaluation.classifiers.audio_classifier import (
    AudioClassifierNetwork,
    AudioClassifierSettings,
)
from audiotransfer.evaluation.classifiers.instruments import FAMILIES

RATE = 44100
SECONDS = 1.5


def sound(seed: int, bright: float = 1.0) -> Tensor:
    """A chord with hiss, ``[2, T]``; brighter with more upper partials."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(round(SECONDS * RATE)) / RATE
    partials = [
        bright ** (n - 1) / n * torch.sin(2 * math.pi * pitch * n * time)
        for pitch in (220 + 11 * seed, 330)
        for n in range(1, 7)
    ]
    swell = 0.6 + 0.4 * torch.sin(2 * math.pi * 3 * time)
    hiss = 0.01 * torch.randn(2, len(time), generator=generator)
    return 0.1 * swell * torch.stack(partials).sum(0) + hiss


def write_songs(folder: Path, split: str, count: int) -> None:
    for number in range(count):
        place = folder / f"{split}-{number}"
        for side, bright in (("source", 1.0), ("target/jazz", 0.3)):
            for stem in ("bass", "other"):
                path = place / side / f"{stem}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_audio(path, 0.5 * sound(number + len(stem), bright), RATE)
        about = {"id": place.name, "split": split, "stems": ["bass", "other"]}
        (place / "song.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered songs to test and to fit on, real clips of two genres, a judge, and a style that
    changes nothing."""
    folder = tmp_path_factory.mktemp("place")
    write_songs(folder / "songs", "test", 2)
    write_songs(folder / "songs", "train", 1)
    for genre, bright in (("jazz", 0.3), ("rock", 1.0)):
        for number in range(2):
            path = folder / "clips" / genre / f"{genre}{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(path, sound(number, bright), RATE)
    torch.manual_seed(0)
    settings = AudioClassifierSettings(classes=("jazz", "rock"), seconds=1.0, width=2)
    GenreClassifier(AudioClassifierNetwork(settings), REPORT).save(folder / "judge")
    families = AudioClassifierSettings(FAMILIES, seconds=1.0, width=2)
    InstrumentClassifier(AudioClassifierNetwork(families)).save(folder / "tagger")
    style = folder / "jazz"
    style.mkdir()
    stems = {stem: "keep" for stem in ("drums", "bass", "other", "vocals")}
    card = {"schema": 1, "name": "jazz", "description": "still", "stems": stems, "weights": {}}
    (style / "card.json").write_text(json.dumps(card))
    return folder


REPORT = {"held-out real clips": {"accuracy": 0.5}, "held out": ["rock/rock1", "jazz/jazz0"]}
SYSTEMS: dict[str, Callable[[Tensor], Tensor]] = {
    NOTHING: lambda audio: audio,
    STYLE: lambda audio: audio + 0.05 * torch.roll(audio, 7, -1),
}


def test_rendered_songs_of_a_split(place: Path) -> None:
    (one, two) = benchmark.rendered_songs(place / "songs", "jazz")
    assert [one.name, two.name] == ["test-0", "test-1"]
    truth = one.true_rendering()
    assert truth is not None
    assert one.source().shape == truth.shape == (2, round(SECONDS * RATE))
    assert torch.equal(one.source(0.5), one.source()[:, 22050:44100])
    assert torch.equal(one.source(9.0), one.source())
    with pytest.raises(AudioTransferError, match="'valid'"):
        benchmark.rendered_songs(place / "songs", "jazz", "valid")


def test_each_target_has_its_own_rendering(place: Path, tmp_path: Path) -> None:
    song = tmp_path / "song"
    shutil.copytree(place / "songs" / "test-0", song)
    shutil.copytree(song / "target" / "jazz", song / "target" / "swing")
    (found,) = benchmark.rendered_songs(tmp_path, "jazz")
    assert {path.parent for path in found.truth} == {song / "target" / "jazz"}
    with pytest.raises(AudioTransferError, match="no rendering in 'rock'"):
        benchmark.rendered_songs(tmp_path, "rock")


def test_the_truth_is_what_the_engineer_left(place: Path, tmp_path: Path) -> None:
    song = tmp_path / "song"
    shutil.copytree(place / "songs" / "test-0", song)
    mix = song / "finished" / "jazz.wav"
    mix.parent.mkdir()
    shutil.copyfile(song / "target" / "jazz" / "other.wav", mix)
    (found,) = benchmark.rendered_songs(tmp_path, "jazz")
    assert found.truth == (mix,)


def classifiers(place: Path) -> Classifiers:
    return Classifiers(
        GenreClassifier.load(place / "judge"), "jazz", InstrumentClassifier.load(place / "tagger")
    )


def test_rendered_songs_are_measured_against_their_truth(place: Path) -> None:
    seen: dict[str, list[str]] = {}
    shares: list[float] = []
    songs = benchmark.rendered_songs(place / "songs", "jazz")
    result = benchmark.measure(
        songs,
        SYSTEMS,
        classifiers(place),
        [Tensor(song.true_rendering()) for song in songs],
        seconds=1.2,
        show=lambda _, share: shares.append(share),
        on_song=lambda name, sounds: seen.update({name: list(sounds)}),
    )
    assert shares == sorted(shares) and (shares[0], shares[-1]) == (0.0, 1.0)
    assert len(shares) > 2 * len(result.songs)  # each system of each song is named
    assert seen["test-0"] == ["source", NOTHING, STYLE, TRUTH, "truth"]
    assert result.systems() == [NOTHING, STYLE, TRUTH]
    for song in result.songs.values():
        assert song[NOTHING]["distance ratio"] == pytest.approx(1.0)
        assert song[NOTHING]["distance"] > 3.0
        assert song[NOTHING]["artefacts"] == pytest.approx(1.0)
        assert song[TRUTH]["distance"] == pytest.approx(0.0, abs=1e-4)
        for found in song.values():
            assert 0 <= found[probability_figure("jazz")] <= 1
            assert found["classified as jazz"] in (0.0, 1.0)
        assert song[STYLE]["toward jazz"] == (
            song[STYLE][probability_figure("jazz")] > song[NOTHING][probability_figure("jazz")]
        )
        assert "toward jazz" not in song[NOTHING]
    assert [row["system"] for row in result.rows()] == [*result.systems(), TARGETS]
    assert result.song_rows("distance")[0]["song"] == "test-0"
    # Windows of 1 s overlap by half: the truths, which are 1.5 s long, hold two each.
    assert result.sizes["target windows (genres)"] == 4
    assert result.sizes["songs"] == result.sizes["target songs"] == 2
    assert NOTHING not in result.sets


def test_gains_reach_one_for_the_target_itself() -> None:
    random = np.random.default_rng(0)
    clouds = [random.normal(size=(40, 3)) for _ in range(4)]
    sets = {
        NOTHING: [{"genres": cloud + 3} for cloud in clouds],
        STYLE: [{"genres": cloud} for cloud in clouds[:3]] + [{"genres": clouds[3][:0]}],
    }
    found = measuring._gains(sets, {"genres": np.concatenate(clouds[:3])})
    assert set(found) == {STYLE}
    assert set(found[STYLE]) == {"FAD gain (genres)", "KAD gain (genres)"}
    for interval in found[STYLE].values():
        assert interval.mean == pytest.approx(1.0, abs=0.02)
        assert interval.count == 3


def test_shares_count_songs_and_their_direction() -> None:
    songs = {
        "jazz/a": {"x": {"f": 1.0}, "y": {"f": 2.0}},
        "rock/b": {"x": {"f": 3.0}, "y": {"f": 2.0}},
        "rock/c": {"x": {"f": 2.0}, "y": {"f": 2.0}},
        "rock/d": {"x": {"f": 0.0}, "y": {"f": 2.0}},
    }
    result = Benchmark(songs)
    assert result.better("x", "y", "f") == 0.5
    assert result.better("x", "y", "f", more=True) == 0.25
    assert list(result.only(lambda name: "rock" in name).songs) == ["rock/b", "rock/c", "rock/d"]


def test_style_and_content_are_rescaled_by_hand() -> None:
    def row(probability: float, chroma: float, onsets: float) -> dict[str, float]:
        return {
            probability_figure("jazz"): probability,
            "centred chroma": chroma,
            "onset correlation": onsets,
        }

    figures = {
        NOTHING: row(0.2, 1.0, 1.0),
        RANDOM: row(0.8, 0.0, 0.2),
        STYLE: row(0.5, 0.7, 0.4),
    }
    measuring._add_relative(figures, "jazz", [0.7, 0.9])
    # Style (0.5 - 0.2) / (0.8 - 0.2), content (0.55 - 0.1) / (1 - 0.1), H their harmonic mean.
    assert figures[STYLE]["style"] == pytest.approx(0.5)
    assert figures[STYLE]["content"] == pytest.approx(0.5)
    assert figures[STYLE]["H"] == pytest.approx(0.5)
    assert figures[NOTHING]["H"] == figures[RANDOM]["H"] == 0.0
    assert figures[STYLE]["toward jazz"] == 1.0
    beyond = {NOTHING: row(0.9, 1.0, 1.0), STYLE: row(0.5, 1.0, 1.0)}
    measuring._add_relative(beyond, "jazz", [0.7, 0.9])
    assert "style" not in beyond[STYLE]
    assert "content" not in beyond[STYLE]
    assert beyond[STYLE]["toward jazz"] == 0.0


def test_the_songs_of_the_genre_are_aimed_at(place: Path) -> None:
    field = benchmark.gather(place / "jazz", [place / "clips"], genre_classifier=place / "judge")
    assert [song.name for song in field.songs] == ["rock/rock0", "rock/rock1"]
    assert [song.name for song in field.targets] == ["jazz/jazz0", "jazz/jazz1"]
    assert field.seconds == 30.0
    rendered = benchmark.gather(
        place / "jazz",
        [place / "songs"],
        genre_classifier=place / "judge",
        baseline=place / "songs",
        count=1,
    )
    assert [song.name for song in rendered.songs] == ["test-0"]
    assert [song.name for song in rendered.targets] == ["train-0"]
    assert rendered.equaliser is not None
    assert rendered.seconds is None


def prepared(folder: Path, genres: tuple[str, ...]) -> Manifest:
    """Two artists a genre to learn from and one song to test on, of two stems each."""
    songs = []
    for genre in genres:
        for number, split in enumerate(("train", "validation", "test")):
            files_of = {}
            for stem in ("bass", "other"):
                path = folder / genre / f"{number}-{stem}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_audio(path, 0.5 * sound(number, 0.3 if genre == genres[0] else 1.0), RATE)
                files_of[stem] = str(path.relative_to(folder))
            artist = f"{genre} {number}"
            songs.append(
                PreparedSong(
                    f"{genre}-{number}", split, genre, artist, "none", SECONDS, (), files_of, {}
                )
            )
    manifest = Manifest(folder, "folders", None, {"bins": 256}, tuple(songs))
    manifest.save()
    return manifest


def test_prepared_songs_are_held_out_and_the_rest_teaches(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = prepared(tmp_path, ("polka", "rock"))
    style = tmp_path / "style"
    style.mkdir()
    card = json.loads((place / "jazz" / "card.json").read_text()) | {"name": "polka"}
    (style / "card.json").write_text(json.dumps(card))
    asked = []

    def train(name: str, overrides: list[str], folder: Path, show: object) -> None:
        asked.append((name, overrides))
        settings = AudioClassifierSettings(("polka", "rock"), seconds=1.0, width=2)
        GenreClassifier(AudioClassifierNetwork(settings)).save(folder)

    monkeypatch.setattr("audiotransfer.recipes.train", train)
    for _ in range(2):
        field = benchmark.gather(style, [tmp_path])
    # Trained once, then found.
    assert asked == [("audio-genre-classifier", [f"genre_classifier.prepared={tmp_path}"])]
    assert field.classifiers.genre == "polka"
    assert [song.name for song in field.songs] == ["rock/rock-2"]
    assert [song.name for song in field.targets] == ["polka/polka-2"]
    assert field.equaliser is not None
    with pytest.raises(AudioTransferError, match="audiotransfer train audio-genre-classifier"):
        benchmark.genre_classifier_for("waltz", prepared=manifest)


def test_a_style_of_ones_own_aims_at_what_it_was_trained_toward(
    place: Path, tmp_path: Path
) -> None:
    style = tmp_path / "mine"
    shutil.copytree(place / "jazz", style)
    card = json.loads((style / "card.json").read_text())
    recipe = {"unpaired": {"target": "my/jazz"}}
    (style / "card.json").write_text(json.dumps(card | {"name": "mine", "config": recipe}))
    field = benchmark.gather(style, [place / "clips"], genre_classifier=place / "judge")
    assert field.classifiers.genre == "jazz"
    assert {song.name for song in field.targets} == {"jazz/jazz0", "jazz/jazz1"}
    rock = benchmark.gather(
        style, [place / "clips"], genre_classifier=place / "judge", genre="rock"
    )
    assert rock.classifiers.genre == "rock"


def test_a_genre_may_be_part_of_a_class() -> None:
    classes = ("jazz", "pop_folk", "rock_metal")
    assert benchmark.known_as("jazz", classes) == "jazz"
    assert benchmark.known_as("rock", classes) == "rock_metal"
    assert benchmark.known_as("polka", classes) is None
    assert benchmark.known_as("rock", ("rock_metal", "soft_rock")) is None


def test_the_equaliser_comes_from_songs_a_file_or_the_style(place: Path, tmp_path: Path) -> None:
    assert benchmark.equaliser_for(place / "jazz", "jazz") is None
    fitted = benchmark.equaliser_for(place / "jazz", "jazz", place / "songs")
    assert fitted is not None
    for song in benchmark.rendered_songs(place / "songs", "jazz"):
        source, truth = song.source(), song.true_rendering()
        assert truth is not None
        assert distance(fitted(source), truth, RATE) < distance(source, truth, RATE)
    fitted.save(tmp_path / "eq.json")
    read = benchmark.equaliser_for(place / "jazz", "jazz", tmp_path / "eq.json")
    assert read == MatchedEQ.load(tmp_path / "eq.json")
    style = tmp_path / "jazz"
    style.mkdir()
    (style / "card.json").write_text((place / "jazz" / "card.json").read_text())
    fitted.save(style / benchmark.EQUALISER_FILE)
    assert benchmark.equaliser_for(style, "jazz") == read


def test_the_wrong_style_is_another_one(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("jazz", "waltz"):
        folder = tmp_path / name
        folder.mkdir()
        card = json.loads((place / "jazz" / "card.json").read_text()) | {"name": name}
        (folder / "card.json").write_text(json.dumps(card))
    monkeypatch.setattr("audiotransfer.styles.find.search_path", lambda: [tmp_path])
    assert benchmark.another_style(place / "jazz") == "waltz"
    shutil.rmtree(tmp_path / "waltz")
    assert benchmark.another_style(place / "jazz") is None


def evaluate(place: Path, *words: str) -> int:
    common = ["--separator", "none", "--instruments", str(place / "tagger"), "-q"]
    return main(["evaluate", str(place / "jazz"), *common, *words])


def test_command_on_rendered_songs(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plots, page = (tmp_path / name for name in ("figures.json", "pictures", "page.html"))
    songs = str(place / "songs")
    words = ["--on", songs, "--baseline", songs, "--seconds", "1.5", "--songs", "1"]
    words += ["--classifier", str(place / "judge"), "--wrong", str(place / "jazz")]
    written = ["-o", str(out), "--plots", str(plots), "--page", str(page)]
    assert evaluate(place, *words, *written) == 0
    printed = capsys.readouterr().out
    assert "1 songs nearer to the truth than matched EQ" in printed
    assert "by a genre classifier that is right on 50% of other songs, a hint only" in " ".join(
        printed.split()
    )
    values = json.loads(out.read_text())
    (song,) = values["songs"].values()
    assert list(song) == [NOTHING, EQUALISER, ROUND_TRIP, RANDOM, WRONG, STYLE, TRUTH]
    # The style keeps every stem, so that it does nothing.
    assert song[STYLE]["distance"] == pytest.approx(song[NOTHING]["distance"], abs=0.05)
    assert song[STYLE]["distance"] == pytest.approx(song[WRONG]["distance"], abs=0.05)
    assert [one["system"] for one in values["means"]] == [*song, TARGETS]
    assert values["means"][0]["distance"]["count"] == 1
    (means,) = [one for one in values["means"] if one["system"] == TRUTH]
    for kind in ("FAD", "KAD"):
        for name in ("genres", "instruments"):
            assert means[f"{kind} gain ({name})"]["count"] == 1
    assert values["sizes"]["target songs"] == 1
    # The judge that ships without having learned from our songs is heard beside the one named.
    assert [path.name for path in plots.iterdir()] == ["test-0.png"]
    assert page.read_text(encoding="utf-8").count("data:audio/mpeg") == 2
    assert evaluate(place, *words, "-o", str(out)) == 2
    assert "-f writes over it" in capsys.readouterr().err


def test_command_on_real_songs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--on", str(place / "clips"), "--classifier", str(place / "judge"), "--seconds", "1"]
    assert evaluate(place, *words, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert list(values["songs"]) == ["rock/rock0", "rock/rock1"]
    assert len(values["targets"]) == 2
    # All songs; and of those the one that the judge never heard.
    assert [one["songs"] for one in values["shares"]] == [2, 1]
    for song in values["songs"].values():
        assert song[STYLE]["probability of jazz"] == pytest.approx(
            song[NOTHING]["probability of jazz"], abs=0.02
        )


def test_without_a_classifier_that_knows_the_style_everything_else_is_measured(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(place / "jazz", tmp_path / "mine")
    card = json.loads((place / "jazz" / "card.json").read_text()) | {"name": "mine"}
    (tmp_path / "mine" / "card.json").write_text(json.dumps(card))
    out, page = tmp_path / "figures.json", tmp_path / "page.html"
    words = ["--on", str(place / "clips" / "rock" / "rock0.wav"), "--seconds", "1.5"]
    words += ["--classifier", str(place / "judge"), "-o", str(out), "--page", str(page)]
    words += ["--mushra", "--separator", "none"]
    assert main(["evaluate", str(tmp_path / "mine"), *words]) == 0
    printed = capsys.readouterr()
    assert "not measured: whether it sounds like mine" in printed.err
    assert "not measured: distance to songs of mine" in printed.err
    assert "verdict" in printed.out
    assert max(map(len, printed.out.splitlines())) <= 100
    (song,) = json.loads(out.read_text())["songs"].values()
    assert song[STYLE]["centred chroma"] > 0.9
    assert not [name for name in song[STYLE] if "mine" in name]
    assert "MUSHRA listening test: mine" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--on", "nowhere"], "nowhere does not exist"),
        (["--on", "clips", "--classifier", "clips"], "no genre classifier can be read"),
        (["--on", "clips", "--classifier", "judge", "--genre", "polka"], "does not know 'polka'"),
        (["--on", "clips", "--mushra"], "--page listen.html"),
        (["--on", "songs", "clips"], "name one folder"),
        (["--on", "songs", "--split", "valid", "--classifier", "judge"], "'valid'"),
        (["--on", "songs", "--songs", "0"], "--songs 0"),
        (["--on", "songs", "-o", "no/where.json"], "does not exist"),
        (["--on", "songs", "--page", "no/where.html"], "does not exist"),
        (["--on", "songs", "--baseline", "clips"], "no rendered songs"),
        (
            ["--on", "clips", "--classifier", "judge", "--instruments", "clips"],
            "no instrument classifier can be read",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(place)
    assert evaluate(place, *words) == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert len(err.splitlines()) == 1


def test_a_genre_classifier_ships_and_says_what_it_is_worth() -> None:
    folder = shipped_genre_classifier()
    classifier = GenreClassifier.load(folder)
    assert "jazz" in classifier.classes
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_000_000
    found = classifier.report["held-out real clips"]
    assert found["classes"] == list(classifier.classes)
    assert found["accuracy"] > 1 / len(classifier.classes)
    assert len(classifier.report["held out"]) >= sum(map(sum, found["confusion"]))


def test_a_style_with_covers_also_plays_random_chords() -> None:
    found = benchmark.systems("jazz")
    silence = torch.zeros(2, 2 * RATE)
    assert torch.equal(found[benchmark.RANDOM_CHORDS](silence), silence)
    assert list(found)[-1] == STYLE
    assert benchmark.RANDOM_CHORDS not in benchmark.systems("jazz", mode="timbre")
    with pytest.raises(AudioTransferError, match="mode 'covr': did you mean"):
        benchmark.systems("jazz", mode="covr")
