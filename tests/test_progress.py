"""Progress: time left, the line on a terminal, plain lines elsewhere, notices."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiotransfer.cli import console
from audiotransfer.cli.console import Console
from audiotransfer.cli.progress import ProgressLine
from audiotransfer.timing import Steps, TimeLeft

RATE = 44100
COMMAND = [sys.executable, "-m", "audiotransfer"]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


# Time left


def test_nothing_is_predicted_from_the_beginning() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    for share in (0.0, 0.02, 0.05, 0.08):  # a stage of another rate
        clock.now += 1.0
        assert left.update("listening", share) is None
    for _ in range(5):
        clock.now += 1.0
        assert left.update("playing", 0.08) is None
    assert left.left() is None


@pytest.mark.parametrize("rate", [0.05, 0.01, 0.001])
def test_even_work_is_predicted_right(rate: float) -> None:
    clock = Clock()
    left, share, predicted = TimeLeft(clock), 0.1, 0
    left.update("playing", share)
    while share < 1.0:
        clock.now += 0.5
        share = min(1.0, share + 0.5 * rate)
        seconds = left.update("playing", share)
        if seconds is not None:
            predicted += 1
            assert seconds == pytest.approx((1.0 - share) / rate, abs=0.6)
    assert predicted > 10
    clock.now += 100.0
    assert left.left() is None  # not that nothing is left


def test_work_in_steps_is_predicted_smoothly() -> None:
    """A quarter done every 10 s: never off by more than a step, never up by more than a little."""
    clock = Clock()
    left, last = TimeLeft(clock), None
    for second in range(401):
        seconds = left.update("playing", second // 10 * 0.025)
        true = 400 - second
        if seconds is not None and second > 60:
            assert abs(seconds - true) < 0.25 * true + 10
            assert last is None or seconds < last + 6.0
            last = seconds
        clock.now += 1.0
    assert last is not None


def test_a_new_stage_keeps_what_was_predicted_until_it_knows_better() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    for second in range(51):
        clock.now += 1.0
        left.update("playing", 0.01 * second)
    before = left.left()
    clock.now += 1.0
    assert before is not None
    assert left.update("writing", 0.5) == pytest.approx(before - 1.0)


def test_steps_count_by_the_time_that_they_took() -> None:
    clock = Clock()
    steps = Steps({"slow": 1.0, "quick": 1.0}, 4, clock)
    shares = []
    for _ in range(4):
        for kind, seconds in (("slow", 9.0), ("quick", 1.0)):
            clock.now += seconds
            shares.append(steps.done(kind))
    assert shares == sorted(shares)
    # Once both kinds were measured, the share is that of the time.
    assert shares[2:] == pytest.approx([0.475, 0.5, 0.725, 0.75, 0.975, 1.0])


def test_time_between_steps_belongs_to_none() -> None:
    clock = Clock()
    steps = Steps({"one": 5.0, "other": 5.0}, 1, clock)
    clock.now += 1.0
    steps.done("one")
    clock.now += 100.0
    steps.start()
    clock.now += 1.0
    assert steps.done("other") == 1.0


# The line


def fake_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))


@pytest.mark.parametrize("columns", [1, 12, 40, 60, 61, 80, 200])
@pytest.mark.parametrize("title", ["song.wav", "日本の歌" * 12 + ".wav", "x" * 300, "a\nb\x1b[2J"])
def test_a_line_never_reaches_the_edge(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
    title: str,
) -> None:
    from tqdm.utils import disp_len

    fake_terminal(monkeypatch, columns)
    line = ProgressLine([title, "other"])
    line.show("playing", 0.4)
    line._time_left._end = time.monotonic() + 5000.0
    time.sleep(0.3)
    line.close()
    drawn = [part for part in capsys.readouterr().err.split("\r") if part]
    assert len(drawn) >= 2 or columns == 1
    assert all(disp_len(part) < columns for part in drawn)
    assert not any("\n" in part or "\x1b" in part for part in drawn)
    assert not drawn or drawn[-1].strip() == ""  # wiped away
    if columns > 60:
        assert any(re.search(r"40% \|########-+\| 1:2\d:\d\d left", part) for part in drawn)
    if columns >= 40:
        assert any("playing" in part and "40%" in part for part in drawn)


def test_results_and_notices_stand_on_lines_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_terminal(monkeypatch, 80)
    console = Console()
    with console.progress("one", "two") as line:
        for _ in range(2):
            line.show("playing", 0.5)
            time.sleep(0.25)
            console.error("something failed")
            line.next()
    for part in re.split(r"\r", capsys.readouterr().err):
        assert "something failed" not in part or part.startswith("audiotransfer: something")


def test_plain_lines_are_few(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Console().progress("one", "two") as line:
        for number in range(30):
            line.show("playing" if number < 15 else f"loss {number}.{number}", number / 30)
            time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 3
    assert re.fullmatch(r"audiotransfer: one \(1 of 2\): playing, \d+%", lines[0])
    with Console(quiet=True).progress("one"):
        time.sleep(0.9)
    assert capsys.readouterr().err == ""


# Whole processes


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    style = tmp_path / "styles" / "still"
    style.mkdir(parents=True)
    stems = dict.fromkeys(("drums", "bass", "other", "vocals"), "keep")
    card = {"schema": 1, "name": "still", "description": "all stays", "stems": stems, "weights": {}}
    (style / "card.json").write_text(json.dumps(card))
    monkeypatch.setenv("AUDIOTRANSFER_STYLES", str(tmp_path / "styles"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    audio = 0.1 * np.random.default_rng(0).standard_normal((3 * RATE, 2))
    soundfile.write("song.wav", audio, RATE)
    return tmp_path / "song.wav"


def on_a_terminal(columns: int, *words: str) -> tuple[int, list[tuple[float, str]]]:
    """Runs the command with stderr on a terminal: its code, and what was drawn when."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    began = time.monotonic()
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    drawn = []
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        drawn.append((time.monotonic() - began, part.decode()))
    process.communicate(timeout=60)
    os.close(ours)
    return process.returncode, drawn


def test_a_terminal_shows_a_line_from_the_beginning(song: Path) -> None:
    code, drawn = on_a_terminal(40, "song.wav", "--style", "still", "--separator", "hpss")
    assert code == 0, drawn
    text = "".join(part for _, part in drawn)  # a read may end within a line
    frames = [frame for frame in text.split("\r") if frame.strip()]
    assert "song.wav: loading" in frames[0]
    assert max(map(len, frames)) < 40
    assert text.rstrip(" ").endswith("\r")  # wiped away


def test_a_file_gets_plain_lines(song: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "song.wav", "--style", "still", "--separator", "hpss"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines and all(line.startswith("audiotransfer: song.wav: ") for line in lines)
    assert lines[0] == "audiotransfer: song.wav: loading, 0%"
    assert "\r" not in done.stderr and "|" not in done.stderr


def test_what_a_user_knows_is_said_once(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*COMMAND, "song.wav", "--style", "still", "-f"]
    said = [
        subprocess.run(words, capture_output=True, text=True, timeout=120).stderr for _ in range(2)
    ]
    assert [text.count("fetch htdemucs") for text in said] == [1, 0]
    assert console.is_new("another thing") and not console.is_new("another thing")
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nowhere")
    assert console.is_new("another thing") and console.is_new("another thing")


def test_a_stage_is_told_to_be_done_once(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiotransfer.cli.progress._LINE_SECONDS", 0.0)
    monkeypatch.setattr("audiotransfer.cli.progress._FIRST_SECONDS", 0.0)
    line = ProgressLine(["a", "b"], quiet=True)
    for _ in range(2):
        for stage, share in (("playing", 0.5), ("writing", 0.996), ("writing", 1.0)):
            line.show(stage, share)
            for _ in range(3):
                line._print()
        line.next()
    told = capfd.readouterr().err
    assert told.count("a (1 of 2): writing, 100%") == 1
    assert told.count("b (2 of 2): writing, 100%") == 1
