"""The tasks of worker processes, by their kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from audiotransfer import midi
from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.demo.run import song_path
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.report.plots import save_comparison
from audiotransfer.leadsheet.files import read_lead_sheet
from audiotransfer.midi.score import score_of
from audiotransfer.pipeline.sources import FileSource
from audiotransfer.server import midi_transfers, tracks, transfers
from audiotransfer.server.editing import edited, sheet_view
from audiotransfer.server.mixing import mix_tracks
from separation import SeparationError
from vocoder import VocoderError

if TYPE_CHECKING:
    from audiotransfer.server.process import Reports

#: Errors whose message is for the client.
EXPECTED = (AudioTransferError, SeparationError, VocoderError)
AUDIO, MIDI = "audio", "midi"


def run(task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """Does a task by its ``kind``; returns its result as plain JSON values."""
    try:
        return _TASKS[task["kind"]](task, reports)
    except EXPECTED as error:
        raise AudioTransferError(_without_paths(str(error), task)) from None


def _without_paths(text: str, task: dict[str, Any]) -> str:
    """A message in which the song has its client's name, and other files no folder."""
    if task.get("path"):
        text = text.replace(task["path"], task["name"])
    folder = task.get("folder")
    return text.replace(f"{folder}/", "") if folder else text


def _inspect(task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """Kind and length of an uploaded file, found by its content, and peaks of a recording."""
    path = Path(task["path"])
    if task["demo"]:
        shutil.copyfile(song_path(), path)
    try:
        return _recording(path, task, reports)
    except AudioTransferError as error:
        try:
            return _score(path, task)
        except AudioTransferError as other:
            raise (other if midi_transfers.looks_like_midi(path) else error) from None


def _recording(path: Path, task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    longest: float = task["longest"]
    song = FileSource(path, task["name"])
    too_long = f"lasts longer than the {longest / 60:.0f} minutes that this server takes: cut it"
    if song.frames / song.sample_rate > longest:
        raise AudioTransferError(f"{song.name} {too_long}")

    def blocks() -> Iterator[Tensor]:
        frames = 0
        for block in tracks.stereo_blocks(song):
            frames += block.shape[-1]
            if frames > longest * STEREO_RATE:  # whatever its header says
                raise AudioTransferError(f"{song.name} {too_long}")
            yield block

    peaks, frames = tracks.peaks_of(blocks(), reports.check)
    if not frames:
        raise AudioTransferError(f"{song.name} has no samples")
    return {
        "kind": AUDIO,
        "seconds": frames / STEREO_RATE,
        "peaks": tracks.shown(peaks),
        "notices": list(song.notices),
    }


def _score(path: Path, task: dict[str, Any]) -> dict[str, Any]:
    file = midi.read(path)
    seconds = float(score_of(file).to("second").end())
    if seconds > task["longest"]:
        raise AudioTransferError(
            f"{task['name']} lasts longer than the {task['longest'] / 60:.0f} minutes that this"
            " server takes"
        )
    notices = [_without_paths(notice, task) for notice in file.notices]
    return {"kind": MIDI, "seconds": seconds, "peaks": [], "notices": notices}


def _edit(task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """A cover's lead sheet with edits, as the page shows it."""
    return sheet_view(edited(read_lead_sheet(Path(task["sheet"])), task["edits"]))


def _spectrogram(task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """Spectrograms of the song before and after, one above the other, as a PNG."""
    before, rate = tracks.joined(Path(task["folder"]), task["before"])
    reports.check()
    after, _ = tracks.joined(Path(task["folder"]), task["after"])
    reports.check()
    path = Path(task["folder"]) / "spectrogram.png"
    save_comparison(path, {"before": before, f"after: {task['style']}": after}, rate)
    return {"file": str(path)}


_TASKS: dict[str, Callable[[dict[str, Any], Any], dict[str, Any]]] = {
    "inspect": _inspect,
    "recording": transfers.transfer,
    "midi": midi_transfers.transfer,
    "mix": mix_tracks,
    "edit": _edit,
    "spectrogram": _spectrogram,
}
