"""Fixtures and options that several test files share.

How the tests run: two processes (`pytest-xdist`) share them, each with one thread for torch, or as
many as OMP_NUM_THREADS says where there are cores for them; `pytest -n 0` runs them in one.
Hypothesis draws the same examples each time; `--hypothesis-profile=default` looks for new ones.

`slow` is a test whose law a quicker test of the default run holds too, at fewer places: each
shipped style on a song in blocks of every length and separator, for instance, where the default
run has each style and each separator once. Nothing is held by slow tests only.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported, which reads them once. More threads than cores in all make the
    # tests several times slower.
    given = os.environ.get("OMP_NUM_THREADS", "")
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    threads = max(1, min(share, int(given) if given.isdigit() else 1))
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)

settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")


@contextmanager
def at_each_step() -> Iterator[None]:
    """Trainings do at each step whatever they do at intervals; fails unless they did.

    A config must not fail for the first time where a diagnosis comes in, at step 500.
    """
    from audiotransfer.training import Trainer, TrainerSettings
    from audiotransfer.training.diagnosis import Diagnosis
    from audiotransfer.training.log import Log

    intervals = {f.name: 1 for f in fields(TrainerSettings) if f.name.endswith("_every")}
    done: Counter[str] = Counter()
    begin = Trainer.__init__

    def begin_with(
        self: Any, objective: Any, batches: Any, settings: Any, *rest: Any, **named: Any
    ) -> None:
        begin(self, objective, batches, replace(settings, **intervals), *rest, **named)

    with pytest.MonkeyPatch.context() as patched:

        def count(kind: type, name: str) -> None:
            inner = getattr(kind, name)

            def counted(*given: Any, **named: Any) -> Any:
                made = inner(*given, **named)
                done[name] += 1
                return made

            patched.setattr(kind, name, counted)

        patched.setattr(Trainer, "__init__", begin_with)
        count(Trainer, "_train_step")
        count(Trainer, "_validate")
        count(Trainer, "_save")
        count(Log, "preview")
        count(Diagnosis, "check")
        yield
    steps = done.pop("_train_step")
    assert steps and set(done) == {"_validate", "_save", "preview", "check"}, done
    assert all(times >= steps for times in done.values()), (steps, done)


@pytest.fixture(scope="session")
def every_branch_of() -> Callable[[], AbstractContextManager[None]]:
    """`at_each_step`, for trainings that a test shares with others."""
    return at_each_step


@pytest.fixture
def every_branch() -> Iterator[None]:
    """`at_each_step`, for a test that trains a config."""
    with at_each_step():
        yield


@pytest.fixture
def run(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process, on a terminal of 80 columns: exit code, stdout, stderr.

    Progress is not printed: how often it is depends on the machine.
    """
    from audiotransfer.cli import main, progress

    monkeypatch.setattr(progress, "_FIRST_SECONDS", 1e6)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def command(*words: str | Path) -> tuple[int, str, str]:
        capfdbinary.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as leave:
            code = int(leave.code or 0)
        out, err = capfdbinary.readouterr()
        return code, os.fsdecode(out), os.fsdecode(err)

    return command


@pytest.fixture
def sheet_of() -> Callable[..., Any]:
    """Makes lead sheets of a song of eighths and longer notes in C, one chord a bar."""
    import numpy as np

    from audiotransfer.leadsheet import Bar, Chord, Key, LeadSheet, Note, Section

    def sheet(bpm: float = 140.0, bars: int = 32, metre: str = "4/4", seed: int = 0) -> LeadSheet:
        numerator, denominator = (int(number) for number in metre.split("/"))
        length, part = (bar := Bar(0, numerator, denominator)).beats, 1 / bar.division
        period, total = 60.0 / bpm, bar.beats * bars
        random = np.random.default_rng(seed)
        notes, place, pitch = [], 0.0, 67
        while place < total - length:
            long = float(random.choice([part, part, part, 1.0, 1.0, 1.0 + part]))
            pitch = int(np.clip(pitch + random.choice([-3, -2, -1, 1, 2, 4]), 58, 79))
            if random.random() < 0.9:
                start, end = place, min(place + 0.95 * long, total - length)
                velocity = int(random.integers(70, 95))
                notes.append(Note(start * period, (end - start) * period, pitch, velocity))
            place += long
        notes.append(Note((total - length) * period, length * 0.9 * period, 72, 80))
        roots = [((0, ""), (9, "m"), (2, "m"), (7, "7"))[index % 4] for index in range(bars - 1)]
        return LeadSheet(
            beats=tuple((np.arange(total + 1) * period).tolist()),
            bars=tuple(Bar(index * length, numerator, denominator) for index in range(bars)),
            keys=(Key(0, 0, "major"),),
            sections=tuple(
                Section(start * length, 8 * length, "AABA"[start // 8 % 4])
                for start in range(0, bars - 7, 8)
            ),
            chords=tuple(
                Chord(float(index * length), float(length), root, quality)
                for index, (root, quality) in enumerate([*roots, (0, "")])
            ),
            melody=tuple(notes),
            energy=tuple((0.5 + 0.3 * np.sin(np.arange(bars) / 5)).tolist()),
        )

    return sheet
