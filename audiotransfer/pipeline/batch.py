"""Style transfer of several songs by one plan; a song that fails does not stop the others."""

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
from audiotransfer.pipeline.audio_transfer import transfer_song
from audiotransfer.pipeline.naming import ensure_folder, name_clashes
from audiotransfer.pipeline.options import TransferOptions
from audiotransfer.pipeline.output import Output
from audiotransfer.pipeline.plan import Plan, prepare, resolve_device
from audiotransfer.pipeline.reporting import Progress, Report
from audiotransfer.pipeline.sources import FileSource, part_of
from separation import SeparationError
from vocoder import VocoderError


@dataclass(frozen=True)
class Outcome:
    """The result of one song: a report, or the one line that says why it failed."""

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
    planned: Callable[[Plan], None] | None = None,
    jobs: int | None = None,
    backend: str | None = None,
) -> list[Outcome]:
    """Transfers each song to its output; style and separator are loaded once.

    Folders of outputs are made. With ``stems_out`` and several songs, each song's stems go into a
    subfolder with the name of its output, below the folder that all outputs share. With several
    ``jobs``, or on the cluster that ``backend`` names (see ``parallel.each``; as many jobs as cores
    where no number is given), songs run in parallel: every worker loads what it needs, outcomes
    come in the order in which they end, and ``progress`` is not called. A song whose worker dies is
    tried once more. ``planned`` is called with the plan before any song.

    Raises :class:`AudioTransferError` where the request itself is wrong; an error of one song is in
    its outcome.
    """
    if jobs is None and backend is None:
        jobs = 1  # a song has every core to itself
    workers = count_workers(jobs, resolve_device(options.device))
    plan = prepare(options)
    if plan.cover is not None and options.cover.leadsheet is not None and len(songs) > 1:
        raise AudioTransferError(
            f"{options.cover.leadsheet} is the lead sheet of one song, and there are {len(songs)}:"
            " give each of them with its own"
        )
    if planned is not None:
        planned(plan)
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
                for folder in (request.folder, request.output.stems_folder):
                    if folder is not None:
                        clear_stale(folder)
    return outcomes


@dataclass(frozen=True)
class _Request:
    """One song with its options and its output; or the error for which it is left out."""

    song: Path
    options: TransferOptions
    """Of all songs: what the plan is made from."""
    output: Output
    error: str | None = None

    @property
    def folder(self) -> Path | None:
        return self.output.path.parent if self.output.path else None


@contextmanager
def _requests(
    songs: Sequence[str | Path], outputs: Sequence[str | Path], options: TransferOptions
) -> Iterator[list[_Request]]:
    """A request for each song. Output folders exist inside the context, and stay if used."""
    stems = stems_folders(options.stems_out, outputs)
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
                    if options.midi_out is not None and len(songs) > 1:
                        stack.enter_context(ensure_folder(options.midi_out))
                except AudioTransferError as failed:
                    error = str(failed)
            midi = options.midi_out
            if midi is not None and len(songs) > 1:
                midi = midi / f"{Path(output).stem}.mid"
            place = replace(Output.file(output, options), stems_folder=own, midi=midi)
            requests.append(_Request(Path(song), options, place, error))
        yield requests


def stems_folders(folder: Path | None, outputs: Sequence[str | Path]) -> list[Path | None]:
    """The folder for each output's stems: the given one, or subfolders of it for several."""
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
        song = part_of(FileSource(request.song), request.options.cut)
        request.output.check(song)
        on_progress = None if progress is None else partial(progress, request.song)
        report = transfer_song(song, plan, request.output, on_progress)
    except (AudioTransferError, SeparationError, VocoderError) as error:
        return Outcome(request.song, error=str(error))
    except Exception as error:
        return Outcome(request.song, error=failure(request.song, error))
    return Outcome(request.song, report)


def _transfer_apart(request: _Request) -> Outcome:
    """`_transfer` in a worker process, which loads style and separator once for all its songs."""
    return _transfer(_worker_plan(pickle.dumps(request.options)), None, request)


def _lost(request: _Request, why: str) -> Outcome:
    return Outcome(request.song, error=f"{request.song} is not done: {why}")


@lru_cache(maxsize=1)
def _worker_plan(options: bytes) -> Plan:
    return prepare(pickle.loads(options))
