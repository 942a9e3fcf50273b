"""The demo: the song that ships, in another style, with its stems and a picture of both."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from audiotransfer.atomic import temporary_path
from audiotransfer.audio.reading import read_audio
from audiotransfer.demo.song import song_path
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.report.plots import save_comparison
from audiotransfer.pipeline import ProgressCallback, Report, TransferOptions, transfer_file


@dataclass(frozen=True)
class Demo:
    """What the demo wrote."""

    song: Path
    output: Path
    stems: Path
    picture: Path
    report: Report


def run_demo(
    folder: Path,
    style: str = "jazz",
    *,
    separator: str = "auto",
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
) -> Demo:
    """Writes the song, the song in the style, its stems and a before/after picture to ``folder``.

    Raises AudioTransferError where a file is there already and may not be written over.
    """
    song = song_path()
    name = song.stem
    demo_song, output = folder / song.name, folder / f"{name}.{style}.wav"
    stems, picture = folder / "stems", folder / "before-after.png"
    for path in (demo_song, output, picture):
        if path.exists() and not overwrite:
            raise AudioTransferError(f"{path} is there already; -f writes over it, -o elsewhere")
    try:
        folder.mkdir(exist_ok=True)
        shutil.copyfile(song, demo_song)
    except OSError as error:
        raise AudioTransferError(
            f"folder {folder} cannot be used ({error.strerror}); name another with -o"
        ) from None
    options = TransferOptions(
        style=style, separator=separator, stems_out=stems, overwrite=overwrite
    )
    report = transfer_file(demo_song, output, options, progress)
    _draw({"before": demo_song, f"after: {style}": output}, picture)
    return Demo(demo_song, output, stems, picture, report)


def _draw(songs: dict[str, Path], picture: Path) -> None:
    """Spectrograms of the songs above each other, as a PNG that appears when it is whole."""
    read = {title: read_audio(song) for title, song in songs.items()}
    sample_rate = next(iter(read.values()))[1]
    part = temporary_path(picture)
    try:
        save_comparison(part, {title: audio for title, (audio, _) in read.items()}, sample_rate)
        os.replace(part, picture)
    finally:
        part.unlink(missing_ok=True)
