"""Benchmark: time and peak memory of a transfer of a MIDI file, and of starting the program.

    python tests/benchmarks/midi_cost.py                        1, 3 and 10 minutes, median of 3
    python tests/benchmarks/midi_cost.py --style runs/x/jazz    another style's weights

Each run is a process of its own, start-up and files included, on a full band (about 1,900 notes a
minute with drums). Where other work disturbs the clock, go by processor seconds. Where the style
is not installed, weights of its size are drawn at random, which cost as much: what they make has
more notes than a trained network's. Below the table stands whether the bar holds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from job_cost import median, run

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import plain_table
from audiotransfer.styles import Card, StemEntry, find_style, sha256, write_card

#: The most wall-clock seconds for a file of so many minutes, on two cores.
BAR = (3.0, 10.0)
_TPQ = 480
_QPM = 120
_DRUM, _CHORD = (36, 42, 38, 42), (0, 4, 7, 11)


def main() -> int:
    """Prints the table and whether the bar holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 3.0, 10.0])
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; medians are shown")
    parser.add_argument("--threads", type=int, help="of each process (default: as many as cores)")
    parser.add_argument("--style", default="jazz")
    args = parser.parse_args()
    environment = dict(os.environ)
    if args.threads:
        environment["OMP_NUM_THREADS"] = str(args.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        style = style_or_random(args.style, folder)
        start = median(
            [run([sys.executable, "-c", "import torch"], environment) for _ in range(args.repeat)]
        )
        rows = [_row("import torch alone", 0.0, 0, start)]
        for minutes in args.minutes:
            song = folder / "song.mid"
            notes = write_band(song, minutes)
            command = [sys.executable, "-m", "audiotransfer", str(song), "--style", style]
            command += ["-o", str(folder / "out.mid"), "-f", "-q"]
            costs = [run(command, environment) for _ in range(args.repeat)]
            rows.append(_row("transfer", minutes, notes, median(costs)))
    print(plain_table(rows))
    minutes, limit = BAR
    held = [row for row in rows if row["minutes"] == minutes]
    for row in held:
        holds = row["wall s"] <= limit
        print(f"{'holds' if holds else 'FAILS'}  {minutes:g} minutes: {row['wall s']:.3g} s wall, "
              f"{row['processor s']:.3g} s of a processor, at most {limit:g} s")  # fmt: skip
    return 0 if all(row["wall s"] <= limit for row in held) else 1


def _row(program, minutes, notes, cost) -> dict:
    return {
        "program": program,
        "minutes": minutes,
        "notes": notes,
        "wall s": cost.wall,
        "processor s": cost.processor,
        "peak MB": cost.memory,
    }


def style_or_random(name: str, folder: Path) -> str:
    """The style, or one of the trainable size with random weights where there is none."""
    try:
        find_style(name, route="symbolic")
        return name
    except AudioTransferError:
        print(f"no style {name!r} for MIDI files: random weights", file=sys.stderr)
    import torch

    from audiotransfer.symbolic.genre.conditional_networks import ConditionalGenerator
    from audiotransfer.symbolic.genre.transfer import save_generator

    torch.manual_seed(0)
    weights = folder / "pitched.safetensors"
    save_generator(weights, ConditionalGenerator(("jazz", "pop")))
    pitched = StemEntry("symbolic", weights.name, "pitched", options={"target": "jazz"})
    stems = {"pitched": pitched, "drums": None}
    write_card(folder, Card("random", "", stems, {weights.name: sha256(weights)}, "symbolic"))
    return str(folder)


def write_band(path: Path, minutes: float) -> int:
    """Keys, bass, a melody and drums for so many minutes; returns the number of notes."""
    import symusic

    random = np.random.default_rng(0)
    score = symusic.Score(_TPQ)
    score.tempos.append(symusic.Tempo(0, _QPM))
    names = {"keys": 4, "melody": 65, "bass": 33, "drums": 0}
    tracks = {n: symusic.Track(n, program, n == "drums") for n, program in names.items()}
    for beat in range(round(minutes * _QPM)):
        at, root = beat * _TPQ, 48 + int(random.integers(12))
        for interval in _CHORD:
            tracks["keys"].notes.append(symusic.Note(at, 400, root + 12 + interval, 70))
        for half in (0, _TPQ // 2):
            pitch = root + 24 + int(random.integers(12))
            tracks["melody"].notes.append(symusic.Note(at + half, 200, pitch, 80))
            tracks["bass"].notes.append(symusic.Note(at + half, 220, root - 12, 90))
        for step, pitch in enumerate(_DRUM):
            tracks["drums"].notes.append(symusic.Note(at + step * _TPQ // 4, 60, pitch, 90))
        for extra in range(4):
            pitch = root + 36 + extra
            tracks["keys"].notes.append(symusic.Note(at + extra * _TPQ // 4, 100, pitch, 50))
    score.tracks.extend(tracks.values())
    score.dump_midi(path)
    return score.note_num()


if __name__ == "__main__":
    sys.exit(main())
