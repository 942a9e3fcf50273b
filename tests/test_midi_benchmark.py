"""Benchmark of MIDI styles: pieces found and cut, the command in both directions, tables."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import symusic
import torch
from torch import Tensor

from audiotransfer import benchmark
from audiotransfer.benchmark import midi as midi_benchmark
from audiotransfer.cli import main
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.midi_genre import (
    GenreProbabilities,
    shipped_midi_classifiers,
)
from audiotransfer.evaluation.metrics.midi_transfer import References
from audiotransfer.evaluation.report.statistics import Interval
from audiotransfer.midi.piano_rolls import notes_of
from audiotransfer.midi.score import read_score
from audiotransfer.recipes.base import Fit, Run
from audiotransfer.recipes.midi_styles import GenreRecipe, write_midi_style
from audiotransfer.symbolic.genre.conditional_networks import ConditionalGenerator
from audiotransfer.training import TrainerSettings

GENRES = ("jazz", "classical", "pop")
TPQ = 480


def write_midi(
    path: Path, pitch: int, bars: int = 8, seed: int = 0, signature: tuple[int, int] = (4, 4)
) -> None:
    """Quarter notes around a pitch."""
    random = np.random.default_rng(seed)
    score = symusic.Score(TPQ)
    score.time_signatures.append(symusic.TimeSignature(0, *signature))
    track = symusic.Track(program=0)
    for beat in range(signature[0] * bars):
        note = pitch + int(random.integers(-5, 6))
        track.notes.append(symusic.Note(TPQ * beat, TPQ, note, 80))
    score.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    score.dump_midi(path)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Three pieces of low jazz and three of high pop; one of each is too short or in three."""
    for piece in range(2):
        write_midi(tmp_path / "scores" / "jazz" / f"low{piece}.mid", 50, seed=piece)
        write_midi(tmp_path / "scores" / "pop" / f"high{piece}.mid", 74, seed=piece)
    write_midi(tmp_path / "scores" / "jazz" / "scrap.mid", 50, bars=2)
    write_midi(tmp_path / "scores" / "pop" / "waltz.mid", 74, signature=(3, 4))
    return tmp_path / "scores"


# -- pieces


def test_the_genre_is_said_by_folder_or_zip() -> None:
    for path in ("a/jazz/tune.mid", "jazz/b/c/tune.mid", "pop/jazz/tune.mid", "jazz_wjd.zip/x.mid"):
        assert benchmark.genre_of(PurePosixPath(path), GENRES) == "jazz"
    for path in ("jazz.mid", "jazzy/tune.mid", "jazz-pop/tune.mid"):
        with pytest.raises(AudioTransferError, match="put it into a folder called jazz or"):
            benchmark.genre_of(PurePosixPath(path), GENRES)


def test_pieces_are_found_with_their_phrases(place: Path, tmp_path: Path) -> None:
    found = benchmark.gather_pieces([place], GENRES, tmp_path / "work")
    assert {genre: [p.name for p in some] for genre, some in found.tested.items()} == {
        "jazz": ["jazz/low0", "jazz/low1"],
        "pop": ["pop/high0", "pop/high1"],
    }
    assert not found.training
    assert not (tmp_path / "work").exists()
    piece = found.tested["jazz"][0]
    assert piece.starts == (0, 64)
    assert piece.phrases.shape == (2, 2, 64, 84)
    assert torch.equal(piece.cut(read_score(piece.path)), piece.phrases)
    # Another resolution is the same music.
    assert torch.equal(piece.cut(read_score(piece.path).resample(96)), piece.phrases)


def test_what_a_zip_holds_is_unpacked_and_what_was_trained_on_told_apart(
    place: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "pop_songs.zip"
    with zipfile.ZipFile(archive, "w") as pack:
        for path in sorted((place / "pop").iterdir()):
            pack.write(path, f"pop_songs/{path.name}")
    found = benchmark.gather_pieces([archive], GENRES, tmp_path / "work", held_out={"high1"})
    (piece,) = found.tested["pop"]
    assert piece.path == tmp_path / "work" / "pop" / "high1.mid"
    assert torch.equal(piece.cut(read_score(piece.path)), piece.phrases)
    assert found.training["pop"].shape == (2, 2, 64, 84)
    assert not torch.equal(found.training["pop"], piece.phrases)


def test_only_so_many_pieces_and_none_at_all(place: Path, tmp_path: Path) -> None:
    found = benchmark.gather_pieces([place], GENRES, tmp_path, count=1)
    assert [len(some) for some in found.tested.values()] == [1, 1]
    with pytest.raises(AudioTransferError, match="no phrase of four bars"):
        write_midi(tmp_path / "jazz" / "scrap.mid", 60, bars=3)
        benchmark.gather_pieces([tmp_path / "jazz"], GENRES, tmp_path)


def test_a_benchmark_of_midi_is_known_by_its_places(place: Path, tmp_path: Path) -> None:
    assert benchmark.is_midi([place])
    (tmp_path / "songs").mkdir()
    assert not benchmark.is_midi([tmp_path / "songs"])
    with pytest.raises(AudioTransferError, match="one MIDI file"):
        benchmark.is_midi([place / "jazz" / "low0.mid"])


# -- trials


class LowAndHigh:
    """Hears low phrases as jazz, high ones as pop, and nothing as classical."""

    def predict(self, given: Tensor) -> GenreProbabilities:
        rows = []
        for phrase in given:
            notes = notes_of(phrase.bool().numpy())
            jazz = 0.5 if not len(notes) else 0.9 if notes[:, 2].mean() < 62 else 0.2
            rows.append([jazz, 0, 1 - jazz])
        return GenreProbabilities(GENRES, torch.tensor(rows, dtype=torch.float64))


def moved(semitones: int | None) -> Callable[[Path, Path], None]:
    """What transposes a file, or takes all its notes away."""

    def play(source: Path, output: Path) -> None:
        score: Any = read_score(source)
        for track in score.tracks:
            if semitones is None:
                track.notes.clear()
            else:
                track.shift_pitch(semitones, inplace=True)
        score.dump_midi(output)

    return play


def references(found: benchmark.Pieces) -> References:
    real = {genre: midi_benchmark.phrases_of_pieces(some) for genre, some in found.tested.items()}
    classifiers: Any = {"toy": LowAndHigh()}
    return References(classifiers, real, {"pop": real["pop"], "jazz": real["jazz"]})


def value(found: Any) -> float:
    return found.mean if isinstance(found, Interval) else found


def test_a_style_there_and_back(place: Path, tmp_path: Path) -> None:
    found = benchmark.gather_pieces([place], GENRES, tmp_path)
    shown: list[tuple[str, str]] = []
    shares: list[float] = []
    result = benchmark.run_midi_benchmark(
        found.tested,
        "pop",
        {"pop": moved(24), "jazz": moved(-24)},
        references(found),
        tmp_path / "out",
        show=lambda _, share: shares.append(share),
        on_result=lambda piece, genre, path: shown.append((piece.name, genre)),
    )
    assert list(result.directions) == ["jazz > pop", "pop > jazz"]
    assert shown[0] == ("jazz/low0", "pop")
    assert shares == [0.25, 0.5, 0.75, 1.0]
    assert result.sizes == {
        "jazz pieces": 2, "pop pieces": 2, "jazz phrases": 4, "pop phrases": 4,
    }  # fmt: skip
    for way in result.directions.values():
        assert value(way["style"]["S toy"]) == 1
        assert value(way["style"]["centred content"]) == pytest.approx(1)
        assert value(way["style"]["density ratio"]) == 1
        assert value(way["doing nothing"]["S toy"]) == 0
        assert value(way["random target phrases"]["S toy"]) == 1
        assert value(way["nearest training phrase"]["copies"]) == 1
    (pair, *_) = result.pair_rows()
    assert (pair["pair"], pair["system"], pair["S toy"]) == ("jazz – pop", "style", 1)
    assert [row["system"] for row in result.rows("jazz > pop")][:2] == ["style", "doing nothing"]


def test_the_wrong_style_is_that_of_a_third_genre(place: Path, tmp_path: Path) -> None:
    """Judged as if it were the right one; it is no way of its own."""
    found = benchmark.gather_pieces([place], GENRES, tmp_path)
    shown: list[str] = []
    shares: list[float] = []
    result = benchmark.run_midi_benchmark(
        found.tested,
        "pop",
        {"pop": moved(24), "jazz": moved(-24), "classical": moved(2)},
        references(found),
        tmp_path / "out",
        show=lambda _, share: shares.append(share),
        on_result=lambda _piece, genre, _path: shown.append(genre),
    )
    assert list(result.directions) == ["jazz > pop", "pop > jazz"]
    assert set(shown) == {"jazz", "pop"}
    assert shares == [number / 8 for number in range(1, 9)]
    for way in result.directions.values():
        wrong = way["wrong style"]
        assert value(wrong["S toy"]) == value(wrong["target rate toy"]) == 0
        assert value(wrong["density ratio"]) == 1
        assert value(wrong["centred content"]) < 0.5 < value(way["style"]["centred content"])
    assert [row["system"] for row in result.pair_rows()][:2] == ["style", "wrong style"]


def test_a_way_that_is_tried_is_another_ways_wrong_style(place: Path, tmp_path: Path) -> None:
    """With pieces of all three genres nothing is transferred twice."""
    write_midi(place / "classical" / "middle.mid", 62)
    found = benchmark.gather_pieces([place], GENRES, tmp_path)
    transfers: dict[str, Any] = {"pop": moved(24), "jazz": moved(-24), "classical": moved(2)}
    played: list[tuple[str, str]] = []

    def counted(genre: str) -> Callable[[Path, Path], None]:
        def play(source: Path, output: Path) -> None:
            played.append((str(source), genre))
            transfers[genre](source, output)

        return play

    result = benchmark.run_midi_benchmark(
        found.tested, "pop", {genre: counted(genre) for genre in transfers}, references(found),
        tmp_path / "out",
    )  # fmt: skip
    assert set(result.directions) == {
        "jazz > pop",
        "classical > pop",
        "pop > jazz",
        "pop > classical",
    }
    assert len(played) == len(set(played))
    one, other = result.directions["pop > jazz"], result.directions["pop > classical"]
    assert one["wrong style"]["content"] == other["style"]["content"]
    assert one["style"]["content"] == other["wrong style"]["content"]


def test_without_a_way_back_there_is_one_way(place: Path, tmp_path: Path) -> None:
    found = benchmark.gather_pieces([place], GENRES, tmp_path)
    result = benchmark.run_midi_benchmark(
        found.tested, "pop", {"pop": moved(24)}, references(found), tmp_path / "out"
    )
    assert list(result.directions) == ["jazz > pop"]
    assert value(result.directions["jazz > pop"]["style"]["S toy"]) == 1
    assert result.pair_rows() == []


def test_a_style_that_takes_all_notes_away_wins_nothing(place: Path, tmp_path: Path) -> None:
    found = benchmark.gather_pieces([place], GENRES, tmp_path)
    result = benchmark.run_midi_benchmark(
        found.tested, "pop", {"pop": moved(None)}, references(found), tmp_path / "out"
    )
    empty = result.directions["jazz > pop"]["style"]
    for name in ("S toy", "target rate toy", "style", "H", "content", "density ratio"):
        assert value(empty[name]) == 0, name
    assert value(empty["empty bars"]) == 1


# -- the command


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    """Styles of jazz and pop by an untrained generator, which changes nothing."""
    generator = ConditionalGenerator(GENRES, (4, 6), 1).eval()
    run = Run(tmp_path / "styles", TrainerSettings(steps=1))
    fit = Fit(run.folder, {}, 1, 0.0)
    for genre in ("jazz", "pop"):
        write_midi_style(genre, GenreRecipe(), run, fit, generator)
    return tmp_path / "styles"


def test_the_command_tries_a_style_on_midi(
    place: Path, styles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plots = tmp_path / "figures.json", tmp_path / "pictures"
    words = [
        "evaluate", str(styles / "jazz"), "--on", str(place), "--songs", "1", "-o", str(out),
        "--plots", str(plots), "--baseline", str(place / "jazz"), "--device", "cpu",
    ]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().out
    for text in ("S_tot", "pop > jazz", "jazz > pop", "wrong style", "copies", "right"):
        assert text in said, text
    values = json.loads(out.read_text())
    assert set(values["midi_classifiers"]) == set(shipped_midi_classifiers())
    for way in ("pop > jazz", "jazz > pop"):
        style, nothing = (values["ways"][way][name] for name in ("style", "doing nothing"))
        assert style["centred content"]["mean"] == pytest.approx(1)
        for name in nothing:
            assert style[name] == nothing[name], name
    assert values["ways"]["pop > jazz"]["random target phrases"]["copies"]["mean"] == 1
    assert {row["pair"] for row in values["pairs"]} == {"jazz – pop"}
    assert [path.name for path in sorted(plots.iterdir())] == [
        "jazz-low0.pop.png", "pop-high0.jazz.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--genre", "polka"], "takes one of jazz, classical, pop"),
        (["--genre", "classical"], "give pieces of classical"),
        (["--page", "page.html"], "--plots draws MIDI"),
        (["--wrong", "pop"], "that of a third genre"),
    ],
)
def test_what_cannot_be_tried_is_said_in_a_line(
    words: list[str],
    message: str,
    place: Path,
    styles: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["evaluate", str(styles / "jazz"), "--on", str(place), *words]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
