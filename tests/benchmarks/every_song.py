"""Benchmark: runs the command on every song of a folder, and checks each output, as a table.

    python tests/benchmarks/every_song.py FOLDER [--style jazz] [--separator embedded]

Exact length, rate and channels; finite; true peak below full scale or the song's own; loudness
within 1 LU; no seam at the period of the tiles.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path

from audiotransfer.audio.reading import find_audio, read_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import plain_table, seam_energy
from audiotransfer.pipeline import Output, Plan, TransferOptions, prepare, transfer_song
from audiotransfer.pipeline.sources import FileSource
from audiotransfer.spectral.models.note_templates import NoteTemplateModel
from separation import SeparationError
from vocoder import VocoderError

_HOP = 512
_LOUDNESS_LU = 1.0
_SEAM = 1.5


def check(song: Path, output: Path, options: TransferOptions, plan: Plan) -> dict[str, object]:
    """One row: what was measured, and whether everything holds."""
    report = transfer_song(FileSource(song), plan, Output.file(output, options))
    audio, rate = read_audio(output)
    source, _ = read_audio(song)
    drift = (
        abs(report.loudness_out - report.loudness_in)
        if report.loudness_in is not None and report.loudness_out is not None
        else 0.0
    )
    period = round(NoteTemplateModel.core * _HOP * rate / 44100)
    long_enough = audio.shape[-1] > 8 * period
    seam = seam_energy(audio, rate, period) if long_enough else 1.0
    before = seam_energy(source, rate, period) if long_enough else 1.0
    peak = report.true_peak_out if report.true_peak_out is not None else -math.inf
    ceiling = max(0.0, report.true_peak_in or 0.0)
    holds = {
        "length": audio.shape[-1] == source.shape[-1],
        "channels": audio.shape[0] == min(2, source.shape[0]),
        "finite": bool(audio.isfinite().all()),
        "peak": peak <= ceiling + 0.05,
        "loudness": drift <= _LOUDNESS_LU,
        "seam": seam <= max(_SEAM, 1.25 * before),
    }
    return {
        "song": f"{song.parent.name}/{song.name}",
        "seconds": report.seconds,
        "x real time": report.wall_seconds / max(report.seconds, 1e-9),
        "LU": drift,
        "true peak": peak,
        "seam": seam,
        "seam before": before,
        "fails": " ".join(name for name, held in holds.items() if not held) or "-",
    }


def main() -> int:
    """Prints the table; exit code 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--style", default="jazz")
    parser.add_argument("--separator", default="embedded")
    parser.add_argument("--every", type=int, default=1, help="only every so-manieth song")
    args = parser.parse_args()
    options = TransferOptions(style=args.style, separator=args.separator, overwrite=True)
    plan = prepare(options)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for song in find_audio(args.folder)[:: args.every]:
            try:
                rows.append(check(song, Path(folder) / "out.wav", options, plan))
            except (AudioTransferError, SeparationError, VocoderError) as error:
                rows.append({"song": str(song), "fails": f"refused: {error}"})
            print(rows[-1]["song"], rows[-1]["fails"], file=sys.stderr, flush=True)
    failed = [row for row in rows if row["fails"] != "-"]
    print(plain_table(rows))
    print(f"{len(rows) - len(failed)} of {len(rows)} songs hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
