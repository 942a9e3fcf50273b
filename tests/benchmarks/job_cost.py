"""Benchmark: time and peak memory of a transfer, and of Demucs alone on the same songs.

    python tests/benchmarks/job_cost.py                                 4 minutes, median of 3
    python tests/benchmarks/job_cost.py --minutes 4 5 10 30 --repeat 1  all but 2 hours' memory
    python tests/benchmarks/job_cost.py --minutes 5 20 --repeat 1 --reference 0 --style rock
    python tests/benchmarks/job_cost.py --minutes 120 --repeat 1

Demucs is `htdemucs` in its published sizes (41 M parameters) with random weights, which cost as
much as trained ones, run by the library as it is, on songs of up to 4 minutes. "said s" and "said
MB" are what the command announces (`audiotransfer.pipeline.outlook`), without its start-up. Each
run is a process of its own, start-up and files included. Where other work disturbs the clock, go by
processor seconds; "cores" says how many of them a program kept busy. Below the table stands every
bar that was measured, and whether it holds; exit code 1 where one does not.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.writing import AudioWriter
from audiotransfer.demo import song_path
from audiotransfer.evaluation import plain_table
from audiotransfer.evaluation.report.statistics import Row

#: Name in the table -> the most that it may be, by minutes of the song (on two cores).
BARS = {
    "× Demucs": {4: 0.35},
    "× duration": {4: 0.3},
    "peak MB": {4: 1200.0, 5: 1200.0, 10: 1200.0, 20: 1200.0, 30: 1200.0, 120: 2500.0},
    "× half the song": {10: 2.2},
}
STEMS = ["drums", "bass", "other", "vocals"]
JOB = "whole job"
_BYTES = 1024 if sys.platform != "darwin" else 1  # of one unit of ru_maxrss


@dataclass(frozen=True)
class Cost:
    """Of one process: wall-clock seconds, processor seconds, largest resident size in MB."""

    wall: float
    processor: float
    memory: float
    said: tuple[float, float] = (math.nan, math.nan)
    """Seconds and MB that the program announced."""


def main() -> int:
    """Prints the table and what became of the bars."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[4.0], help="song lengths")
    parser.add_argument(
        "--reference", type=float, default=4.0, help="minutes of the longest song for Demucs"
    )
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; medians are shown")
    parser.add_argument("--threads", type=int, help="of each process (default: as many as cores)")
    parser.add_argument("--style", default="jazz")
    parser.add_argument("--mode", default="timbre", choices=("timbre", "cover"))
    parser.add_argument("--folder", type=Path, help="for songs and results (default: temporary)")
    parser.add_argument("--demucs", nargs=2, metavar=("MODEL", "SONG"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.demucs:
        separate(*args.demucs)
        return 0
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        rows = measure(args, Path(folder))
    print(plain_table(rows))
    verdicts = [verdict for row in rows for verdict in held(row)]
    for text, holds in verdicts:
        print(f"{'holds' if holds else 'FAILS'}  {text}")
    return 0 if all(holds for _, holds in verdicts) else 1


def held(row: Row) -> Iterator[tuple[str, bool]]:
    """Each bar that is set for the job on a song of this length, in words, and whether it holds."""
    if row["program"] != JOB:
        return
    for name, limits in BARS.items():
        limit = limits.get(row["minutes"])
        if limit is not None and name in row:
            yield (
                f"{row['minutes']:g} minutes: {name} {row[name]:.4g}, at most {limit:g}",
                row[name] <= limit,
            )


def measure(args: argparse.Namespace, folder: Path) -> list[Row]:
    """One row a length and program."""
    environment = dict(os.environ)
    if args.threads:
        environment["OMP_NUM_THREADS"] = str(args.threads)
    model = str(random_htdemucs(folder)) if min(args.minutes) <= args.reference else ""
    rows: list[Row] = []
    jobs: dict[float, Cost] = {}
    for minutes in sorted(args.minutes):
        seconds = 60 * minutes
        song = folder / "song.wav"
        write_song(song, seconds)
        command = [sys.executable, "-m", "audiotransfer", str(song), "--style", args.style]
        command += ["--mode", args.mode, "--separator", "embedded", "--no-cache"]
        command += ["-o", str(folder / "out.wav"), "-f"]
        reference = [sys.executable, __file__, "--demucs", model, str(song)]
        compared = minutes <= args.reference
        # One after the other in every round, so that both meet the same load.
        rounds = [
            (run(command, environment), run(reference, environment) if compared else None)
            for _ in range(args.repeat)
        ]
        job = jobs[minutes] = median([mine for mine, _ in rounds])
        theirs = [cost for _, cost in rounds if cost is not None]
        row = _row(JOB, minutes, job)
        rows.append(row)
        if theirs:
            demucs = median(theirs)
            row["× Demucs"] = job.wall / demucs.wall
            row["× its processor s"] = job.processor / demucs.processor
            rows.append(_row("htdemucs alone", minutes, demucs))
        if minutes / 2 in jobs:
            row["× half the song"] = job.wall / jobs[minutes / 2].wall
    return rows


def _row(name: str, minutes: float, cost: Cost) -> dict[str, Any]:
    return {
        "program": name,
        "minutes": minutes,
        "wall s": cost.wall,
        "processor s": cost.processor,
        "cores": cost.processor / cost.wall,
        "× duration": cost.wall / (60 * minutes),
        "peak MB": cost.memory,
        "said s": cost.said[0],
        "said MB": cost.said[1],
    }


def run(command: list[str], environment: dict[str, str]) -> Cost:
    """Runs a program to its end. Raises CalledProcessError where it fails."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as messages:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=messages
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        messages.seek(0)
        said = announced(messages.read())
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * _BYTES / 1e6, said)


def announced(messages: str) -> tuple[float, float]:
    """The seconds and MB in a program's messages; NaN where it says none."""
    found = re.search(r"about ((?:\d+:)?\d+:\d\d) here, ([0-9.]+) (GB|MB) of memory", messages)
    if found is None:
        return math.nan, math.nan
    seconds = 0.0
    for part in found[1].split(":"):
        seconds = 60 * seconds + int(part)
    return seconds, float(found[2]) * (1000 if found[3] == "GB" else 1)


def median(costs: list[Cost]) -> Cost:
    """Of each figure by itself."""
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.processor for cost in costs),
        statistics.median(cost.memory for cost in costs),
        (
            statistics.median(cost.said[0] for cost in costs),
            statistics.median(cost.said[1] for cost in costs),
        ),
    )


def write_song(path: Path, seconds: float) -> None:
    """The demo song over and over, 16-bit stereo at 44.1 kHz; never whole in memory."""
    audio, rate = read_audio(song_path())
    left = round(seconds * rate)
    with AudioWriter(path, rate, audio.shape[0], overwrite=True) as writer:
        while left > 0:
            writer.write(audio[:, :left])
            left -= min(left, audio.shape[1])


def random_htdemucs(folder: Path) -> Path:
    """The published sizes of htdemucs with random weights, as the hub would hold it."""
    import torch
    from demucs.htdemucs import HTDemucs

    from separation.demucs.checkpoints import save_bag

    torch.manual_seed(0)
    network = HTDemucs(STEMS, bottom_channels=512, segment=Fraction(39, 5))
    return save_bag(folder / "hub", "random", [network])


def separate(model: str, song: str) -> None:
    """Demucs by its own library, each moment of the song separated once (no shifts)."""
    import torch
    from demucs.apply import apply_model

    from separation.demucs.checkpoints import load_bag
    from separation.demucs.hub import resolve

    bag = load_bag(resolve(model))
    audio, _ = read_audio(song)
    with torch.no_grad():
        apply_model(bag, audio[None], shifts=0, split=True, overlap=0.25)


if __name__ == "__main__":
    sys.exit(main())
