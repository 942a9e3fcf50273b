"""The report of a transfer as one HTML page: what was transcribed, what was changed, sounds."""

from __future__ import annotations

import base64
import html
import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfiltfilt
from torch import Tensor

from audiotransfer.atomic import write_bytes
from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.report.plots import save_comparison
from audiotransfer.pipeline.cut import Cut
from audiotransfer.pipeline.display import vorbis
from audiotransfer.pipeline.reporting import CoverReport, PartReport, Report
from audiotransfer.synthesis.catalogue import describe
from audiotransfer.timing import clock

_SONG_SECONDS, _STEM_SECONDS = 60.0, 20.0  # that can be listened to
_BANDS = (
    ("the bass", 30.0, 150.0),
    ("the low middle", 150.0, 600.0),
    ("the middle", 600.0, 2500.0),
    ("the treble", 2500.0, 10000.0),
)
"""Names of bands, and their limits in Hz."""
_WARNED_DB = 4.0
_STEM_WARNED_DB = 6.0
WHOLE = Cut()
_QUIET = 1e-4  # RMS below which levels mean nothing
_NEW = " (new)"  # after the name of a part of the band
_DOUBT = 0.5  # confidence below which a transcription is named unsure
_COLUMNS = ("stem", "before", "what is done", "after", "in the mix")
_PLOT_INCHES = 8.0  # wide, so that its letters can be read on a phone

_STYLE = """
:root { color-scheme: light dark; --line: #8886; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 1.5rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: .6rem 0; }
td, th { border-bottom: 1px solid var(--line); padding: .25rem .9rem .25rem 0; text-align: left;
  vertical-align: top; }
.facts td, .path span { overflow-wrap: anywhere; }
.wide { overflow-x: auto; } img { width: 100%; }
audio { width: 100%; max-width: 24rem; }
.players { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; flex: 1 1 18rem; }
.warning { border-left: 4px solid #d80; padding: .2rem .8rem; margin: .4rem 0; }
pre { overflow-x: auto; }
.path span { border: 1px solid var(--line); border-radius: .3rem; padding: .1rem .5rem;
  display: inline-block; margin: .15rem 0; }
"""


@dataclass(frozen=True)
class _Part:
    """A stem or a part of the page: its sounds by what they are, and a line about it.

    ``change`` is that of a changed stem's level, in dB.
    """

    title: str
    about: str
    sounds: dict[str, Tensor]
    change: float | None = None


def write_report_page(
    path: str | Path, report: Report, cut: Cut = WHOLE, *, overwrite: bool = False
) -> None:
    """Writes the report of one song with its pictures and sounds into one HTML file.

    ``cut`` is the part of the song that was transferred. The song, its output, and the stems' files
    that the report names are read. Sounds are in Ogg Vorbis: of the song a minute, of stems 20 s,
    both where they are loudest. Raises AudioTransferError where the report names no output, or the
    file exists.
    """
    if report.output is None:
        raise AudioTransferError("no report of a song that was not written to a file")
    before, after = _read(report.input, cut), _read(report.output)
    length = min(before.shape[-1], after.shape[-1])
    before, after = before[:, :length], after[:, :length]
    parts = _parts(report)
    name = Path(report.input).name
    pieces = [
        f"<h1>{html.escape(Path(report.output).name)}</h1>",
        _table(_facts(report)),
        *(
            f'<p class="warning">{html.escape(text)}</p>'
            for text in _warnings(report, parts, before, after)
        ),
        "<h2>Before and after</h2>",
        _shown({name: before, Path(report.output).name: after}, _SONG_SECONDS),
    ]
    if report.cover is not None:
        pieces += ["<h2>What was transcribed</h2>", _cover(report.cover)]
    pieces += ["<h2>What was changed</h2>", _path(report, parts, before)]
    for part in parts:
        pieces += [
            f'<h2 id="{_anchor(part.title)}">{html.escape(part.title)}</h2>',
            f"<p>{html.escape(part.about)}</p>",
        ]
        pieces.append(_shown(part.sounds, _STEM_SECONDS))
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(pieces)
        + "\n</body>\n</html>\n"
    )
    write_bytes(Path(path), text.encode(), overwrite=overwrite)


def without_stems(report: Report) -> Report:
    """The report without the names of stems' files, which are gone."""
    cover = report.cover
    if cover is not None:
        parts = {name: replace(part, files=()) for name, part in cover.parts.items()}
        cover = replace(cover, parts=parts)
    stems = {name: replace(stem, files=()) for name, stem in report.stems.items()}
    return replace(report, stems=stems, cover=cover)


def _warnings(report: Report, parts: Sequence[_Part], before: Tensor, after: Tensor) -> list[str]:
    """What a listener should know: notices, unsure transcriptions, bands and stems that are louder
    or softer than in the song ``before`` ``[2, T]`` at 44.1 kHz.
    """
    found = list(report.notices)
    if report.cover is not None:
        unsure = [name for name, value in report.cover.confidence.items() if value < _DOUBT]
        if unsure:
            found.append(
                f"the transcription of {' and '.join(unsure)} is unsure: listen for wrong notes,"
                " and correct them (audiotransfer transcribe, --leadsheet)"
            )
    for (name, low, high), change in zip(_BANDS, band_changes(before, after), strict=True):
        if abs(change) >= _WARNED_DB:
            found.append(
                f"{name} ({low:.0f} to {high:.0f} Hz) is {_louder(change)} than in the original"
            )
    for part in parts:
        if part.change is not None and abs(part.change) >= _STEM_WARNED_DB:
            found.append(
                f"{part.title} is {_louder(part.change)} than the original's before the mix;"
                f" --gain {part.title}={-part.change:+.0f} brings it back"
            )
    return found


def band_changes(before: Tensor, after: Tensor) -> list[float]:
    """Changes of level in dB of four bands, relative to that of the whole: ``[2, T]`` at 44.1 kHz.

    0 for bands that are silent in either.
    """
    whole = _change(before, after)
    if whole is None:
        return [0.0] * len(_BANDS)
    changes = []
    for _, low, high in _BANDS:
        sos = butter(4, (low, high), btype="band", fs=STEREO_RATE, output="sos")
        one, other = (
            Tensor(sosfiltfilt(sos, sound.mean(0).numpy()).copy()) for sound in (before, after)
        )
        change = _change(one, other)
        changes.append(0.0 if change is None else change - whole)
    return changes


def _change(before: Tensor, after: Tensor) -> float | None:
    """Change of level in dB; None where either is silent."""
    levels = [float(sound.double().square().mean().sqrt()) for sound in (before, after)]
    if min(levels) < _QUIET:
        return None
    return 20 * math.log10(levels[1] / levels[0])


def _louder(change: float) -> str:
    if round(change) == 0:
        return "as loud"
    return f"{abs(change):.0f} dB {'louder' if change > 0 else 'softer'}"


def _facts(report: Report) -> list[tuple[str, str]]:
    levels = [
        f"{value:.1f} {unit}" if value is not None else "silent"
        for value, unit in (
            (report.loudness_in, "LUFS"),
            (report.loudness_out, "LUFS"),
            (report.true_peak_in, "dBTP"),
            (report.true_peak_out, "dBTP"),
        )
    ]
    separated = f"separated by {report.separator}"
    return [
        ("song", Path(report.input).name),
        ("output", Path(str(report.output)).name),
        ("length", f"{clock(report.seconds)}, {report.sample_rate} Hz, {report.channels} channels"),
        ("mode", report.mode if report.separator == "none" else f"{report.mode}, {separated}"),
        ("loudness", f"{levels[0]} before, {levels[1]} after"),
        ("true peak", f"{levels[2]} before, {levels[3]} after"),
        ("took", f"{report.wall_seconds:.0f} s"),
    ]


def _path(report: Report, parts: Sequence[_Part], song: Tensor) -> str:
    """The song's way from file to file: its stages in a line, and each stem's in a table.

    Levels are relative to the ``song`` ``[2, T]``.
    """
    steps = [Path(report.input).name]
    if report.cover is not None:
        count = len(report.cover.parts)
        steps += ["transcribed", f"arranged for the band ({count} part{'s'[: count != 1]})"]
    if report.separator != "none":
        steps.append(f"separated by {report.separator}")
    count = sum(stem.action == "style" for stem in report.stems.values())
    if count:
        steps.append(f"{count} of {len(report.stems)} stems transferred")
    steps += ["mixed, as loud as the song, true peak limited", Path(str(report.output)).name]
    sounds = {part.title: part for part in parts}
    rows = [
        (title, *_levels(sounds.get(title), song, text), gain)
        for title, text, gain in _changes(report)
    ]
    line = " &rarr; ".join(f"<span>{html.escape(step)}</span>" for step in steps)
    # What a cover's parts were before is nothing: a column without a word is left out.
    used = [at for at in range(1, len(_COLUMNS)) if any(row[at] for row in rows)]
    cells = "".join(
        "<tr>"
        + (
            f'<th><a href="#{_anchor(row[0])}">{html.escape(row[0])}</a></th>'
            if row[0] in sounds
            else f"<th>{html.escape(row[0])}</th>"
        )
        + "".join(f"<td>{html.escape(row[at]).replace(' dB', '&nbsp;dB')}</td>" for at in used)
        + "</tr>"
        for row in rows
    )
    head = "".join(f"<th>{_COLUMNS[at]}</th>" for at in (0, *used))
    return (
        f'<p class="path">{line}</p>'
        f'<div class="wide" tabindex="0"><table><tr>{head}</tr>{cells}</table></div>'
        "<p>Levels are relative to the song's.</p>"
    )


def _anchor(title: str) -> str:
    return "stem-" + re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")


def _levels(part: _Part | None, song: Tensor, text: str) -> tuple[str, str, str]:
    """Level before, what is done, level after, of a stem or of a part of a band."""
    if part is None:
        return "", text, ""
    levels = [_change(song, sound) for sound in part.sounds.values()]
    shown = ["silent" if level is None else f"{level:+.1f} dB" for level in levels]
    if part.title.endswith(_NEW):
        return "", text, shown[-1]
    return shown[0], text, shown[-1]


def _changes(report: Report) -> list[tuple[str, str, str]]:
    """Each stem or part, what is done to it, and its gain in the mix."""
    rows = []
    for title, stem in report.stems.items():
        text = {
            "keep": "kept",
            "mute": "left out",
            "cover": "replaced by the band",
            "style": f"sound changed to {stem.style}",
        }[stem.action]
        if stem.strength not in (None, 1.0) and stem.action == "style":
            text += f" at strength {stem.strength:g}"
        if stem.match:
            text += f"; matched to the reference: {stem.match}"
        gain = {"mute": "out", "cover": "out"}.get(stem.action, f"{stem.gain_db:+.1f} dB")
        rows.append((title, text, gain))
    if report.cover is not None:
        rows += [
            (f"{title}{_NEW}", _played(part), f"{part.gain_db:+.1f} dB")
            for title, part in report.cover.parts.items()
        ]
    return rows


def _cover(cover: CoverReport) -> str:
    rows = [
        ("tempo", f"{cover.tempo:.0f} beats a minute, {cover.metre}"),
        ("key", cover.key),
        ("form", cover.sections),
        ("melody", _instrument(cover.lead) if cover.lead else "the singer's, kept"),
        ("sung", f"{cover.sung:.0f} s"),
        (
            "how sure (0 to 1)",
            ", ".join(f"{name} {value:.2f}" for name, value in cover.confidence.items()),
        ),
        ("bars with a new root", f"{cover.reharmonised:.0%}"),
    ]
    lines = [" | ".join(cover.chords[at : at + 4]) for at in range(0, len(cover.chords), 4)]
    chords = html.escape("\n".join(lines))
    return f"{_table(rows)}<details><summary>chords</summary><pre>{chords}</pre></details>"


def _played(part: PartReport) -> str:
    return f"{_instrument(part.instrument)}, {part.notes} notes"


def _instrument(name: str) -> str:
    """What an instrument is called, as "tenor saxophone"; its own name where it is unknown."""
    try:
        title = describe(name).title
    except AudioTransferError:
        return name
    return re.split("[,(:]", title)[0].strip().lower()


def _parts(report: Report) -> list[_Part]:
    """The stems and parts whose files the report names."""
    found = []
    for title, stem in report.stems.items():
        if stem.action == "cover":  # its files are the band's, which stand below
            continue
        sounds = [_read(file) for file in stem.files]
        if not sounds or not any(bool(sound.any()) for sound in sounds):
            continue
        names = ["before", "after"] if len(sounds) == 2 else [stem.action]
        change = _change(*sounds) if len(sounds) == 2 else None
        about = "before the mix: " + ("as it was" if change is None else _louder(change))
        found.append(_Part(title, about, dict(zip(names, sounds, strict=False)), change))
    if report.cover is not None:
        for title, part in report.cover.parts.items():
            if part.files:
                found.append(_Part(f"{title}{_NEW}", _played(part), {title: _read(part.files[-1])}))
    return found


def _read(path: str | Path, cut: Cut = WHOLE) -> Tensor:
    sound, rate = read_audio(path)
    first, last = cut.samples(sound.shape[-1], rate)
    sound = sound[:, first:last]
    return to_stereo(resample(sound, rate, STEREO_RATE))


def _shown(sounds: dict[str, Tensor], seconds: float) -> str:
    """A picture of spectrograms and a player for each sound, of the loudest part."""
    length = round(seconds * STEREO_RATE)
    first = next(iter(sounds.values()))
    start = _loudest(first, length)
    cut = {name: sound[:, start : start + length] for name, sound in sounds.items()}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "spectrograms.png"
        save_comparison(place, cut, STEREO_RATE, width=_PLOT_INCHES)
        plot = base64.b64encode(place.read_bytes()).decode()
    part = ""
    if first.shape[-1] > length:
        ends = [clock(at / STEREO_RATE) for at in (start, start + length)]
        part = f"<p>{ends[0]} to {ends[1]}</p>"
    audio = "".join(
        f"<figure><figcaption>{html.escape(name)}</figcaption><audio controls preload='metadata' "
        f'src="data:audio/ogg;base64,{base64.b64encode(vorbis(sound, STEREO_RATE)).decode()}">'
        "</audio></figure>"
        for name, sound in cut.items()
    )
    image = f'<img alt="spectrograms" src="data:image/png;base64,{plot}">'
    return f'{part}<div class="players">{audio}</div>{image}'


def _loudest(sound: Tensor, length: int) -> int:
    """Where the loudest part of so many samples begins, in whole seconds."""
    power = sound.square().mean(0).numpy()
    hops = power[: len(power) // STEREO_RATE * STEREO_RATE].reshape(-1, STEREO_RATE).sum(1)
    wide = max(1, length // STEREO_RATE)
    if len(hops) <= wide:
        return 0
    sums = np.convolve(hops, np.ones(wide), mode="valid")
    return int(np.argmax(sums)) * STEREO_RATE


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in rows
    )
    return f'<table class="facts">{lines}</table>'
