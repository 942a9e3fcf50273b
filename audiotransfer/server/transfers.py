"""The task that transfers a recording: by the pipeline, with tracks for the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.leadsheet.files import read_lead_sheet, write_lead_sheet
from audiotransfer.pipeline.audio_transfer import transfer_song
from audiotransfer.pipeline.cover_plan import VOCALS, part_name, stems_of
from audiotransfer.pipeline.cut import Cut
from audiotransfer.pipeline.options import TransferOptions, from_fields
from audiotransfer.pipeline.output import Output
from audiotransfer.pipeline.plan import Plan, prepare
from audiotransfer.pipeline.sheet_files import sheet_paths, write_sheet
from audiotransfer.pipeline.sources import FileSource, Source, part_of
from audiotransfer.server.editing import edited, sheet_view
from audiotransfer.server.job_tracks import JobTracks
from audiotransfer.server.live_stems import LiveStems
from audiotransfer.server.questions import blind_questions
from audiotransfer.server.tracks import stereo_blocks
from audiotransfer.timing import TimeLeft

if TYPE_CHECKING:
    from audiotransfer.pipeline.reporting import Progress, Report
    from audiotransfer.server.process import Reports

_SEPARATE = "separate"
_ARRANGEMENT = "arrangement.mid"
_SEPARATED_SHARE, _TRANSFER_SHARE, _STEMS_SHARE = 0.3, 0.85, 0.9  # of a job


def transfer(task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """Transfers a recording, and reports its tracks as they are there: the original, stems as they
    are separated, transferred or played, the mix.

    Returns the files by their public names, what is to be known of the result, and the lead sheet
    of a cover.
    """
    folder = Path(task["folder"])
    options = _options(task, folder)
    song = part_of(FileSource(task["path"], task["name"]), options.cut)
    output = Output.file(folder / f"mix.{task['format']}", options)
    output.check(song)
    plan = _plan(options)
    tracks, left = JobTracks(folder, reports), TimeLeft()
    tracks.add("original", "original", partial(stereo_blocks, song))
    # A cover without the song's voice needs no stems of the song; they come after it.
    separated: dict[str, Path] = {}
    begin = 0.0
    if plan.cover is not None and plan.cover.has_voice:
        begin = _SEPARATED_SHARE
        live = LiveStems(plan, tracks, only_separated=True)
        separated = _original_stems(
            task, song, live, _progress(reports, left, 0.0, begin, _SEPARATE)
        )
    live = LiveStems(plan, tracks)
    report = transfer_song(
        song,
        plan,
        dataclasses.replace(output, on_stems=live),
        _progress(reports, left, begin, _TRANSFER_SHARE),
    )
    assert output.path is not None
    style = task["options"]["style"]
    title = f"{song.title}.{style}"
    files = {"mix": (output.path, f"{title}.{task['format']}")}
    reports.send(progress={"stage": "tracks", "share": _TRANSFER_SHARE, "left": None})
    tracks.add("mix", "mix", partial(stereo_blocks, output.path))
    tracks.finish()
    _add_stems(report, plan, tracks, files, title)
    sheet = None
    if report.mode == "cover":
        sheet = _sheet_files(folder, song, title, files)
        if not separated and options.separator != "none":
            separated = _original_stems(
                task, song, None, _progress(reports, left, _STEMS_SHARE, 1.0, _SEPARATE)
            )
        there = {
            name for name, stem in report.stems.items() if stem.action == "keep" and stem.files
        }
        for name, path in separated.items():
            if name not in there:  # a voice that is kept is there already, as it is in the mix
                tracks.add(f"dry-{name}", "dry", partial(stereo_blocks, path), stem=name)
            files[f"stem-{name}-separated"] = path, f"{song.title}.stems/{path.name}"
    return {
        "files": {name: [str(path), shown] for name, (path, shown) in files.items()},
        "report": _shown(report, task),
        "questions": blind_questions(style),
        "sheet": sheet,
        **tracks.levels(),
    }


def _options(task: dict[str, Any], folder: Path) -> TransferOptions:
    """The options of a task, with its outputs in the job's folder."""
    fields: dict[str, Any] = dict(task["options"])
    if task["sheet"] is not None:
        path = folder / "leadsheet.json"
        write_lead_sheet(edited(read_lead_sheet(Path(task["sheet"])), task["edits"]), path)
        fields |= {"leadsheet": path, "leadsheet_of_part": True}
    options = from_fields(
        **fields,
        stems_out=folder / "stems",
        midi_out=folder / _ARRANGEMENT,
        sheet_out=folder / "sheet.json",
        keep_parts=True,
        overwrite=True,
    )
    return dataclasses.replace(options, cut=Cut(**task["cut"]))


_plans: dict[str, Plan] = {}


def _plan(options: TransferOptions) -> Plan:
    """The plan of a transfer; that of the last job stays loaded."""
    key = repr(
        dataclasses.replace(options, stems_out=None, midi_out=None, sheet_out=None, cut=Cut())
    )
    if key not in _plans:
        _plans.clear()
        _plans[key] = prepare(options)
    return _plans[key]


def _progress(reports: Reports, left: TimeLeft, begin: float, end: float, named: str = "") -> Any:
    """A callback for a part of a job, between two shares of it; ``named`` is all of its stages."""

    def show(now: Progress) -> None:
        share = begin + (end - begin) * now.share
        stage = f"{now.stage} {begin}"  # each part has a rate of its own
        reports.send(
            progress={
                "stage": named or now.stage,
                "share": share,
                "left": left.update(stage, share),
            }
        )

    return show


def _add_stems(
    report: Report, plan: Plan, tracks: JobTracks, files: dict[str, tuple[Path, str]], title: str
) -> None:
    """Tracks of the stems that were written: those of a style or a band are new; others are dry,
    and kept where they are in the mix.
    """
    roles = plan.cover.roles if plan.cover is not None and report.cover is not None else ()
    stem_of = {part_name(role.name): stems_of(role)[0] for role in roles}
    parts = report.cover.parts if report.cover is not None else {}
    for name, part in parts.items():
        for path in map(Path, part.files):
            tracks.add(
                f"new-{name}",
                "new",
                partial(stereo_blocks, path),
                stem=stem_of.get(name, name),
                gain_db=part.gain_db,
            )
            files[f"stem-{name}-new"] = path, f"{title}.stems/{path.name}"
    for name, stem in report.stems.items():
        if stem.action == "cover":  # its files are the band's
            continue
        for path in map(Path, stem.files):
            new = path.stem != name
            role = "new" if new else "dry"
            tracks.add(
                f"{role}-{name}",
                role,
                partial(stereo_blocks, path),
                stem=name,
                gain_db=stem.gain_db,
                kept=stem.action == "keep",
            )
            files[f"stem-{name}-{role}"] = path, f"{title}.stems/{path.name}"


def _original_stems(
    task: dict[str, Any], song: Source, on_stems: LiveStems | None, progress: Any
) -> dict[str, Path]:
    """Files of the song's own stems beside the band that replaces them, to fade between the two."""
    folder = Path(task["folder"]) / "separated"
    options = TransferOptions(
        separator=task["options"]["separator"], seed=task["options"]["seed"], stems_out=folder
    )
    plan = prepare(options, separate_only=True)
    output = dataclasses.replace(Output.stems(folder, options), on_stems=on_stems)
    separated = transfer_song(song, plan, output, progress)
    if on_stems is not None:
        on_stems.finish()
    return {name: Path(stem.files[0]) for name, stem in separated.stems.items() if stem.files}


def _sheet_files(
    folder: Path, song: Source, title: str, files: dict[str, tuple[Path, str]]
) -> dict[str, Any]:
    """Lead sheet, chord sheet and notation of a cover's song, and the arrangement as MIDI; returns
    the lead sheet as the page shows it.
    """
    sheet = read_lead_sheet(folder / "sheet.json")
    place = folder / "sheets"
    place.mkdir()
    paths = sheet_paths(place, "song", ("json", "chords", "musicxml", "midi"))
    write_sheet(sheet, paths)
    files["arrangement"] = folder / _ARRANGEMENT, f"{title}.mid"
    for kind, path in paths.items():
        files[f"sheet-{kind}"] = path, f"{song.title}{path.name.removeprefix('song')}"
    return sheet_view(sheet)


def _shown(report: Report, task: Mapping[str, Any]) -> dict[str, Any]:
    """What a client is told of a report; no paths."""
    cover = report.cover
    return {
        "mode": report.mode,
        "notices": [
            notice.replace(f"{task['folder']}/", "")
            for notice in report.notices
            if _ARRANGEMENT not in notice  # nobody asked for it
        ],
        "loudness_in": report.loudness_in,
        "loudness_out": report.loudness_out,
        "separator": report.separator,
        "kept_voice": bool(report.cover and VOCALS in report.stems),
        "cover": None
        if cover is None
        else {
            "confidence": cover.confidence,
            "tempo": cover.tempo,
            "metre": cover.metre,
            "key": cover.key,
            "sections": cover.sections,
            "chords": cover.chords,
            "lead": cover.lead,
            "parts": {name: part.instrument for name, part in cover.parts.items()},
        },
    }
