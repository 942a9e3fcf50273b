"""Makes the page of recordings and their covers: sound excerpts, figures, text.

    python tests/benchmarks/recordings_page.py [data] [--only NAME...] [--work FOLDER]

``docs/recordings.yaml`` says which recordings of the list beside this file are shown, which 15 s of
their middle half minute, and what was seen in the figures. Every recording is transferred by the
command's defaults but for ``mode`` and ``style``. Outputs that are in ``--work`` already are not
made again. Written are ``docs/recordings.md`` and, where the folder of the recordings is given,
``docs/recordings/`` (Ogg Vorbis and WebP).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import yaml
from cover_figures import listed
from PIL import Image

from audiotransfer.audio.reading import read_audio
from audiotransfer.evaluation.report.plots import save_comparison
from audiotransfer.midi.score import read_score
from audiotransfer.pipeline import TransferOptions, transfer_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

ROOT = Path(__file__).parents[2]
_LIST = Path(__file__).with_name("recordings.json")
_CHOICE = ROOT / "docs" / "recordings.yaml"
_PAGE = ROOT / "docs" / "recordings.md"
_MEDIA = ROOT / "docs" / "recordings"
_CUT, _SECONDS = 30.0, 15.0  # of the recordings that are transferred, and of the excerpts
_FADE = 0.03  # s at both ends of an excerpt
_COMPRESSION = 0.9  # Ogg Vorbis at quality 1
_WEBP = 60  # quality of figures
_ROOM = 0.5  # s that the name of a chord takes
_DRUM_ROW = 4.0  # semitones between the rows of a kit
#: Rows of a kit from below, with their General MIDI keys.
_KIT = {
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "toms": (41, 43, 45, 47, 48, 50),
    "hats": (42, 44, 46, 70),
    "cymbals": (49, 51, 52, 53, 55, 57, 59),
}
_COLOURS = ("C3", "C0", "C2", "C1", "C4", "C5", "C8", "C9")


def main() -> int:
    """Writes the page and what it shows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "recordings", type=Path, nargs="?", help="folder of the listed recordings' files"
    )
    parser.add_argument("--only", nargs="*", help="names of recordings")
    parser.add_argument("--work", type=Path, help="folder for whole inputs and outputs")
    args = parser.parse_args()
    choice = yaml.safe_load(_CHOICE.read_text("utf-8"))
    about = {one["name"]: one for one in json.loads(_LIST.read_text())["recordings"]}
    _PAGE.write_text(page(choice, about), encoding="utf-8")
    if args.recordings is None:
        return 0
    _MEDIA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        inputs = {e.name: e.input for e in listed(args.recordings, work / "songs", _CUT)}
        for entry in choice["recordings"]:
            if args.only is None or entry["name"] in args.only:
                recording(entry, about[entry["name"]], inputs[entry["name"]], work)
        for entry in choice["styles"]:
            if args.only is None or entry["name"] in args.only:
                style_example(entry, about[entry["name"]], inputs[entry["name"]], work)
    return 0


def recording(entry: Mapping[str, Any], about: Mapping[str, Any], song: Path, work: Path) -> None:
    """Source, timbre and cover of jazz: three excerpts and one figure."""
    timbre, _ = transferred(song, "jazz", "timbre", work)
    cover, midi = transferred(song, "jazz", "cover", work)
    sounds = {"source": song, "jazz by timbre": timbre, "jazz cover": cover}
    for kind, path in zip(("source", "timbre", "cover"), sounds.values(), strict=True):
        write_excerpt(path, entry["start"], _MEDIA / f"{entry['name']}.{kind}.ogg")
    figure(sounds, midi, entry["start"], named(about), _MEDIA / f"{entry['name']}.webp")


def style_example(
    entry: Mapping[str, Any], about: Mapping[str, Any], song: Path, work: Path
) -> None:
    """A cover of another style: an excerpt, and a figure with the source beside it."""
    style, target = entry["style"], _MEDIA / f"{entry['name']}.{entry['style']}.webp"
    cover, midi = transferred(song, style, "cover", work)
    write_excerpt(cover, entry["start"], target.with_suffix(".ogg"))
    figure({"source": song, f"{style} cover": cover}, midi, entry["start"], named(about), target)


def transferred(song: Path, style: str, mode: str, work: Path) -> tuple[Path, Path]:
    """The output of a transfer, and the MIDI file of its notes (of a cover)."""
    output = work / f"{song.stem}.{style}.{mode}.flac"
    midi = output.with_suffix(".mid")
    if not output.exists():
        transfer_file(
            song,
            output,
            TransferOptions(
                style=style, mode=mode, midi_out=midi if mode == "cover" else None, overwrite=True
            ),
        )
    return output, midi


def write_excerpt(source: Path, start: float, target: Path) -> None:
    """Writes an excerpt as Ogg Vorbis."""
    audio, rate = read_audio(source)
    excerpt = audio[:, round(start * rate) : round((start + _SECONDS) * rate)].numpy().copy()
    ramp = np.linspace(0.0, 1.0, round(_FADE * rate), dtype=excerpt.dtype)
    excerpt[:, : len(ramp)] *= ramp
    excerpt[:, -len(ramp) :] *= ramp[::-1]
    soundfile.write(
        target, excerpt.T, rate, format="OGG", subtype="VORBIS", compression_level=_COMPRESSION
    )


def figure(sounds: Mapping[str, Path], midi: Path, start: float, title: str, target: Path) -> None:
    """Spectrograms one above the other, and below them the cover's notes."""
    read: dict[str, tuple[Tensor, int]] = {name: read_audio(p) for name, p in sounds.items()}
    rate = next(iter(read.values()))[1]
    drawn = midi.with_name(f"{target.stem}.png")
    save_comparison(
        drawn,
        {name: audio for name, (audio, _) in read.items()},
        rate,
        title=title,
        start=start,
        seconds=_SECONDS,
        below=partial(draw_notes, read_score(midi).to("second"), start),
    )
    Image.open(drawn).convert("RGB").save(target, quality=_WEBP, method=6)


def draw_notes(score: Any, start: float, axes: Axes) -> None:
    """Draws the parts of a score in seconds, and the chords that its markers name."""
    end = start + _SECONDS
    pitched = [track for track in score.tracks if not track.is_drum and len(track.notes)]
    pitches = [note.pitch for track in pitched for note in track.notes]
    low, high = min(pitches, default=48), max(pitches, default=72)
    for track, colour in zip(pitched, _COLOURS, strict=False):
        notes = [n for n in track.notes if n.time < end and n.time + n.duration > start]
        for pitch in {note.pitch for note in notes}:
            spans = [(n.time, 0.97 * n.duration) for n in notes if n.pitch == pitch]
            axes.broken_barh(spans, (pitch - 0.45, 0.9), facecolors=colour)
        axes.plot([], [], color=colour, lw=5, label=track.name)
    bottom = low - _DRUM_ROW * (len(_KIT) + 1)
    ticks = {float(c): f"C{c // 12 - 1}" for c in range(-(-low // 12) * 12, high + 1, 12)}
    for row, (name, keys) in enumerate(_KIT.items()):
        place = bottom + _DRUM_ROW * row
        hits = [
            note.time
            for track in score.tracks
            if track.is_drum
            for note in track.notes
            if note.pitch in keys and start <= note.time < end
        ]
        axes.plot(hits, [place] * len(hits), "|", color="#555555", ms=5)
        ticks[place] = name
    chords = [(m.time, m.text) for m in score.markers if not m.text.startswith("[")]
    for time, name in _until(chords, start, end):
        axes.axvline(time, color="#cccccc", lw=0.6, zorder=0)
        axes.text(time + 0.04, high + 2.5, name, fontsize=8, clip_on=True, parse_math=False)
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=8)
    axes.set_ylim(bottom - 2, high + 6)
    axes.set_xlim(start, end)
    axes.set_ylabel("pitch")
    axes.set_title("notes of the cover, and its chords", loc="left", fontsize=11)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=8, ncols=8, borderaxespad=0.2
    )


def _until(
    chords: Sequence[tuple[float, str]], start: float, end: float
) -> list[tuple[float, str]]:
    """The chords that begin in an excerpt, and that which sounds at its start."""
    before = [(start, name) for time, name in chords if time <= start][-1:]
    if any(start < time < start + _ROOM for time, _ in chords):
        before = []
    return before + [(time, name) for time, name in chords if start < time < end]


def named(about: Mapping[str, Any]) -> str:
    """A recording with its artist and licence."""
    return f"{about['title']} – {about['artist']} ({about['licence']})"


def page(choice: Mapping[str, Any], about: Mapping[str, Mapping[str, Any]]) -> str:
    """The page's text."""
    lines = [f"# {choice['title']}", "", choice["text"].strip(), ""]
    for entry in choice["recordings"]:
        one = about[entry["name"]]
        lines += [f"## {one['title']}", "", f"{entry['kind']}. {credit(one)}", ""]
        lines += ["| source | jazz by timbre | jazz cover |", "|---|---|---|"]
        elements = [
            audio_element(f"{entry['name']}.{kind}") for kind in ("source", "timbre", "cover")
        ]
        lines += [f"| {' | '.join(elements)} |", ""]
        lines += [f"![{alternative(one)}](recordings/{entry['name']}.webp)", ""]
        lines += [entry["seen"].strip(), ""]
    lines += [f"## {choice['other title']}", "", choice["other text"].strip(), ""]
    for entry in choice["styles"]:
        one, name = about[entry["name"]], f"{entry['name']}.{entry['style']}"
        lines += [f"### {one['title']} as {entry['style']}", "", credit(one), ""]
        lines += [audio_element(name), "", f"![{alternative(one)}](recordings/{name}.webp)", ""]
        lines += [entry["seen"].strip(), ""]
    return "\n".join(lines).rstrip() + "\n"


def audio_element(name: str) -> str:
    """The HTML element that plays an excerpt."""
    return f'<audio controls preload="none" src="../recordings/{name}.ogg"></audio>'


def alternative(about: Mapping[str, Any]) -> str:
    """The text that stands for a figure."""
    return f"Spectrograms of {about['title']} before and after, and the cover's notes"


def credit(about: Mapping[str, Any]) -> str:
    """Who made a recording, from where it is, and under which licence the excerpts are."""
    return (
        f'"{about["title"]}" by {about["artist"]}, from {about["source"]}; the recording and'
        f" what is made of it here: {about['licence']}."
    )


if __name__ == "__main__":
    sys.exit(main())
