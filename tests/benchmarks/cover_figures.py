"""Runs the command on recordings and on songs whose notes are known, and prints covers' figures.

    python tests/benchmarks/cover_figures.py --recordings data [--songs FOLDER...] [--keep FOLDER]

``recordings.json`` beside this file lists the recordings: by name, artist and licence, with the
files under the folder of ``--recordings`` (a folder of stems is summed). They are read by no
training of a transcription. A folder of ``--songs`` holds ``NAME.flac`` with what is known of it,
``NAME.json`` (see ``arranger_figures.py``); where there is ``NAME.sheet.json`` too, a lead sheet as
the command reads it, the song is also covered from that.

Every song goes through the whole command with its default settings. A song that is not covered, be
it by an error or because the mode is not ``cover``, counts as it came out. ``--tags`` names JSON
lines of an outside tagger (``file``, ``top``: its tags in order, and a probability by tag's name),
whose figures are shown but choose nothing. ``--keep`` keeps inputs, outputs and reports; what is
there already is measured without being run again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.audio.writing import write_audio
from audiotransfer.benchmark.arrangements import Pool, Song, measure_sound, read_song
from audiotransfer.evaluation import plain_table
from audiotransfer.evaluation.metrics.cover_content import (
    RETRIEVED,
    Content,
    content_figures,
    content_of,
    retrieval_figures,
)
from audiotransfer.pipeline import Song as SongSound
from audiotransfer.pipeline import transfer

_LIST = Path(__file__).with_name("recordings.json")
_SUNG_DB = 1.0  # by which the level of a kept singer may change
_AUDIBLE = 0.01  # least power of a voice, of its song's


@dataclass
class Entry:
    """An input of the command, its outputs, and what is known of it."""

    name: str
    group: str
    input: Path
    sung: bool = False
    listed: bool = False
    voice: Path | None = None
    known: Song | None = None
    sheet: Path | None = None
    report: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


def listed(folder: Path, place: Path, seconds: float | None) -> Iterator[Entry]:
    """The recordings of the list; their (cut) files are written into a folder."""
    place.mkdir(parents=True, exist_ok=True)
    for about in json.loads(_LIST.read_text())["recordings"]:
        source = folder / about["files"]
        song = place / f"{about['name']}.flac"
        voice = place / f"{about['name']}.voice.flac"
        if not song.exists():
            if source.is_dir():
                stems = [read_audio(path) for path in sorted(source.glob("*.ogg"))]
                audio, rate = torch.stack([stem for stem, _ in stems]).sum(0), stems[0][1]
                scale = 0.9 / max(0.9, float(audio.abs().max()))
                sung, _ = read_audio(source / "vocals.ogg")
                write_audio(voice, _middle(scale * sung, rate, seconds), rate)
                audio = scale * audio
            else:
                audio, rate = read_audio(source)
                audio = audio.clamp(-1.0, 1.0)
            write_audio(song, _middle(audio, rate, seconds), rate)
        yield Entry(
            about["name"],
            about["genre"],
            song,
            sung=about["sung"],
            listed=about["identification"],
            voice=voice if voice.exists() else None,
        )


def known_songs(folder: Path, most: int | None) -> Iterator[Entry]:
    """The songs of a folder whose notes are known."""
    for path in sorted(folder.glob("*.flac"))[:most]:
        sheet = path.with_suffix(".sheet.json")
        yield Entry(
            path.stem,
            folder.name,
            path,
            known=read_song(path),
            sheet=sheet if sheet.exists() else None,
        )


def run(songs: Sequence[Path], folder: Path, words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Runs the command on songs, whose outputs go to a folder: reports, or errors, by name.

    Reports are kept there; songs that have one are not run again.
    """
    kept = folder / "reports.json"
    reports = json.loads(kept.read_text()) if kept.exists() else {}
    left = [song for song in songs if song.stem not in reports]
    if left:
        command = [sys.executable, "-m", "audiotransfer", *map(str, left), *words]
        command += ["-o", str(folder), "--name", "{song}", "--format", "flac", "--json", "-q", "-f"]
        folder.mkdir(parents=True, exist_ok=True)
        before = os.times()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        after = os.times()
        seconds = after.children_user + after.children_system
        seconds -= before.children_user + before.children_system
        print(f"{len(left)} songs took {seconds:.0f} s of a processor", flush=True)
        try:
            found = json.loads(done.stdout)
        except ValueError:
            found = {"failed": [{"input": str(song), "error": done.stderr[-300:]} for song in left]}
        for one_ in (*found.get("done", []), *found.get("failed", [])):
            reports[Path(one_["input"]).stem] = one_
        kept.write_text(json.dumps(reports, indent=1))
    return {song.stem: reports[song.stem] for song in songs if song.stem in reports}


def audio_of(path: Path) -> Tensor:
    """A sound ``[2, T]`` at 44.1 kHz."""
    audio, rate = read_audio(path)
    return to_stereo(resample(audio, rate, STEREO_RATE))


def voice_change(output: Tensor, source: Tensor, voice: Tensor) -> float:
    """By how many dB a voice is louder in the output than in the source, by least squares.

    NaN for a voice that is more than 20 dB below its song.
    """
    length = min(output.shape[-1], source.shape[-1], voice.shape[-1])
    one, two, sung = (x[:, :length].mean(0).double() for x in (output, source, voice))
    if sung @ sung < _AUDIBLE * (two @ two):
        return float("nan")
    ratio = (one @ sung) / (two @ sung)
    return float(20 * torch.log10(ratio.clamp_min(1e-6)))


def measure_known(output: Tensor, source: Tensor, song: Song) -> dict[str, float]:
    """Harmony and lead of a cover against what is known of its song."""
    pool = Pool()
    measure_sound(output, source, song, frozenset(), pool)
    return {name: values[0] for name, values in pool.figures.items()}


def measure(entry: Entry, output: Path, source: Content, sound: Tensor) -> Content:
    """Adds an output's figures to an entry; its content."""
    audio = audio_of(output)
    found = content_of(audio, STEREO_RATE)
    report = entry.report
    seconds = sound.shape[-1] / STEREO_RATE
    entry.figures |= {
        "cover": float(report.get("mode") == "cover"),
        "as long": float(abs(audio.shape[-1] - sound.shape[-1]) <= 1),
        "time / length": report["wall_seconds"] / seconds,
        **content_figures(found, source),
    }
    if entry.voice is not None:
        entry.figures["voice (dB)"] = voice_change(audio, sound, audio_of(entry.voice))
    if entry.known is not None:
        entry.figures |= measure_known(audio, sound, entry.known)
    return found


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recordings", type=Path, help="folder of the listed recordings' files")
    parser.add_argument("--songs", type=Path, nargs="*", default=[], help="folders of known songs")
    parser.add_argument("--style", default="jazz")
    parser.add_argument("--options", default="", help="further words for the command")
    parser.add_argument("--seconds", type=float, help="only so much of the middle of recordings")
    parser.add_argument("--most", type=int, help="at most so many songs of each folder")
    parser.add_argument("--only", nargs="*", help="names of recordings")
    parser.add_argument("--keep", type=Path, help="folder for inputs, outputs and reports")
    parser.add_argument("--tags", type=Path, nargs="*", default=[], help="JSON lines of a tagger")
    parser.add_argument("-o", "--out", type=Path, help="file for each song's figures, as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = args.keep or Path(temporary)
        entries = (
            list(listed(args.recordings, place / "songs", args.seconds))
            if (args.recordings)
            else []
        )
        if args.only:
            entries = [entry for entry in entries if entry.name in args.only]
        for folder in args.songs:
            entries += known_songs(folder, args.most)
        outputs = place / args.style
        words = ["--style", args.style, *args.options.split()]
        reports = run([entry.input for entry in entries], outputs, words)
        contents: dict[str, tuple[Content, Content]] = {}
        for entry in entries:
            entry.report = reports.get(entry.name, {"error": "no report"})
            one(entry, outputs, args.style, contents)
            shown = {name: round(value, 2) for name, value in entry.figures.items()}
            print(entry.group, entry.name, json.dumps(shown), why(entry.report), flush=True)
        tags = _tags(args.tags, args.style)
        for entry in entries:
            entry.figures |= tags.get(entry.name, {})
        retrieve(entries, contents)
        if args.out is not None:
            found = {entry.name: {"set": entry.group, **entry.figures} for entry in entries}
            args.out.write_text(json.dumps(found, indent=1))
        print("\n" + plain_table(rows(entries)))
    return 0


def one(
    entry: Entry, outputs: Path, style: str, contents: dict[str, tuple[Content, Content]]
) -> None:
    """Measures the output of an entry, and a cover from its true lead sheet."""
    sound = audio_of(entry.input)
    source = content_of(sound, STEREO_RATE)
    if entry.known is not None:
        figures = measure_known(sound, sound, entry.known)
        entry.figures |= {f"source: {name}": value for name, value in figures.items()}
    output = outputs / f"{entry.name}.flac"
    if "error" in entry.report or not output.exists():
        entry.figures |= {"cover": 0.0, "failed": 1.0}
        return
    contents[entry.name] = source, measure(entry, output, source, sound)
    if entry.sheet is not None and entry.known is not None:
        true = outputs / "true sheets" / f"{entry.name}.flac"
        if not true.exists():
            true.parent.mkdir(exist_ok=True)
            song = SongSound.read(entry.input)
            found = transfer(song, style, mode="cover", leadsheet=entry.sheet)
            write_audio(true, found.audio, found.sample_rate)
        figures = measure_known(audio_of(true), sound, entry.known)
        entry.figures |= {f"true sheet: {name}": value for name, value in figures.items()}


def why(report: Mapping[str, Any]) -> str:
    """Why a song failed, or was not covered."""
    if "error" in report:
        return str(report["error"])
    return "" if report.get("mode") == "cover" else "; ".join(report.get("notices", []))


def retrieve(entries: Sequence[Entry], contents: Mapping[str, tuple[Content, Content]]) -> None:
    """Adds the reciprocal ranks among recordings, among the listed ones, and among known songs."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.name not in contents:
            continue
        groups["known songs" if entry.known else "recordings"].append(entry)
        if entry.listed:
            groups["listed"].append(entry)
    for name, group in groups.items():
        sources, found = zip(*(contents[entry.name] for entry in group), strict=True)
        ranks = retrieval_figures([c.fingerprint for c in found], [c.fingerprint for c in sources])
        for entry, figures in zip(group, ranks, strict=True):
            for measure_, value in figures.items():
                how = "Qmax" if measure_ == RETRIEVED else "cross-correlation"
                entry.figures[f"MRR among {len(group)} {name}, {how}"] = value


def rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The table: means of each figure, by instrumental and sung recordings and by set."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.known is None:
            groups["recordings"].append(entry)
            groups["sung" if entry.sung else "instrumental"].append(entry)
        else:
            groups[entry.group].append(entry)
    names = list(dict.fromkeys(name for entry in entries for name in entry.figures))
    table: list[dict[str, Any]] = [
        {"figure": "songs", **{group: str(len(found)) for group, found in groups.items()}}
    ]
    for name in names:
        row: dict[str, Any] = {"figure": name}
        for group, found in groups.items():
            values = [e.figures[name] for e in found if name in e.figures]
            values = [value for value in values if not np.isnan(value)]
            if values:
                row[group] = float(np.mean(values))
                if name == "voice (dB)":
                    row[group] = f"{np.mean(np.abs(values) <= _SUNG_DB):.2f} within 1 dB"
        table.append(row)
    return table


def _tags(paths: Sequence[Path], tag: str) -> dict[str, dict[str, float]]:
    """Of each output by name: the probability of the style's tag, and whether it is the first."""
    found: dict[str, dict[str, float]] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            about = json.loads(line)
            if tag in about:
                found[Path(about["file"]).stem] = {
                    f"tagger: {tag}": about[tag],
                    f"tagger: {tag} first": float(about["top"][0] == tag),
                }
    return found


def _middle(audio: Tensor, rate: int, seconds: float | None) -> Tensor:
    length = audio.shape[-1] if seconds is None else min(audio.shape[-1], round(seconds * rate))
    start = (audio.shape[-1] - length) // 2
    return audio[:, start : start + length]


if __name__ == "__main__":
    sys.exit(main())
