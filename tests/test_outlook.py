"""What a command says beforehand that it takes: time, memory, disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import soundfile

# Imported here, before `speed`: it keeps the function that it finds.
from audiotransfer.benchmark import outlook as benchmark
from audiotransfer.pipeline import StemFormat, TransferOptions, prepare
from audiotransfer.pipeline import outlook as outlooks
from audiotransfer.pipeline.cut import Cut
from audiotransfer.pipeline.outlook import Work, lack, outlook

RATE, SECONDS = 8000, 60
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of silence, stereo."""
    path = tmp_path_factory.mktemp("outlook") / "song.wav"
    soundfile.write(path, np.zeros((SECONDS * RATE, 2), np.float32), RATE)
    return path


@pytest.fixture(autouse=True)
def speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that separates a second in a tenth of one, on each of two cores."""
    monkeypatch.setattr(outlooks, "separation_seconds", lambda device: 0.1)
    monkeypatch.setattr(outlooks, "cores", lambda device: 2)


def test_work_grows_with_what_is_done() -> None:
    bare, styled = Work(), Work(styled=3)
    assert Work("none").seconds(0.1, 2) == 0.0
    assert bare.seconds(0.1, 2) == pytest.approx(0.05)
    assert bare.seconds(0.1, 1) == pytest.approx(0.1)
    assert styled.seconds(0.1, 2) > 3 * bare.seconds(0.1, 2)
    assert replace(styled, effects=3).seconds(0.1, 2) > styled.seconds(0.1, 2)
    assert Work("demucs:htdemucs").seconds(0.1, 2) > 10 * bare.seconds(0.1, 2)
    # Excerpts are as long for every song.
    short, long = (
        replace(styled, matched=3).seconds(0.1, 2, music) - styled.seconds(0.1, 2, music)
        for music in (100.0, 200.0)
    )
    assert short == pytest.approx(long) and short > 0.0
    # A transcription runs on one core.
    cover = Work(cover=True)
    gained = cover.seconds(0.1, 1) - cover.seconds(0.1, 4)
    assert gained == pytest.approx(bare.seconds(0.1, 1) - bare.seconds(0.1, 4))


@pytest.mark.parametrize(
    ("mode", "styled", "cover"), [("timbre", 3, False), ("cover", 0, True)], ids=str
)
def test_work_is_that_of_the_plan(mode: str, styled: int, cover: bool) -> None:
    plan = prepare(TransferOptions("jazz", mode=mode, separator="embedded", cache=False))
    work = Work.of(plan, stems=True)
    roles = 0 if plan.cover is None else len(plan.cover.roles)
    assert (work.separator, work.styled, work.effects, work.cover) == (
        "embedded",
        styled,
        0,
        cover,
    )
    assert work.files == (4 + styled if mode == "timbre" else 1 + roles)
    assert Work.of(plan).files == 0


@pytest.mark.parametrize(
    ("suffix", "encoding", "bytes_a_sample"),
    [(".wav", "int16", 2), (".wav", "float32", 4), (".flac", "int24", 3 * outlooks._FLAC)],
)
def test_sizes_are_those_of_the_files(
    song: Path, suffix: str, encoding: Literal["int16", "int24", "float32"], bytes_a_sample: float
) -> None:
    options = TransferOptions("jazz", encoding=encoding)
    found = outlook([song, song], Work(styled=3), options, "cpu", suffix=suffix)
    assert found is not None
    assert found.music == 2 * SECONDS and found.songs == 2
    assert found.written == pytest.approx(2 * SECONDS * RATE * 2 * bytes_a_sample)
    assert found.meanwhile == SECONDS * RATE * 2 * 4  # one song after the other
    assert found.cached == 2 * SECONDS * 44100 * 4 * 2 * 4
    assert found.work == pytest.approx(2 * SECONDS * Work(styled=3).seconds(0.1, 2))
    without = outlook([song], Work(), replace(options, cache=False), "cpu", suffix=suffix)
    assert without is not None and without.cached == 0.0


def test_stems_count_and_several_songs_at_a_time_take_more_memory(song: Path) -> None:
    options = TransferOptions("jazz", stem_format=StemFormat("wav", "float32"))
    plain = outlook([song, song], Work(), options, "cpu")
    stems = outlook([song, song], Work(files=5), options, "cpu", jobs=8)
    assert plain is not None and stems is not None
    assert stems.written - plain.written == pytest.approx(2 * SECONDS * 5 * 44100 * 2 * 4)
    assert stems.memory == 2 * plain.memory  # there are but two songs


def test_parts_of_songs_and_short_songs(song: Path) -> None:
    half = TransferOptions("jazz", cut=Cut(start=20, end=55))
    found = outlook([song], Work(), half, "cpu")
    assert found is not None and found.music == pytest.approx(35)
    assert outlook([song], Work(), replace(half, cut=Cut(preview=True)), "cpu") is None
    assert outlook([song.with_name("missing.wav")], Work(), half, "cpu") is None


def test_many_songs_are_counted_from_the_first(song: Path) -> None:
    found = outlook([song] * 200, Work(), TransferOptions("jazz"), "cpu")
    assert found is not None and found.music == 200 * SECONDS


def test_lack_of_room_is_named(tmp_path: Path) -> None:
    assert lack(tmp_path / "not" / "yet", 1e3) == ""
    assert re.fullmatch(
        r"1000000\.0 GB may not fit into .*, where .* are free", lack(tmp_path, 1e15)
    )


def test_the_commands_say_it_once_and_not_with_quiet(
    run: Run, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run("separate", str(song), "--separator", "hpss", "--no-cache", "-o", "one")
    assert code == 0
    line = r"song\.wav \(stems\): 1:00 of music, about 0:0\d here, \d+ MB of memory, \d+ MB of disk"
    assert len(re.findall(line, err)) == 1
    code, _, err = run("separate", str(song), "--separator", "hpss", "-o", "two", "-q")
    assert code == 0 and err == ""
    code, _, err = run(str(song), "--style", "jazz", "--mode", "timbre", "--no-cache")
    assert code == 0
    assert re.search(r"song\.wav \(timbre\): 1:00 of music, about 0:\d\d here", err)


def test_a_benchmark_takes_longer_on_a_slower_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    song = SimpleNamespace(truth=None)
    entries: Any = SimpleNamespace(
        songs=[song] * 40,
        seconds=30.0,
        targets=[song],
        wanted="jazz",
        classifiers=SimpleNamespace(genre="jazz", instruments=object()),
    )
    systems: Any = {"style": None}
    minutes = []
    for unit in (outlooks.USUAL_SECONDS, 3 * outlooks.USUAL_SECONDS):
        monkeypatch.setattr(benchmark, "separation_seconds", lambda unit=unit: unit)
        lines = benchmark.outlook("jazz", entries, systems)
        found = re.match(
            r"up to 30 s of 40 songs, each by jazz and 0 baselines: about (\d+) min", lines[0]
        )
        assert found is not None
        minutes.append(int(found[1]))
    assert minutes[1] == pytest.approx(3 * minutes[0], abs=2)
