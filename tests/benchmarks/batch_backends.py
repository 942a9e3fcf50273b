"""Benchmark: a batch of short songs one after the other, with --jobs, on Dask and on Ray.

    python tests/benchmarks/batch_backends.py                          6 songs of 30 s, one run
    python tests/benchmarks/batch_backends.py --songs 20 --seconds 60 --repeat 3

Each way is a process of its own, start-up and files included, on the same songs; clusters are
local ones that it starts, with as many workers as there are cores. Where other work disturbs the
clock, go by processor seconds (of what a way waits for: Ray's workers are not among them). All
ways must write the same bytes; exit code 1 where one does not, or where a way is slower than one
song after the other by more than the start of its workers (--start seconds).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.writing import write_audio
from audiotransfer.demo import song_path
from audiotransfer.evaluation import plain_table
from audiotransfer.evaluation.report.statistics import Row
from audiotransfer.parallel import BACKENDS, count_workers


def main() -> int:
    """Prints the table and what became of the bars."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--songs", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each")
    parser.add_argument("--jobs", type=int, default=count_workers(None), help="workers")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; medians are shown")
    parser.add_argument("--start", type=float, default=30.0, help="seconds that workers may take")
    parser.add_argument("--style", default="jazz")
    parser.add_argument("--separator", default="embedded")
    args = parser.parse_args()
    ways = {"plain": [], "--jobs": ["--jobs", str(args.jobs)]}
    for name, package in BACKENDS.items():
        if importlib.util.find_spec(package) is None:
            print(f"{name} is not installed")
        else:
            ways[name] = ["--backend", name, "--jobs", str(args.jobs)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        songs = write_songs(place, args.songs, args.seconds)
        common = [*map(str, songs), "--style", args.style, "--separator", args.separator, "-q"]
        rows, written = [], {}
        for name, way in ways.items():
            out = place / name
            out.mkdir()
            runs = [run([*common, *way, "-f", "-o", str(out)]) for _ in range(args.repeat)]
            wall, processor = (statistics.median(of) for of in zip(*runs, strict=True))
            written[name] = [path.read_bytes() for path in sorted(out.iterdir())]
            rows.append(row(name, wall, processor, rows, args.songs))
    print(plain_table(rows))
    limit = float(rows[0]["seconds"]) + args.start
    verdicts = []
    for found in rows[1:]:
        name, seconds = str(found["way"]), float(found["seconds"])
        verdicts.append((f"{name} writes what plain does", written[name] == written["plain"]))
        verdicts.append((f"{name} takes {seconds:.0f} s, at most {limit:.0f}", seconds <= limit))
    for text, holds in verdicts:
        print(f"{'holds' if holds else 'FAILS'}  {text}")
    return 0 if all(holds for _, holds in verdicts) else 1


def row(name: str, wall: float, processor: float, before: list[Row], songs: int) -> Row:
    """A line of the table."""
    plain = float(before[0]["seconds"]) if before else wall
    return {
        "way": name,
        "seconds": wall,
        "a song": wall / songs,
        "× plain": wall / plain,
        "processor": processor,
    }


def write_songs(place: Path, count: int, seconds: float) -> list[Path]:
    """Stretches of the demo's song, each from elsewhere in it."""
    audio, rate = read_audio(song_path())
    length = round(seconds * rate)
    audio = audio.repeat(1, -(-(length + audio.shape[1]) // audio.shape[1]))
    songs = []
    for number in range(count):
        first = torch.Generator().manual_seed(number)
        start = int(torch.randint(audio.shape[1] - length, (1,), generator=first))
        songs.append(place / f"{number}.wav")
        write_audio(songs[-1], audio[:, start : start + length], rate)
    return songs


def run(words: list[str]) -> tuple[float, float]:
    """Wall-clock and processor seconds of the command."""
    began = time.monotonic()
    command = [sys.executable, "-m", "audiotransfer", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(words)}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
