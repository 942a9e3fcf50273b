"""What the whole job costs, beside Demucs alone on the same songs: time and peak memory.

    python tests/benchmarks/job_cost.py                            a 4-minute song, median of 3
    python tests/benchmarks/job_cost.py --minutes 5 10 --alone     is cost proportional to length?
    python tests/benchmarks/job_cost.py --minutes 30 120 --alone --repeat 1      memory

Demucs is `htdemucs` in its published sizes (41 M parameters) with random weights, which cost as
much as trained ones, run by the library as it is. Each run is a process of its own, start-up and
files included. Where other work disturbs the clock, go by processor seconds. Bars: 0.35 of Demucs
and 0.3 of the song's duration at 4 minutes (on two cores), 2 GB at 30 minutes, 2.5 GB at 2 hours,
10 minutes within 2.2 times the cost of 5.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from audiotransfer import files
from audiotransfer.demo import song_path
from audiotransfer.evaluation import plain_table
from audiotransfer.evaluation.table import Row

STEMS = ["drums", "bass", "other", "vocals"]
_BYTES = 1024 if sys.platform != "darwin" else 1  # of one unit of ru_maxrss


@dataclass(frozen=True)
class Cost:
    """Of one process: wall-clock seconds, processor seconds, largest resident size in MB."""

    wall: float
    processor: float
    memory: float


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[4.0], help="song lengths")
    parser.add_argument("--alone", action="store_true", help="leave Demucs out")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; medians are shown")
    parser.add_argument("--threads", type=int, help="of each process (default: as many as cores)")
    parser.add_argument("--style", default="jazz")
    parser.add_argument("--folder", type=Path, help="for songs and results (default: temporary)")
    parser.add_argument("--demucs", nargs=2, metavar=("MODEL", "SONG"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.demucs:
        separate(*args.demucs)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        print(plain_table(measure(args, Path(folder))))


def measure(args: argparse.Namespace, folder: Path) -> list[Row]:
    """One row a length and program."""
    environment = dict(os.environ)
    if args.threads:
        environment["OMP_NUM_THREADS"] = str(args.threads)
    model = None if args.alone else str(random_htdemucs(folder))
    rows: list[Row] = []
    shortest: Cost | None = None
    for minutes in sorted(args.minutes):
        seconds = 60 * minutes
        song = folder / "song.wav"
        write_song(song, seconds)
        command = [sys.executable, "-m", "audiotransfer", str(song), "--style", args.style]
        command += ["--separator", "embedded", "-o", str(folder / "out.wav"), "-f", "-q"]
        reference = [sys.executable, __file__, "--demucs", str(model), str(song)]
        # One after the other in every round, so that both meet the same load.
        rounds = [
            (run(command, environment), None if model is None else run(reference, environment))
            for _ in range(args.repeat)
        ]
        job = median([mine for mine, _ in rounds])
        theirs = [cost for _, cost in rounds if cost is not None]
        demucs = median(theirs) if theirs else None
        shortest = shortest or job
        row = _row("whole job", seconds, job)
        if demucs:
            row["× Demucs"] = job.wall / demucs.wall
            row["× its processor s"] = job.processor / demucs.processor
        if job is not shortest:
            row["× shortest song"] = job.wall / shortest.wall
        rows.append(row)
        if demucs:
            rows.append(_row("htdemucs alone", seconds, demucs))
    return rows


def _row(name: str, seconds: float, cost: Cost) -> dict[str, object]:
    return {
        "program": name,
        "song s": f"{seconds:g}",
        "wall s": cost.wall,
        "processor s": cost.processor,
        "× duration": cost.wall / seconds,
        "peak MB": f"{cost.memory:.0f}",
    }


def run(command: list[str], environment: dict[str, str]) -> Cost:
    """Runs a program to its end. Raises CalledProcessError where it fails."""
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * _BYTES / 1e6)


def median(costs: list[Cost]) -> Cost:
    """Of each figure by itself."""
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.processor for cost in costs),
        statistics.median(cost.memory for cost in costs),
    )


def write_song(path: Path, seconds: float) -> None:
    """The demo song over and over, 16-bit stereo at 44.1 kHz; never whole in memory."""
    audio, rate = files.read(song_path())
    left = round(seconds * rate)
    with files.Writer(path, rate, audio.shape[0], overwrite=True) as writer:
        while left > 0:
            writer.write(audio[:, :left])
            left -= min(left, audio.shape[1])


def random_htdemucs(folder: Path) -> Path:
    """The published sizes of htdemucs with random weights, as the hub would hold it."""
    import torch
    from demucs.htdemucs import HTDemucs

    from separation.demucs.saving import save_bag

    torch.manual_seed(0)
    network = HTDemucs(STEMS, bottom_channels=512, segment=Fraction(39, 5))
    return save_bag(folder / "hub", "random", [network])


def separate(model: str, song: str) -> None:
    """Demucs by its own library, each moment of the song separated once (no shifts)."""
    import torch
    from demucs.apply import apply_model

    from separation.demucs.hub import resolve
    from separation.demucs.loading import load_bag

    bag = load_bag(resolve(model))
    audio, _ = files.read(song)
    with torch.no_grad():
        apply_model(bag, audio[None], shifts=0, split=True, overlap=0.25)


if __name__ == "__main__":
    main()
