"""A small part of the benchmark that damages audio files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "benchmarks" / "fuzz_audio.py"


@pytest.mark.parametrize(
    "words",
    [
        ("--random", "100", "--mutated", "330", "--reader-only"),
        ("--random", "10", "--mutated", "66", "--seed", "1"),
    ],
    ids=["reading", "transfer"],
)
def test_damaged_files_are_played_as_by_ffmpeg_or_refused(words: tuple[str, ...]) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "refused of what FFmpeg plays" in done.stdout
