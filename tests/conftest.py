"""Fixtures and options that several test files share.

How the tests run: two processes (`pytest-xdist`) share them, each with one thread for torch, or as
many as OMP_NUM_THREADS says where there are cores for them; `pytest -n 0` runs them in one.
Hypothesis draws the same examples each time; `--hypothesis-profile=default` looks for new ones.

`slow` is a test whose law a quicker test of the default run holds too, at fewer places: each
shipped style on a song in blocks of every length and separator, for instance, where the default
run has each style and each separator once. Nothing is held by slow tests only.
"""

from __future__ import annotations

import getpass
import os
import signal
import tempfile
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
    # Before numba is imported: where two processes compile librosa's generalised ufuncs at the same
    # time into one cache, what they load of it later crashes.
    own = f"audiotransfer-numba-{getpass.getuser()}-{os.environ['PYTEST_XDIST_WORKER']}"
    os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(tempfile.gettempdir(), own))

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


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache of separations and transcriptions, apart from the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AUDIOTRANSFER_CACHE", str(folder))
        yield folder


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


@pytest.fixture(scope="session")
def chart() -> Callable[..., Any]:
    """Builds a lead sheet from chord symbols: ``chart("Dm7 G7 | C6")``, bars between bars."""
    from audiotransfer.leadsheet import QUALITIES, Bar, Chord, Key, LeadSheet

    roots = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

    def chord(symbol: str, beat: float, beats: float) -> Chord:
        name, _, bass = symbol.partition("/")
        flats = 2 if name[1:2] in ("b", "#") else 1
        root = roots[name[0]] + {"b": -1, "#": 1}.get(name[1:2], 0)
        assert name[flats:] in QUALITIES, symbol
        return Chord(beat, beats, root % 12, name[flats:], roots[bass] if bass else None)

    def build(
        text: str,
        times: int = 1,
        tonic: int = 0,
        mode: str = "major",
        numerator: int = 4,
        denominator: int = 4,
        bpm: float = 140.0,
    ) -> LeadSheet:
        texts = [bar.split() for bar in text.split("|")] * times
        length = Bar(0, numerator, denominator).beats
        chords: list[Chord] = []
        for index, symbols in enumerate(texts):
            for number, symbol in enumerate(symbols):
                beats = length / len(symbols)
                new = chord(symbol, index * length + number * beats, beats)
                last = chords[-1] if chords else None
                if last and (last.root, last.quality, last.bass) == (
                    new.root,
                    new.quality,
                    new.bass,
                ):
                    chords[-1] = replace(last, beats=last.beats + beats)
                else:
                    chords.append(new)
        return LeadSheet(
            beats=tuple(60 / bpm * beat for beat in range(len(texts) * length + 1)),
            bars=tuple(Bar(index * length, numerator, denominator) for index in range(len(texts))),
            keys=(Key(0, tonic, mode),),
            chords=tuple(chords),
        )

    return build


@pytest.fixture(scope="session")
def jazz_plan() -> Callable[..., Any]:
    """Builds a plan for the jazz band: of a lead sheet, a melody and the energy of each bar."""
    import numpy as np

    import audiotransfer
    from audiotransfer.cover.band import Band
    from audiotransfer.cover.plan import Plan

    folder = Path(audiotransfer.__file__).parent / "styles/shipped/jazz-midi"

    def build(sheet: Any, melody: Any = None, energy: float = 0.6, bars: int = 32) -> Plan:
        count = len(sheet.bars)
        return Plan(
            sheet=sheet,
            band=Band((), counts="counts.json", folder=folder),
            chords=sheet.chords,
            melody=np.zeros((0, 4)) if melody is None else melody,
            energy=np.full(count, energy),
            fills=frozenset(),
            chorus=np.arange(count) // bars,
        )

    return build


@pytest.fixture(scope="session")
def tune() -> Callable[..., Any]:
    """Draws a melody ``[N, 4]`` on a lead sheet: chord tones on beats, the key's between."""
    import numpy as np

    from audiotransfer.cover.harmony import chord_tones

    def build(sheet: Any, seed: int = 0, lowest: int = 64, highest: int = 84) -> Any:
        random, beat, pitch, notes = np.random.default_rng(seed), 0.0, 72, []
        scale = {(sheet.keys[0].tonic + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)}
        while beat < len(sheet.beats) - 1:
            length = float(random.choice([0.5, 0.5, 1.0, 1.0, 1.5, 2.0]))
            if random.random() < 0.85:
                chord = [c for c in sheet.chords if c.beat <= beat + 0.01][-1]
                near = [p for p in range(lowest, highest) if abs(p - pitch) <= 5]
                allowed = chord_tones(chord) if beat % 1 == 0 else scale
                near = [p for p in near if p % 12 in allowed] or near
                pitch = int(random.choice(near))
                notes.append((beat, 0.95 * length, pitch, 80))
            beat += length
        return np.array(notes)

    return build


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
