"""The tasks of worker processes: songs are inspected, transferred by the pipeline, and mixed."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.demo.run import song_path
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.files import read_lead_sheet
from audiotransfer.pipeline.audio_transfer import transfer_song
from audiotransfer.pipeline.cut import Cut
from audiotransfer.pipeline.options import TransferOptions, from_fields
from audiotransfer.pipeline.output import Output
from audiotransfer.pipeline.plan import Plan, prepare
from audiotransfer.pipeline.sheet_files import sheet_paths, write_sheet
from audiotransfer.pipeline.sources import FileSource, Source, part_of
from audiotransfer.server import tracks
from separation import SeparationError
from vocoder import VocoderError

if TYPE_CHECKING:
    from audiotransfer.pipeline.reporting import Progress
    from audiotransfer.server.process import Reports

#: Errors whose message is for the client.
EXPECTED = (AudioTransferError, SeparationError, VocoderError)
_TRANSFER_SHARE = 0.8  # of a job; the rest makes tracks for the page


def run(task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """Does a task by its ``kind``; returns its result as plain JSON values."""
    try:
        return _TASKS[task["kind"]](task, reports)
    except EXPECTED as error:
        # Messages name files; a client knows the song by its own name alone.
        text = str(error)
        for place, name in ((task.get("path"), task.get("name")), (task.get("folder"), "output")):
            if place and name:
                text = text.replace(place, name)
        raise AudioTransferError(text) from None


def _inspect(task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """Length and kind of an uploaded file, found by its content, and peaks of a recording."""
    path, longest = Path(task["path"]), task["longest"]
    if task["demo"]:
        shutil.copyfile(song_path(), path)
    if path.read_bytes()[:4] == b"MThd":
        raise AudioTransferError("MIDI files come later")
    song = FileSource(path, task["name"])
    if song.frames / song.sample_rate > longest:
        raise AudioTransferError(
            f"{song.name} lasts {song.frames / song.sample_rate / 60:.0f} minutes, and this server"
            f" takes {longest / 60:.0f}: cut it first"
        )

    def blocks() -> Iterator[Tensor]:
        frames = 0
        for block in tracks.stereo_blocks(song):
            frames += block.shape[-1]
            if frames > longest * STEREO_RATE:  # its header may say anything
                raise AudioTransferError(f"{song.name} lasts longer than this server takes")
            yield block

    peaks, frames = tracks.peaks_of(blocks(), reports.check)
    if not frames:
        raise AudioTransferError(f"{song.name} has no samples")
    return {
        "kind": "audio",
        "seconds": frames / STEREO_RATE,
        "sample_rate": song.sample_rate,
        "channels": song.channels,
        "peaks": tracks.shown(peaks),
        "notices": list(song.notices),
    }


def _transfer(task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """A recording in a style, its stems, and tracks of all of them for the page."""
    folder = Path(task["folder"])
    fields: dict[str, Any] = dict(task["options"])
    options = from_fields(
        **fields,
        stems_out=folder / "stems",
        midi_out=folder / "arrangement.mid",
        sheet_out=folder / "sheet.json",
        overwrite=True,
    )
    options = dataclasses.replace(options, cut=Cut(**task["cut"]))
    song = part_of(FileSource(task["path"], task["name"]), options.cut)
    output = Output.file(folder / f"mix.{task['format']}", options)
    output.check(song)
    plan = _plan(options)

    def progress(now: Progress) -> None:
        left = now.seconds_left
        reports.send(
            progress={"stage": now.stage, "share": _TRANSFER_SHARE * now.share, "left": left}
        )

    report = transfer_song(song, plan, output, progress)
    files = {"mix": str(output.path)}
    if report.mode == "cover":
        files |= _sheet_files(folder, song)
    maker = _Tracks(folder, reports)
    maker.add("original", "original", partial(tracks.stereo_blocks, song))
    assert output.path is not None
    maker.add("mix", "mix", partial(tracks.stereo_blocks, output.path))
    wet, dry = _stem_files(report)
    for name, path in wet.items():
        maker.add(f"new-{name}", "new", partial(tracks.stereo_blocks, path))
        files[f"stem-{name}-new"] = str(path)
    for name, path in dry.items():
        maker.add(f"dry-{name}", "dry", partial(tracks.stereo_blocks, path))
        files[f"stem-{name}-dry"] = str(path)
    return {"files": files, "report": report.to_dict(), **maker.levels()}


def _stem_files(report: Any) -> tuple[dict[str, Path], dict[str, Path]]:
    """Files of the stems and parts, new and as separated."""
    wet: dict[str, Path] = {}
    dry: dict[str, Path] = {}
    for name, stem in report.stems.items():
        for file in stem.files:
            (dry if Path(file).stem == name else wet)[name] = Path(file)
    for name, part in (report.cover.parts if report.cover else {}).items():
        for file in part.files:
            wet[name] = Path(file)
    return wet, dry


class _Tracks:
    """Makes the tracks of a job, and reports each as it is done."""

    def __init__(self, folder: Path, reports: Reports) -> None:
        self._folder, self._reports = folder, reports
        self._made: dict[str, Callable[[], Iterator[Tensor]]] = {}

    def add(self, name: str, role: str, blocks: Callable[[], Iterator[Tensor]]) -> None:
        """Writes a track's segments."""
        made = tracks.write_track(blocks, self._folder / f"track-{name}", self._reports.check)
        self._made[name] = blocks
        self._reports.send(track={"name": name, "role": role, **made})

    def levels(self) -> dict[str, Any]:
        """Writes what the loudness of any mix follows from; returns the tracks' order."""
        matrices = tracks.power_matrices(self._made, self._reports.check)
        (self._folder / "levels.f32").write_bytes(matrices.tobytes())
        return {"levels": {"tracks": list(self._made), "hops": len(matrices)}}


def _sheet_files(folder: Path, song: Source) -> dict[str, str]:
    """Chord sheet, notation and MIDI of a cover, and the JSON that it was arranged from."""
    sheet = read_lead_sheet(folder / "sheet.json")
    place = folder / "sheets"
    place.mkdir()
    paths = sheet_paths(place, "song", ("json", "chords", "musicxml", "midi"))
    write_sheet(sheet, paths)
    return {
        "arrangement": str(folder / "arrangement.mid"),
        **{f"sheet-{kind}": str(path) for kind, path in paths.items()},
    }


_plans: dict[str, Plan] = {}


def _plan(options: TransferOptions) -> Plan:
    """The plan of a transfer; that of the last job stays loaded."""
    options = dataclasses.replace(options, stems_out=None, midi_out=None, sheet_out=None, cut=Cut())
    key = repr(options)
    if key not in _plans:
        _plans.clear()
        _plans[key] = prepare(options)
    return _plans[key]


_TASKS: dict[str, Callable[[dict[str, Any], Reports], dict[str, Any]]] = {
    "inspect": _inspect,
    "transfer": _transfer,
}
