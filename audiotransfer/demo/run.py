"""Transfers the demo song to a style, and writes its stems, and spectrograms of both."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from audiotransfer.atomic import temporary_path
from audiotransfer.audio.reading import read_audio
from audiotransfer.demo import composition
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.report.plots import save_comparison
from audiotransfer.midi.score import write_score
from audiotransfer.pipeline import ProgressCallback, Report, TransferOptions, transfer_file

#: "Paper lanterns", written for this project (CC0); composition.py has its notes.
_SONG = "paper-lanterns.ogg"


@dataclass(frozen=True)
class Demo:
    """Files of the demo, and the report of its transfer."""

    song: Path
    notes: Path
    """The song as a MIDI file."""
    output: Path
    stems: Path
    plot: Path
    report: Report


def song_path() -> Path:
    """Path of the demo song: 26 s of pop-rock, stereo, 44.1 kHz.

    Raises AudioTransferError if it is missing from the installation.
    """
    path = Path(__file__).with_name(_SONG)
    if not path.is_file():
        raise AudioTransferError(
            f"the demo song {path} is missing from this installation; install the package again"
        )
    return path


def run_demo(
    folder: Path,
    style: str = "jazz",
    *,
    separator: str = "auto",
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
) -> Demo:
    """Writes the song, its transfer, the stems of that and a plot of spectrograms to ``folder``,
    and the song's notes as a MIDI file.

    Raises AudioTransferError where a file exists and ``overwrite`` is not set.
    """
    song = song_path()
    name = song.stem
    demo_song, output = folder / song.name, folder / f"{name}.{style}.wav"
    stems, plot = folder / "stems", folder / "before-after.png"
    notes = folder / f"{name}.mid"
    for path in (demo_song, notes, output, plot):
        if path.exists() and not overwrite:
            raise AudioTransferError(f"{path} is there already; -f writes over it, -o elsewhere")
    try:
        folder.mkdir(exist_ok=True)
        shutil.copyfile(song, demo_song)
    except OSError as error:
        raise AudioTransferError(
            f"folder {folder} cannot be used ({error.strerror}); name another with -o"
        ) from None
    write_score(composition.score(), notes, overwrite=True)
    options = TransferOptions(
        style=style, separator=separator, stems_out=stems, overwrite=overwrite
    )
    report = transfer_file(demo_song, output, options, progress)
    _plot({"before": demo_song, f"after: {style}": output}, plot)
    return Demo(demo_song, notes, output, stems, plot, report)


def _plot(songs: dict[str, Path], target: Path) -> None:
    """Writes the spectrograms of songs, one above the other, as a PNG, atomically."""
    read = {title: read_audio(song) for title, song in songs.items()}
    sample_rate = next(iter(read.values()))[1]
    part = temporary_path(target)
    try:
        save_comparison(part, {title: audio for title, (audio, _) in read.items()}, sample_rate)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
