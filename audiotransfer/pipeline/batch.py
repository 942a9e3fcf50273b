"""Many songs, one plan: the first bad one does not stop the rest."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from audiotransfer.atomic import clear_stale
from audiotransfer.errors import AudioTransferError, failure
from audiotransfer.parallel import count_workers, each
from audiotransfer.pipeline.job import transfer_file
from audiotransfer.pipeline.naming import ensure_folder, name_clashes
from audiotransfer.pipeline.options import Report, TransferOptions
from audiotransfer.pipeline.planning import Plan, prepare, resolve_device
from audiotransfer.pipeline.progress import Progress
from separation import SeparationError
from vocoder import VocoderError


@dataclass(frozen=True)
class Outcome:
    """What became of one song: a report, or the one line that says why there is none."""

    input: Path
    report: Report | None = None
    error: str | None = None


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

    Folders of outputs are made. With ``stems_out`` and several songs, each song's stems go into a
    folder in there that is called as its output is, below the folder that all outputs share.
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
    alone = workers == 1 and backend is None
    work = partial(_transfer, plan, progress) if alone else _transfer_apart
    outcomes: list[Outcome] = []
    with _requests(songs, outputs, options) as requests:
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
                        clear_stale(folder)
    return outcomes


@dataclass(frozen=True)
class _Request:
    """One song with its output and options, or why it is not worked on."""

    song: Path
    output: Path
    options: TransferOptions
    error: str | None = None


@contextmanager
def _requests(
    songs: Sequence[str | Path], outputs: Sequence[str | Path], options: TransferOptions
) -> Iterator[list[_Request]]:
    """One for each song; folders that are wanted exist meanwhile, and after it if they are used."""
    stems = _stems_folders(options.stems_out, outputs)
    requests = []
    with ExitStack() as stack:
        for song, output, own, error in zip(
            songs, outputs, stems, name_clashes(songs, outputs), strict=True
        ):
            if error is None:
                try:
                    stack.enter_context(ensure_folder(Path(output).parent))
                    if own is not None:
                        stack.enter_context(ensure_folder(own.parent))
                except AudioTransferError as failed:
                    error = str(failed)
            requests.append(
                _Request(Path(song), Path(output), replace(options, stems_out=own), error)
            )
        yield requests


def _stems_folders(folder: Path | None, outputs: Sequence[str | Path]) -> list[Path | None]:
    if folder is None or len(outputs) < 2:
        return [folder] * len(outputs)
    places = [Path(os.path.abspath(output)) for output in outputs]
    try:
        common = Path(os.path.commonpath([place.parent for place in places]))
    except ValueError:  # several drives
        return [folder / place.stem for place in places]
    return [folder / place.relative_to(common).with_suffix("") for place in places]


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
    except Exception as error:
        return Outcome(request.song, error=failure(request.song, error))
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


def _for_song(progress: Callable[[Path, Progress], None], song: Path) -> Callable[[Progress], None]:
    return lambda state: progress(song, state)
