"""Many songs, one plan: the first bad one does not stop the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audiotransfer import files
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.job import transfer_file
from audiotransfer.pipeline.options import Report, TransferOptions
from audiotransfer.pipeline.planning import prepare
from audiotransfer.pipeline.progress import Progress
from separation import SeparationError
from vocoder import VocoderError


@dataclass(frozen=True)
class Outcome:
    """What became of one song: a report, or the one line that says why there is none."""

    input: Path
    report: Report | None = None
    error: str | None = None


def style_label(options: TransferOptions) -> str:
    """What default outputs are called after: the style's name, else ``mix``."""
    style = options.style
    if style is None:
        return "mix"
    return Path(style).name if isinstance(style, (str, Path)) else style.name


def default_output(
    song: str | Path, label: str, suffix: str = ".wav", folder: str | Path | None = None
) -> Path:
    """``SONG.jazz.wav`` in a folder, or where one stands."""
    return Path(folder or ".") / f"{Path(song).stem}.{label}{suffix}"


def expand(inputs: Iterable[str | Path], label: str) -> list[Path]:
    """Files as they are; folders become the songs in them, but for earlier outputs
    (``*.jazz.wav``).

    Raises :class:`AudioTransferError` for a folder without songs.
    """
    songs: list[Path] = []
    for item in inputs:
        path = Path(item)
        if not path.is_dir():
            songs.append(path)
            continue
        found = [file for file in files.find_audio(path) if not file.stem.endswith(f".{label}")]
        if not found:
            raise AudioTransferError(
                f"folder {path} holds no audio: name a song, or another folder"
            )
        songs += found
    return songs


def transfer_many(
    songs: Sequence[str | Path],
    outputs: Sequence[str | Path],
    options: TransferOptions,
    progress: Callable[[Path, Progress], None] | None = None,
    done: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Each song to its output, with one loading of style and separator.

    With ``stems_out`` and several songs, each song's stems go into a folder of its name in there.

    Raises :class:`AudioTransferError` where the request itself is wrong; what is wrong with one
    song is in its outcome.
    """
    plan = prepare(options)
    outcomes: list[Outcome] = []
    written: dict[str, Path] = {}
    for item, output in zip(songs, outputs, strict=True):
        song = Path(item)
        try:
            place = os.path.abspath(output)
            if place in written:
                raise AudioTransferError(
                    f"{output} is the output of {written[place]} already: transfer {song}"
                    " into another folder"
                )
            written[place] = song
            own = _own_stems(options, song, Path(output), len(songs))
            report = transfer_file(
                song,
                output,
                own,
                None if progress is None else _for_song(progress, song),
                plan=replace(plan, options=own),
            )
            outcome = Outcome(song, report)
        except (AudioTransferError, SeparationError, VocoderError) as error:
            outcome = Outcome(song, error=str(error))
        outcomes.append(outcome)
        if done is not None:
            done(outcome)
    return outcomes


def _own_stems(options: TransferOptions, song: Path, output: Path, songs: int) -> TransferOptions:
    if options.stems_out is None or songs == 1:
        return options
    try:
        options.stems_out.mkdir(exist_ok=True)
    except OSError as error:
        raise AudioTransferError(f"stems folder {options.stems_out}: {error.strerror}") from None
    return replace(options, stems_out=options.stems_out / output.stem)


def _for_song(progress: Callable[[Path, Progress], None], song: Path) -> Callable[[Progress], None]:
    return lambda state: progress(song, state)
