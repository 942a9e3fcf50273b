"""Parallel jobs: local processes, clusters, and workers that die."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiotransfer import parallel
from audiotransfer.errors import AudioTransferError

RATE = 44100
#: Processes of this computer, and the local clusters of all backends that are installed.
WAYS = [None, *(name for name, of in parallel.BACKENDS.items() if importlib.util.find_spec(of))]
every_way = pytest.mark.parametrize("backend", WAYS, ids=str)

#: Workers must find what they are to do: a module beside the songs, and a separator among ours.
MODULE = '''
"""Jobs that end their worker, and a separator that does."""

import os
import signal
from pathlib import Path

import torch

from separation.baselines import MixSeparator


def work(job):
    """The word, unless it says to die: always, or once."""
    word, place = job
    if word == "raise":
        raise ValueError("no such song")
    if word == "threads":
        return torch.get_num_threads()
    if word.startswith("die"):
        tried = Path(place, f"tried {word}")
        before = tried.stat().st_size if tried.exists() else 0
        with tried.open("a") as file:
            file.write("x")
        if word == "die" or before == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return word


class Deadly(MixSeparator):
    """Songs of 0.7 s end the process, those of 0.9 s the first that hears them."""

    def __call__(self, mix, generator=None):
        length = mix.shape[1]
        if length == 30870 or (length == 39690 and not os.path.exists("heard")):
            Path("heard").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(mix, generator)


def load(device="cpu"):
    return Deadly()
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that this process, and all that it starts, imports `deadly` from."""
    (tmp_path / "deadly.py").write_text(MODULE)
    about = tmp_path / "deadly-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[audiotransfer.separators]\ndeadly = deadly:load\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "deadly", raising=False)
    here = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{here}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(words: list[str], place: Path, backend: str | None, **more: object) -> list[object]:
    import deadly  # type: ignore[import-not-found]

    jobs = [(word, str(place)) for word in words]
    return list(parallel.each(deadly.work, jobs, 2, backend, **more))  # type: ignore[arg-type]


def killed(job: tuple[str, str], why: str) -> str:
    return f"{job[0]}: {why}"


@every_way
def test_a_worker_that_dies_costs_its_job_one_retry(
    place: Path, backend: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the job is given up; all others go on, with an even share of the cores."""
    monkeypatch.setattr(parallel, "_cores", lambda: 6)
    before = torch.get_num_threads()
    words = ["a", "die once", "threads", "die", "b", "c", "threads"]
    with socket.socket() as other, warnings.catch_warnings(record=True) as told:
        with suppress(OSError):
            other.bind(("", 8787))  # where another batch may have the page of its cluster
            other.listen()
        warnings.simplefilter("always")
        made = run(words, place, backend, lost=killed)
    assert not [warning for warning in told if "8787" in str(warning.message)]
    (given_up,) = (text for text in made if str(text).startswith("die: "))
    assert "memory" in str(given_up) and "\n" not in str(given_up)
    made.remove(given_up)
    assert sorted(map(str, made)) == ["3", "3", "a", "b", "c", "die once"]
    assert (place / "tried die").read_text() == "xx"
    # A result of a worker that dies before it is collected is computed again.
    assert (place / "tried die once").read_text() in ("xx", "xxx")
    assert torch.get_num_threads() == before


@every_way
def test_the_first_to_raise_ends_the_others(place: Path, backend: str | None) -> None:
    with pytest.raises(ValueError, match=r"^no such song$"):
        run(["a", "raise", "b"], place, backend)


def test_without_a_word_for_lost_jobs_all_ends(place: Path) -> None:
    with pytest.raises(AudioTransferError, match="fewer --jobs") as caught:
        run(["a", "die", "b"], place, None)
    assert "\n" not in str(caught.value)


def test_there_are_no_more_workers_than_jobs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import deadly

    monkeypatch.setattr(parallel, "_cores", lambda: 6)
    jobs = [("threads", str(place))] * 2
    assert list(parallel.each(deadly.work, jobs, 6)) == [3, 3]


def test_stopping_in_the_middle_leaves_no_process(place: Path) -> None:
    import deadly
    import psutil

    me = psutil.Process()
    before = {child.pid for child in me.children(recursive=True)}
    results = parallel.each(deadly.work, [(word, str(place)) for word in "abcdef"], 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    left = {c.pid for c in me.children(recursive=True) if "tracker" not in " ".join(c.cmdline())}
    assert left <= before


@every_way
def test_a_song_that_ends_its_worker_is_that_songs_failure(
    place: Path, backend: str | None
) -> None:
    """One line, exit 1, the other songs done, nothing left of it; no word of the cluster."""
    songs = {"short": 0.5, "deadly": 0.7, "once": 0.9, "long": 1.1}
    for name, seconds in songs.items():
        wave = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * RATE), 2))
        soundfile.write(place / f"{name}.wav", wave, RATE, subtype="FLOAT")
    (place / "out").mkdir()
    way = ["-q", "--jobs", "2", *(["--backend", backend] if backend else [])]
    words = ["--separator", "deadly", "--gain", "other=-6", "-o", "out", *way]
    said = subprocess.run(
        [sys.executable, "-m", "audiotransfer", *(f"{name}.wav" for name in songs), *words],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert said.returncode == 1, said.stderr
    made = {path.name.split(".")[0] for path in (place / "out").iterdir()}
    assert made == set(songs) - {"deadly"}
    assert said.stderr.count("\n") == 1, said.stderr
    assert "deadly.wav is not done" in said.stderr and "memory" in said.stderr


def test_a_stopped_batch_leaves_nothing_unfinished(place: Path) -> None:
    for number in range(2):
        wave = 0.1 * np.random.default_rng(number).standard_normal((40 * RATE, 2))
        soundfile.write(place / f"{number}.wav", wave, RATE)
    (place / "out").mkdir()
    words = ["--separator", "hpss", "--gain", "drums=-6", "-o", "out", "--jobs", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "audiotransfer", "0.wav", "1.wav", *words],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 180
    while not list(place.glob("out/.*.part")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM and "Traceback" not in said
    assert not list((place / "out").iterdir())
