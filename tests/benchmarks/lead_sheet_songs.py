"""Songs with annotations for the fits and figures of lead sheets.

Read from the folder of the data's zip files: ``pop_pop909.zip``, ``jazz_wjd.zip``,
``jazz_openewld.zip``, ``jsb_chorales.zip``, ``jazz_jtd_piano.zip`` and
``jazz_jtd_chords.json``. A fifth of the artists
is held out from all fits.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from audiotransfer.leadsheet.chords import QUALITIES, parse_symbol
from audiotransfer.midi.score import parse_score

#: Endings of Harte's chord labels -> quality.
_HARTE = {
    "maj": "",
    "min": "m",
    "sus4(b7)": "7sus4",
    "maj6": "6",
    "min6": "m6",
    "min7": "m7",
    "hdim7": "m7b5",
    "minmaj7": "mmaj7",
    "maj9": "maj9",
    "min9": "m9",
}
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass
class Song:
    """A song with what is known of it.

    ``chords`` are start, end (s), root (or ``None``) and quality; ``keys`` start, end (s), tonic
    and mode; ``beats`` ``[N]`` s with ``downbeats`` ``[N]``; ``melody`` the index of its track.
    """

    name: str
    artist: str
    score: Any
    chords: list[tuple[float, float, int | None, str]] = field(default_factory=list)
    keys: list[tuple[float, float, int, str]] = field(default_factory=list)
    beats: np.ndarray | None = None
    downbeats: np.ndarray | None = None
    melody: int | None = None

    @property
    def held_out(self) -> bool:
        """Whether its artist is of the fifth that no fit reads."""
        return zlib.crc32(self.artist.encode()) % 5 == 0


def pitch_class(name: str) -> int:
    """Pitch class of ``Bb`` or ``F#``."""
    return (_STEPS[name[0]] + name.count("#") - name[1:].count("b")) % 12


def pop909(folder: Path) -> Iterator[Song]:
    """Songs of POP909 with melody, chords, keys and beats."""
    with zipfile.ZipFile(folder / "pop_pop909.zip") as pack:
        base = "pop_pop909"
        rows = list(csv.DictReader(io.StringIO(pack.read(f"{base}/index.csv").decode("utf-8-sig"))))
        grids = np.load(io.BytesIO(pack.read(f"{base}/beats.npz")))
        names = set(pack.namelist())
        for row in rows:
            number = f"{int(row['song_id']):03d}"
            path = f"{base}/{number}.mid"
            if path not in names:
                continue
            score = parse_score(pack.read(path), path)
            label = f"{base}/annotations/{number}"
            chords = []
            for line in pack.read(f"{label}.chord_midi.txt").decode().splitlines():
                if len(cells := line.split()) == 3:
                    chords.append((float(cells[0]), float(cells[1]), *harte(cells[2])))
            keys = []
            for line in pack.read(f"{label}.key_audio.txt").decode().splitlines():
                if len(cells := line.split()) == 3:
                    tonic, _, mode = cells[2].partition(":")
                    name = "minor" if mode.startswith("min") else "major"
                    keys.append((float(cells[0]), float(cells[1]), pitch_class(tonic), name))
            melody = next(
                (i for i, t in enumerate(score.tracks) if t.name.strip() == "MELODY"), None
            )
            yield Song(
                number,
                row["artist"] or number,
                score,
                chords,
                keys,
                grids[f"{number}_t"],
                (grids[f"{number}_f"] & 2) > 0,
                melody,
            )


def harte(label: str) -> tuple[int | None, str]:
    """Root and quality of a label in Harte's notation, as ``Bb:min7/b7``."""
    if label in ("N", "X"):
        return None, ""
    root, _, rest = label.partition(":")
    quality = rest.partition("/")[0]
    quality = _HARTE.get(quality, quality)
    return pitch_class(root.partition("/")[0]), quality if quality in QUALITIES else "?"


def weimar(folder: Path) -> Iterator[Song]:
    """Solos of the Weimar Jazz Database with the solo's track."""
    with zipfile.ZipFile(folder / "jazz_wjd.zip") as pack:
        rows = csv.DictReader(io.StringIO(pack.read("jazz_wjd/metadata.csv").decode("utf-8-sig")))
        for row in rows:
            path = f"jazz_wjd/{row['file']}"
            if path not in set(pack.namelist()):
                continue
            score = parse_score(pack.read(path), path)
            tonic, _, mode = (row["key"] or "").partition("-")
            keys = []
            if re.fullmatch(r"[A-G][b#]?", tonic) and mode in ("maj", "min"):
                name = "minor" if mode == "min" else "major"
                keys.append((0.0, 1e9, pitch_class(tonic), name))
            melody = next(i for i, t in enumerate(score.tracks) if t.name.startswith("solo"))
            yield Song(row["file"], row["performer"], score, keys=keys, melody=melody)


def openewld(folder: Path) -> Iterator[Song]:
    """Lead sheets of OpenEWLD: melody and block chords."""
    with zipfile.ZipFile(folder / "jazz_openewld.zip") as pack:
        text = pack.read("jazz_openewld/metadata.csv").decode("utf-8-sig")
        names = set(pack.namelist())
        for row in csv.DictReader(io.StringIO(text)):
            path = f"jazz_openewld/{row['file']}"
            if path not in names:
                continue
            score = parse_score(pack.read(path), path)
            melody = next(i for i, t in enumerate(score.tracks) if t.name == "melody")
            yield Song(row["file"], row["composer"], score, melody=melody)


def trios(folder: Path) -> Iterator[Song]:
    """Piano solos of the Jazz Trio Database under known chord changes."""
    charts = json.loads((folder / "jazz_jtd_chords.json").read_text(encoding="utf-8"))
    with zipfile.ZipFile(folder / "jazz_jtd_piano.zip") as pack:
        text = pack.read("jazz_jtd_piano/metadata.csv").decode("utf-8-sig")
        for row in csv.DictReader(io.StringIO(text)):
            chart = charts.get(row["name"])
            if chart is None:
                continue
            path = f"jazz_jtd_piano/{row['file']}"
            score = parse_score(pack.read(path), path)
            beat = 60.0 / float(row["qpm"])
            first = int(row["beat_index_at_tick0"])
            end = max(int(n.end) for t in score.tracks for n in t.notes) / score.tpq
            chords = []
            changes = [*chart["chords"], [1e9, "NC"]]
            for (at, name), (until, _) in pairwise(changes):
                low, high = max(at - first, 0.0), min(until - first, end)
                if high > low:
                    chords.append((low * beat, high * beat, *weimar_symbol(name)))
            yield Song(row["file"], row["pianist"], score, chords)


def weimar_symbol(text: str) -> tuple[int | None, str]:
    """Root and quality of a chord symbol of the Weimar Jazz Database, as ``D79b``."""
    text = re.sub(r"(7|9)(?:911#|913|11#|13|9b13b|9b|9#|5b|1[13][b#]?)+$", r"\1", text)
    try:
        root, quality, _ = parse_symbol(text)
    except Exception:
        return None, "?"
    return root, quality


def chorales(folder: Path) -> Iterator[Song]:
    """Bach's chorales, whose melody is the soprano; each is its own artist."""
    with zipfile.ZipFile(folder / "jsb_chorales.zip") as pack:
        for path in sorted(name for name in pack.namelist() if name.endswith(".mid")):
            yield Song(path, path, parse_score(pack.read(path), path), melody=0)
