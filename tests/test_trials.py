"""Styles on trial, in Python and from the command line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from audiotransfer import files, trials
from audiotransfer.cli import main
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import Judge, JudgeSettings, MatchedEQ, distance, shipped_judge
from audiotransfer.evaluation.judge import JudgeNetwork
from audiotransfer.trials import NOTHING, RANDOM, STYLE, Trial

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
        for side, bright in (("source", 1.0), ("target", 0.3)):
            for stem in ("bass", "other"):
                path = place / side / f"{stem}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                files.write(path, 0.5 * sound(number + len(stem), bright), RATE)
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
            files.write(path, sound(number, bright), RATE)
    torch.manual_seed(0)
    settings = JudgeSettings(classes=("jazz", "rock"), seconds=1.0, width=2)
    Judge(JudgeNetwork(settings), REPORT).save(folder / "judge")
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
    (one, two) = trials.rendered_songs(place / "songs")
    assert [one[0], two[0]] == ["test-0", "test-1"]
    assert one[1].shape == one[2].shape == (2, round(SECONDS * RATE))
    with pytest.raises(AudioTransferError, match="'valid'"):
        trials.song_folders(place / "songs", "valid")


def test_doing_nothing_has_a_distance_ratio_of_one(place: Path) -> None:
    seen: dict[str, list[str]] = {}
    shares: list[float] = []
    trial = trials.on_rendered(
        place / "songs",
        {**SYSTEMS, "truth itself": lambda audio: audio},
        lambda _, share: shares.append(share),
        seconds=1.2,
        heard=lambda name, sounds: seen.update({name: list(sounds)}),
    )
    assert shares == [0.5, 1.0]
    assert seen["test-0"] == ["source", NOTHING, STYLE, "truth itself", "truth"]
    assert trial.systems() == [NOTHING, STYLE, "truth itself"]
    for song in trial.songs.values():
        assert song[NOTHING]["distance ratio"] == pytest.approx(1.0)
        assert song[NOTHING]["distance"] > 3.0
    assert [row["system"] for row in trial.rows()] == trial.systems()
    assert trial.song_rows("distance")[0]["song"] == "test-0"


def test_shares_count_songs_and_their_direction() -> None:
    songs = {
        "jazz/a": {"x": {"f": 1.0}, "y": {"f": 2.0}},
        "rock/b": {"x": {"f": 3.0}, "y": {"f": 2.0}},
        "rock/c": {"x": {"f": 2.0}, "y": {"f": 2.0}},
        "rock/d": {"x": {"f": 0.0}, "y": {"f": 2.0}},
    }
    trial = Trial(songs)
    assert trial.better("x", "y", "f") == 0.5
    assert trial.better("x", "y", "f", more=True) == 0.25
    assert list(trial.only(lambda name: "rock" in name).songs) == ["rock/b", "rock/c", "rock/d"]


def test_clips_are_rescaled_between_nothing_and_the_target(place: Path) -> None:
    judge = Judge.load(place / "judge")
    clips = files.find_audio(place / "clips" / "rock")
    targets = [trials.read_clip(p) for p in files.find_audio(place / "clips" / "jazz")]
    systems = {**SYSTEMS, RANDOM: lambda audio: targets[1][:, : audio.shape[-1]]}
    trial = trials.on_clips(clips, systems, judge, "jazz", targets=targets, seconds=1.2)
    assert list(trial.songs) == ["rock/rock0", "rock/rock1"]
    for song in trial.songs.values():
        assert song[RANDOM]["content"] == pytest.approx(0.0, abs=1e-6)
        assert song[NOTHING]["content"] == pytest.approx(1.0, abs=1e-3)
        if "H" in song[NOTHING]:
            assert song[NOTHING]["style"] == song[NOTHING]["H"] == song[RANDOM]["H"] == 0.0
        assert 0 <= song[STYLE][trials.said("jazz")] <= 1
    plain = trials.on_clips(clips[:1], SYSTEMS, judge, "jazz", seconds=1.2)
    assert "content" not in plain.songs["rock/rock0"][STYLE]


def test_clips_come_from_the_middle(place: Path) -> None:
    path = place / "clips" / "rock" / "rock0.wav"
    whole = trials.read_clip(path)
    assert torch.equal(trials.read_clip(path, 0.5), whole[:, 22050:44100])
    assert torch.equal(trials.read_clip(path, 9.0), whole)


def test_the_equaliser_comes_from_songs_a_file_or_the_style(place: Path, tmp_path: Path) -> None:
    assert trials.equaliser_for(place / "jazz") is None
    fitted = trials.equaliser_for(place / "jazz", place / "songs")
    assert fitted is not None
    for _, source, truth in trials.rendered_songs(place / "songs"):
        assert distance(fitted(source), truth, RATE) < distance(source, truth, RATE)
    fitted.save(tmp_path / "eq.json")
    read = trials.equaliser_for(place / "jazz", tmp_path / "eq.json")
    assert read == MatchedEQ.load(tmp_path / "eq.json")
    style = tmp_path / "jazz"
    style.mkdir()
    (style / "card.json").write_text((place / "jazz" / "card.json").read_text())
    fitted.save(style / trials.EQUALISER_FILE)
    assert trials.equaliser_for(style) == read


def evaluate(place: Path, *words: str) -> int:
    return main(["evaluate", str(place / "jazz"), "--separator", "none", "-q", *words])


def test_command_on_rendered_songs(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, pictures = tmp_path / "figures.json", tmp_path / "pictures"
    songs = str(place / "songs")
    words = ["--on", songs, "--baseline", songs, "--seconds", "1", "--songs", "1"]
    assert evaluate(place, *words, "-o", str(out), "--pictures", str(pictures)) == 0
    said = capsys.readouterr().out
    assert "1 songs nearer to the truth than matched EQ" in said
    values = json.loads(out.read_text())
    (song,) = values["songs"].values()
    assert list(song) == [NOTHING, "matched EQ", "Griffin-Lim round trip", RANDOM, STYLE]
    # The style keeps every stem, so that it does nothing.
    assert song[STYLE]["distance"] == pytest.approx(song[NOTHING]["distance"], abs=0.05)
    assert [one["system"] for one in values["means"]] == list(song)
    assert values["means"][0]["distance"]["count"] == 1
    assert [path.name for path in pictures.iterdir()] == ["test-0.png"]
    assert evaluate(place, *words, "-o", str(out)) == 2
    assert "-f writes over it" in capsys.readouterr().err


def test_command_on_real_songs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--on", str(place / "clips"), "--judge", str(place / "judge"), "--seconds", "1"]
    assert evaluate(place, *words, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert list(values["songs"]) == ["jazz/jazz0", "jazz/jazz1", "rock/rock0", "rock/rock1"]
    assert values["songs of jazz"] == 2
    # All songs; those that are no jazz; and of those the ones that the judge never heard.
    assert [one["songs"] for one in values["shares"]] == [4, 2, 1]
    for song in values["songs"].values():
        assert song[STYLE]["judge says jazz"] == pytest.approx(
            song[NOTHING]["judge says jazz"], abs=0.02
        )
    assert evaluate(place, *words, "--songs", "1") == 0
    assert "the judge hears 50% of real clips unknown to it right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--on", "nowhere"], "nowhere does not exist"),
        (["--on", "clips", "--judge", "clips"], "no judge can be read"),
        (["--on", "clips", "--judge", "judge", "--genre", "polka"], "does not know 'polka'"),
        (["--on", "songs", "clips"], "name one folder"),
        (["--on", "songs", "--split", "valid"], "'valid'"),
        (["--on", "songs", "--songs", "0"], "--songs 0"),
        (["--on", "songs", "-o", "no/where.json"], "does not exist"),
        (["--on", "songs", "--baseline", "clips"], "no rendered songs"),
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


def test_a_judge_ships_and_says_what_it_is_worth() -> None:
    judge = Judge.load(shipped_judge())
    assert "jazz" in judge.classes
    assert sum(file.stat().st_size for file in shipped_judge().iterdir()) < 1_000_000
    found = judge.report["held-out real clips"]
    assert found["classes"] == list(judge.classes)
    assert found["accuracy"] > 1 / len(judge.classes)
    assert len(judge.report["held out"]) == sum(map(sum, found["confusion"]))
