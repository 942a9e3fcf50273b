"""Training on invalid input: one line, exit code 2, nothing lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import soundfile

from audiotransfer.cli import main

RATE = 44100
PREPARE = ["--separator", "none", "--jobs", "1", "--spectrogram", "bins=32", "-q"]
TOY = [
    "unpaired.source=rock",
    "unpaired.target=jazz",
    "unpaired.spectrogram.bins=32",
    "unpaired.frames=24",
    "unpaired.batch=2",
    "unpaired.generator.channels=[4,6]",
    "unpaired.discriminators.window.width=4",
    "unpaired.settings.siamese.width=4",
    "unpaired.checkpoint_metric.songs=0",
    "trainer.steps=2",
    "trainer.workers=0",
]
Run = Callable[..., tuple[int, str, str]]


def song(path: Path, rate: int = RATE, seconds: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(path.parts[-1]))
    soundfile.write(path, 0.05 * random.standard_normal((round(seconds * rate), 2)), rate)
    return path


def songs(root: Path) -> Path:
    for genre in ("rock", "jazz"):
        song(root / genre / f"{genre} band - song.flac")
    return root


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ready")
    assert main(["prepare", str(songs(place / "my")), "-o", str(place / "out"), *PREPARE]) == 0
    return place / "out"


def everything(folder: Path) -> dict[Path, tuple[int, int]]:
    """What there is, and since when."""
    found = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (about.st_size, about.st_mtime_ns) for path, about in found.items()}


def empty_genre(root: Path) -> None:
    (root / "pop").mkdir()


def one_genre(root: Path) -> None:
    (root / "jazz" / "jazz band - song.flac").unlink()
    (root / "jazz").rmdir()


def corrupt_genre(root: Path) -> None:
    (root / "jazz" / "jazz band - song.flac").write_bytes(b"fLaC and then nothing")


def mixed_rates(root: Path) -> None:
    song(root / "jazz" / "another band - song.flac", 22050)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (empty_genre, "genre 'pop' is empty"),
        (one_genre, "make a folder for each genre"),
        (corrupt_genre, "genre 'jazz' is empty"),
        (mixed_rates, "mixed sample rates (1 at 22050 Hz, 2 at 44100 Hz)"),
    ],
)
def test_what_cannot_be_prepared(
    spoil: Callable[[Path], None], words: str, tmp_path: Path, run: Run
) -> None:
    root, out = songs(tmp_path / "my"), tmp_path / "out"
    assert run("prepare", root, "-o", out, *PREPARE)[0] == 0
    before = everything(out)
    spoil(root)
    code, _, error = run("prepare", root, "-o", out, *PREPARE)
    assert code == 2 and words in error and error.count("\n") == 1
    assert everything(out) == before


def test_a_corrupt_song_is_left_out_and_named(tmp_path: Path, run: Run) -> None:
    root, out = songs(tmp_path / "my"), tmp_path / "out"
    cut = song(root / "jazz" / "cut.flac", seconds=2.0)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (root / "jazz" / "nonsense.mp3").write_bytes(b"no music")
    code, _, error = run("prepare", root, "-o", out, *PREPARE[:-1])
    assert code == 0
    for name in ("cut", "nonsense.mp3"):
        assert [line for line in error.splitlines() if "left out" in line and name in line]
    assert not list((out / "songs" / "jazz" / "cut").rglob("*.flac"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["unpaired.tarjet=jazz"], "nearest is unpaired.target"),
        (["trainer.stepps=3"], "nearest is trainer.steps"),
        (["unpaired.settings.travle=3"], "nearest is settings.travel"),
        (["unpaired.target=jaz"], "did you mean jazz"),
        (["unpaired.target=rock"], "one genre only"),
        (["unpaired.frames=3000"], "nothing of other in 'rock' sounds for 3000 frames"),
        (["unpaired.frames=25"], "multiple of 3"),
        (["unpaired.generator.channels=[4,4,4,4,4,4]"], "32 bins cannot be halved 6 times"),
        (["unpaired.generator.channels=[4,4,4,4]"], "frames cannot be halved 4 times"),
        (["unpaired.spectrogram.bins=64"], "bins=32, not 64"),
        (["unpaired.batch=0"], "unpaired.batch is 0"),
        (["unpaired.frames=-3"], "unpaired.frames is -3"),
    ],
)
def test_what_cannot_be_trained(
    changes: list[str], words: str, ready: Path, tmp_path: Path, run: Run
) -> None:
    data = f"unpaired.prepared={ready}"
    code, _, error = run(
        "train", "melgan-vc-unet", data, *TOY, *changes, "-q", "-o", tmp_path / "run"
    )
    assert code == 2 and words in error and error.count("\n") == 1, error
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_a_run_of_another_config_is_not_gone_on_with(ready: Path, tmp_path: Path, run: Run) -> None:
    command = ["train", "melgan-vc-unet", f"unpaired.prepared={ready}", *TOY, "-q"]
    assert run(*command, "-o", tmp_path)[0] == 0
    before = everything(tmp_path / "checkpoint")
    for change, words in (
        ("unpaired.frames=48", "config.frames=24, not 48"),
        ("unpaired.generator.channels=[6,6]", "train it in another folder"),
        ("trainer.seed=7", "seed=0, not 7"),
    ):
        code, _, error = run(*command, change, "-o", tmp_path)
        assert code == 2 and words in error and error.count("\n") == 1
    assert everything(tmp_path / "checkpoint") == before
    assert run(*command, "trainer.steps=3", "-o", tmp_path)[0] == 0


def full(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_at_the_end_of_a_preparation(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = songs(tmp_path / "my"), tmp_path / "out"
    with monkeypatch.context() as change:
        change.setattr(Path, "write_bytes", full)  # how the manifest is written
        code, _, error = run("prepare", root, "-o", out, *PREPARE)
    assert code == 2 and "manifest.json cannot be written (No space left" in error
    assert error.count("\n") == 1
    before = everything(out / "songs")
    assert before and run("prepare", root, "-o", out, *PREPARE)[0] == 0
    assert everything(out / "songs") == before


def test_a_disk_that_is_full_at_the_end_of_a_training(
    ready: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", "melgan-vc-unet", f"unpaired.prepared={ready}", *TOY, "-q"]
    write = Path.write_bytes

    def full_at_the_end(path: Path, data: bytes) -> int:
        return write(path, data) if "config" in path.name else full(path, data)

    with monkeypatch.context() as change:
        change.setattr(Path, "write_bytes", full_at_the_end)  # how the style is written
        code, _, error = run(*command, "-o", tmp_path)
    assert code == 2 and "cannot be written (No space left" in error and error.count("\n") == 1
    before = everything(tmp_path / "checkpoint")
    assert run(*command, "-o", tmp_path)[0] == 0
    assert everything(tmp_path / "checkpoint") == before  # nothing was trained again
    assert (tmp_path / "melgan-vc-unet" / "card.json").is_file()
