"""The task that transfers a MIDI file, with its sound before and after for the page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer import midi
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.files import read_lead_sheet, write_lead_sheet
from audiotransfer.leadsheet.from_midi import lead_sheet
from audiotransfer.midi.score import score_of
from audiotransfer.pipeline.cover_options import COVER, CoverOptions
from audiotransfer.pipeline.cover_plan import OTHER, part_name
from audiotransfer.pipeline.midi_options import MidiExtras, MidiOptions
from audiotransfer.pipeline.midi_output import render_midi
from audiotransfer.pipeline.midi_transfer import transfer_midi
from audiotransfer.pipeline.options import StemChoice
from audiotransfer.pipeline.sheet_files import sheet_paths, write_sheet
from audiotransfer.server.editing import edited, sheet_view
from audiotransfer.server.job_tracks import JobTracks
from audiotransfer.server.questions import blind_questions
from audiotransfer.server.tracks import stereo_blocks

if TYPE_CHECKING:
    from audiotransfer.server.process import Reports

_HEADER_PLACE = 200  # bytes of what may stand before a MIDI file's header
_STEMS = ("drums", "bass")


def looks_like_midi(path: Path) -> bool:
    """Whether a file has a MIDI header near its beginning."""
    with path.open("rb") as file:
        return b"MThd" in file.read(_HEADER_PLACE)


def transfer(task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """Transfers a MIDI file and renders it, the song itself, and each part of a cover."""
    folder, asked = Path(task["folder"]), task["options"]
    title = Path(task["name"]).stem
    # Texts that are written into the output name the song's file.
    song = folder / "song.mid"
    song.write_bytes(Path(task["path"]).read_bytes())
    stems = folder / "stems"
    options = MidiOptions(
        style=asked["style"],
        strength=asked["strength"],
        stems={name: StemChoice.parse(choice) for name, choice in asked["stems"].items()},
        seed=asked["seed"],
        extras=MidiExtras(
            render=True,
            suffix=f".{task['format']}",
            encoding=asked["encoding"],
            plot=True,
            score=True,
            stems_out=stems,
        ),
        overwrite=True,
        mode=asked["mode"],
        cover=_cover_options(task, folder),
    )
    output = folder / "output.mid"
    stems.mkdir()

    def progress(share: float) -> None:
        reports.send(progress={"stage": "transfer", "share": 0.4 * share, "left": None})

    progress(0.0)
    try:
        report = transfer_midi(song, output, options, progress)
    except AudioTransferError as error:
        raise AudioTransferError(str(error).replace(str(song), task["name"])) from None
    shown = f"{title}.{asked['style']}"
    files: dict[str, tuple[Path, str]] = {"midi": (output, f"{shown}.mid")}
    endings = {"audio": ("mix", f".mid.{task['format']}"), "plot": ("plot", ".png")}
    endings["score"] = ("notation", ".musicxml")
    for kind, (name, ending) in endings.items():
        if kind in report.files:
            files[name] = Path(report.files[kind]), f"{shown}{ending}"
    reports.send(progress={"stage": "tracks", "share": 0.5, "left": None})
    tracks = JobTracks(folder, reports)
    tracks.add("mix", "mix", partial(stereo_blocks, files["mix"][0]))
    original = folder / "original.wav"
    score = score_of(midi.read(song))
    render_midi(score, original)
    tracks.add("original", "original", partial(stereo_blocks, original))
    for path in sorted(stems.glob("*.wav")):
        name = part_name(path.stem)
        stem = name if name in _STEMS else OTHER
        tracks.add(f"new-{name}", "new", partial(stereo_blocks, path), stem=stem)
        files[f"stem-{name}-new"] = path, f"{shown}.stems/{path.name}"
    sheet = None
    if report.mode == COVER:
        own = _sheet(task) or lead_sheet(score, title)
        write_lead_sheet(own, folder / "sheet.json", overwrite=True)
        sheet = sheet_view(own)
        (folder / "sheets").mkdir()
        paths = sheet_paths(folder / "sheets", "song", ("json", "chords", "musicxml"))
        write_sheet(own, paths)
        for kind, path in paths.items():
            files[f"sheet-{kind}"] = path, f"{title}{path.name.removeprefix('song')}"
    notices = [notice.replace(str(song), task["name"]) for notice in report.notices]
    return {
        "files": {name: [str(path), called] for name, (path, called) in files.items()},
        "report": {"mode": report.mode, "notices": notices, "cover": None},
        "questions": blind_questions(asked["style"]),
        "sheet": sheet,
        **tracks.levels(),
    }


def _sheet(task: dict[str, Any]) -> Any:
    """The lead sheet that a task names, with its edits; ``None`` where it names none."""
    if task["sheet"] is None:
        return None
    return edited(read_lead_sheet(Path(task["sheet"])), task["edits"])


def _cover_options(task: dict[str, Any], folder: Path) -> CoverOptions:
    asked = task["options"]
    path = None
    if (sheet := _sheet(task)) is not None:
        path = folder / "leadsheet.json"
        write_lead_sheet(sheet, path)
    return CoverOptions(
        lead=asked["lead"],
        transpose=asked["transpose"],
        swing=asked["swing"],
        leadsheet=path,
    )
