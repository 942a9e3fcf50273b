"""Many songs, one plan: the first bad one does not stop the rest."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from audiotransfer import files
from audiotransfer.errors import AudioTransferError
from audiotransfer.parallel import count_workers, each
from audiotransfer.pipeline.job import transfer_file
from audiotransfer.pipeline.options import Report, TransferOptions
from audiotransfer.pipeline.planning import Plan, prepare, resolve_device
from audiotransfer.pipeline.progress import Progress
from audiotransfer.symbolic.score import SUFFIXES as SCORES
from separation import SeparationError
from vocoder import VocoderError


@dataclass(frozen=True)
class Outcome:
    """What became of one song: a report, or the one line that says why there is none."""

    input: Path
    report: Report | None = None
    error: str | None = None


def expand(inputs: Iterable[str | Path], label: str, *, scores: bool = False) -> list[Path]:
    """Files as they are; folders become the songs in them, but for earlier outputs
    (``*.jazz.wav``). With ``scores`` MIDI files are songs too.

    Raises :class:`AudioTransferError` for a folder without songs.
    """
    kinds = (*files.SUFFIXES, *SCORES) if scores else files.SUFFIXES
    songs: list[Path] = []
    for item in inputs:
        path = Path(item)
        if not path.is_dir():
            songs.append(path)
            continue
        listed = files.find_audio(path, kinds)
        found = [file for file in listed if not file.stem.endswith(f".{label}")]
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
    *,
    jobs: int | None = None,
    backend: str | None = None,
) -> list[Outcome]:
    """Each song to its output, with one loading of style and separator.

    With ``stems_out`` and several songs, each song's stems go into a folder of its name in there.
    With several ``jobs``, or on the cluster ``backend`` names (see ``parallel.each``; as many jobs
    as cores where no number is given), songs are worked on side by side: every worker loads what
    it needs, outcomes come in the order in which they end, and ``progress`` is not told. A song
    whose worker dies is tried once more.

    Raises :class:`AudioTransferError` where the request itself is wrong; what is wrong with one
    song is in its outcome.
    """
    if jobs is None and backend is None:
        jobs = 1  # a song has every core to itself
    workers = count_workers(jobs, resolve_device(options.device))
    plan = prepare(options)
    written: dict[str, Path] = {}
    requests = [
        _request(Path(song), Path(output), options, written, len(songs))
        for song, output in zip(songs, outputs, strict=True)
    ]
    alone = workers == 1 and backend is None
    work = partial(_transfer, plan, progress) if alone else _transfer_apart
    outcomes: list[Outcome] = []
    try:
        with closing(each(work, requests, workers, backend, _lost)) as ended:
            for outcome in ended:
                outcomes.append(outcome)
                if done is not None:
                    done(outcome)
    finally:  # workers that died, or were stopped, could not tidy up
        for request in requests:
            for folder in (request.output.parent, request.options.stems_out):
                if folder is not None:
                    files.clear_stale(folder)
    return outcomes


@dataclass(frozen=True)
class _Request:
    """One song with its output and options, or why it is not worked on."""

    song: Path
    output: Path
    options: TransferOptions
    error: str | None = None


def _request(
    song: Path, output: Path, options: TransferOptions, written: dict[str, Path], songs: int
) -> _Request:
    place = os.path.abspath(output)
    if place in written:
        error = (
            f"{output} is the output of {written[place]} already: transfer {song} into another"
            " folder"
        )
        return _Request(song, output, options, error)
    written[place] = song
    try:
        return _Request(song, output, _own_stems(options, song, output, songs))
    except AudioTransferError as failed:
        return _Request(song, output, options, str(failed))


def _transfer(
    plan: Plan, progress: Callable[[Path, Progress], None] | None, request: _Request
) -> Outcome:
    if request.error is not None:
        return Outcome(request.song, error=request.error)
    try:
        report = transfer_file(
            request.song,
            request.output,
            request.options,
            None if progress is None else _for_song(progress, request.song),
            plan=replace(plan, options=request.options),
        )
    except (AudioTransferError, SeparationError, VocoderError) as error:
        return Outcome(request.song, error=str(error))
    return Outcome(request.song, report)


def _transfer_apart(request: _Request) -> Outcome:
    """The same in a worker, which loads style and separator once for all that it is given."""
    common = replace(request.options, stems_out=None)
    return _transfer(_worker_plan(pickle.dumps(common)), None, request)


def _lost(request: _Request, why: str) -> Outcome:
    return Outcome(request.song, error=f"{request.song} is not done: {why}")


@lru_cache(maxsize=1)
def _worker_plan(options: bytes) -> Plan:
    return prepare(pickle.loads(options))


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
