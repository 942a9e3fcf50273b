"""Sections of pieces, with a tempo curve, completed by accompaniments, a bass and drums."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.data.rendering.excerpts import sound as sounds
from audiotransfer.data.rendering.excerpts.accompaniment import (
    BASS_PATTERNS,
    accompaniment,
    bass_line,
)
from audiotransfer.data.rendering.excerpts.drum_patterns import (
    pattern_drums,
    patterns_for,
    performed_drums,
)
from audiotransfer.data.rendering.excerpts.invented import invent
from audiotransfer.data.rendering.excerpts.pieces import (
    BASS,
    COUNTER,
    HARMONY,
    LEAD,
    Layer,
    Piece,
    Timeline,
    draw_timeline,
    slowed,
)
from audiotransfer.data.rendering.excerpts.readers import READERS, names_in, read_performance
from audiotransfer.data.rendering.excerpts.solo_singing import (
    accompanied,
    read_singing,
    repitched_singing,
)
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

#: Names among the scores of pieces that are invented, and of singers' recordings with a band.
INVENTED, SINGING = "invented", "singing"
#: The tempo and metre in the name of a drum performance.
_GROOVE = re.compile(r"_(\d+)_beat_4-4")


@dataclass
class ExcerptSettings:
    """Settings of excerpts: pieces, instruments and numbers.

    ``scores`` are zip files or folders of MIDI, named as in `READERS`, with their share of the
    excerpts; ``invented`` among them are pieces made at random, ``singing`` recordings of a singer
    alone (of the files ``singing``) with a band made for them. ``grooves`` is a zip or folder of
    drum performances. ``soundfonts`` play all parts but the share ``own_instruments``, which
    instruments of the package play; ``sung`` is the share of leads that a synthetic voice sings,
    more or less by collection; the share ``spoken`` of these voices sing with the syllables of the
    recordings ``speech``, and ``low`` takes them from the low voice types. The share ``treated`` of
    sung leads is doubled, delayed, compressed and so on, and ``repitched`` of recordings of singers
    has another pitch under its own spectral envelopes. ``dense`` is the share of sections that
    electronic accompaniments and drums are added to. ``lead_level`` is the range of the lead's
    level in dB against all else; none: by collection.

    Of the pieces that get them at all, the share ``drumless`` goes without drums or with soft ones;
    the share ``plain`` of songs with chords has held or broken chords and a simple bass under its
    lead, as a lead sheet is played. ``tempi`` are the slowest and fastest beats a minute, [] those
    of the pieces; ``styles`` the shares of the styles of invented pieces, {} the usual ones.
    ``first`` is the number of the first excerpt.
    """

    scores: dict[str, float] = field(default_factory=dict)
    grooves: str = ""
    singing: list[str] = field(default_factory=list)
    soundfonts: list[str] = field(default_factory=list)
    own_instruments: float = 0.12
    sung: float = 0.25
    speech: list[str] = field(default_factory=list)
    spoken: float = 0.0
    low: float = 0.0
    treated: float = 0.0
    repitched: float = 0.0
    dense: float = 0.0
    lead_level: list[float] = field(default_factory=list)
    drumless: float = 0.0
    plain: float = 0.0
    tempi: list[float] = field(default_factory=list)
    styles: dict[str, float] = field(default_factory=dict)
    excerpts: int = 1000
    first: int = 0
    seconds: float = 20.0
    seed: int = 26
    split: str = "train"
    workers: int = 1


def draw_section(settings: ExcerptSettings, random: Generator) -> tuple[Piece, Timeline]:
    """A section of a random piece, and its tempo curve.

    Raises AudioTransferError where no piece with enough notes is found.
    """
    places = list(settings.scores)
    shares = np.array([settings.scores[place] for place in places])
    for _ in range(80):
        place = places[int(random.choice(len(places), p=shares / shares.sum()))]
        if place == SINGING:
            recording = settings.singing[int(random.integers(len(settings.singing)))]
            singer = read_singing(recording)
            if settings.repitched and random.random() < settings.repitched:
                singer = repitched_singing(recording, random)
            return accompanied(singer, settings.seconds, random)
        if place == INVENTED:
            piece = invent(random, shares=settings.styles)
        else:
            names = names_in(place, settings.split)
            piece = READERS[Path(place).stem](place, names[int(random.integers(len(names)))])
        found = _section(piece, settings, random)
        if found is not None:
            return found
    raise AudioTransferError("no score with enough notes was found in 80 tries; name more scores")


def _section(
    piece: Piece, settings: ExcerptSettings, random: Generator
) -> tuple[Piece, Timeline] | None:
    """A section that fills an excerpt, or None where the drawn one has too few or many notes.

    None, too, where its tempo is not among those of the settings.
    """
    seconds = settings.seconds
    faster = 1.0 if piece.collection == INVENTED else 2 ** random.uniform(-0.3, 0.3)
    tempo = float(np.clip(piece.tempo * faster, 40, 260))
    if piece.collection != "wjd":
        tempo = float(np.clip(tempo, 42 if piece.division == 3 else 55, 215))
    if settings.tempi and not settings.tempi[0] <= tempo <= settings.tempi[1]:
        return None
    beats = int(np.ceil(seconds * 1.3 * tempo / 60)) + 2
    if piece.end < beats * 0.6:
        return None
    first = round(random.uniform(0, max(0.0, piece.end - beats)))
    if random.random() < 0.5:
        first = round(float(piece.bars[np.searchsorted(piece.bars, first)]))
    last = min(piece.end, first + beats)
    if last - first < 8:
        return None
    section = piece.section(first, last)
    count = sum(len(layer.notes) for layer in section.layers)
    if count < 12 or count > 2500:
        return None
    lead = section.layer(LEAD)
    if lead is None and piece.style == "chorale":
        return None
    few = "lead" in piece.known and lead is not None and len(lead.notes) < 6
    if few and random.random() < 0.8:
        return None
    if piece.lengths is not None and section.lengths is not None:
        lengths = np.clip(section.lengths, 0.2, 2.5) * piece.tempo / tempo
        return section, Timeline(np.concatenate([[0.0], np.cumsum(lengths)]))
    drift = float(random.uniform(0.005, 0.03)) if random.random() < 0.5 else 0.0
    timeline = draw_timeline(tempo, round(last - first) + 1, random, drift)
    if random.random() < 0.08:
        timeline = slowed(timeline, seconds * 0.9, random)
    straight = piece.division == 2 and piece.style not in ("jazz", "chorale")
    if straight and random.random() < 0.15:
        timeline = replace(timeline, swing=float(random.uniform(0.55, 0.68)))
    return section, replace(timeline, start=float(random.uniform(0, 60 / tempo)))


def _grooves(settings: ExcerptSettings, tempo: float, style: str) -> list[str]:
    """Drum performances in 4/4 at about a tempo; of jazz where the piece is jazz."""
    found = []
    for name in names_in(settings.grooves, settings.split):
        match = _GROOVE.search(name)
        if match and (style != "jazz" or "jazz" in name):
            ratio = float(match[1]) / tempo
            if 0.75 < ratio < 1.35:
                found.append(name)
    return found


def _add_drums(piece: Piece, tempo: float, settings: ExcerptSettings, random: Generator) -> Piece:
    lengths = np.diff(piece.bars)
    beats = int(np.median(lengths)) if len(lengths) else 4
    fitting = patterns_for(beats, piece.division)
    if piece.style == "jazz" and beats == 4:
        fitting = ["swing"]
    names = _grooves(settings, tempo, piece.style) if settings.grooves and beats % 4 == 0 else []
    if names and random.random() < 0.6:
        performance = read_performance(settings.grooves, names[int(random.integers(len(names)))])
        drums = performed_drums(piece, performance, random) if len(performance) else piece.drums
    elif fitting:
        name = fitting[int(random.integers(len(fitting)))]
        drums = pattern_drums(piece, name, random)
    else:
        drums = pattern_drums(piece, "hat", random)
    return replace(piece, drums=drums)


def complete(piece: Piece, tempo: float, settings: ExcerptSettings, random: Generator) -> Piece:
    """A section with chords as a band plays it: accompaniments, bass and drums are added."""
    if settings.plain and len(piece.chords) and random.random() < settings.plain:
        made = _add_drums(_plain(piece, random), tempo, settings, random)
    else:
        made = _with_band(piece, tempo, settings, random)
    if len(made.drums) and settings.drumless and random.random() < settings.drumless:
        soft = pattern_drums(made, "hat", random, fills=0.0) if random.random() < 0.25 else None
        made = replace(made, drums=made.drums[:0] if soft is None else soft)
    if settings.dense and random.random() < settings.dense:
        made = _electronic(made, random)
    return made


def _electronic(piece: Piece, random: Generator) -> Piece:
    """A section with one to three synthesizers more and, in 4/4, drums of dance music."""
    patterns = [("pad", sounds.PAD_PROGRAMS), ("arpeggio", sounds.PLUCKED_PROGRAMS),
                ("stabs", sounds.CHORD_PROGRAMS), ("sustained", sounds.PAD_PROGRAMS)]  # fmt: skip
    chosen = random.permutation(len(patterns))[: int(random.integers(1, 4))]
    added = [
        replace(accompaniment(piece, patterns[place][0], random), programs=patterns[place][1])
        for place in chosen.tolist()
    ]
    made = replace(piece, layers=(*piece.layers, *added))
    if piece.division == 2 and len(piece.bars) > 1 and round(float(np.diff(piece.bars)[0])) == 4:
        name = ("dance", "house", "techno", "disco", "breakbeat")[int(random.integers(5))]
        made = replace(made, drums=pattern_drums(made, name, random))
    return made


def _plain(piece: Piece, random: Generator) -> Piece:
    """The lead of a piece over one part of chords and, mostly, a bass."""
    lead = piece.layer(LEAD)
    layers = [] if lead is None else [lead]
    pattern = str(random.choice(["pad", "pad", "sustained", "strum", "arpeggio", "beats"]))
    layers.append(_patterned(piece, pattern, random))
    if random.random() < 0.85:
        bass = str(random.choice(["held", "fifths", "fifths", "beats", "dotted", "walking"]))
        layers.append(bass_line(piece, bass, random))
    return replace(piece, layers=tuple(layers))


def _with_band(piece: Piece, tempo: float, settings: ExcerptSettings, random: Generator) -> Piece:
    if piece.collection in ("invented", "freedoom", "piano"):
        return _thinned(piece, random)
    if piece.collection == "singing":
        drummed = random.random() < 0.75
        return _add_drums(piece, tempo, settings, random) if drummed else piece
    if piece.collection == "jsb":
        drummed = random.random() < 0.1 and len(piece.bars) > 1
        return _add_drums(piece, tempo, settings, random) if drummed else piece
    if piece.collection == "wjd":
        layers = [part for part in piece.layers if part.role == LEAD or random.random() < 0.85]
        made = replace(piece, layers=tuple(layers))
        return _add_drums(made, tempo, settings, random) if random.random() < 0.85 else made
    layers = [part for part in piece.layers if part.role == HARMONY]
    lead, counter = piece.layer(LEAD), piece.layer(COUNTER)
    if lead is not None and random.random() > 0.03:
        layers.insert(0, lead)
    if lead is not None and counter is not None and random.random() < 0.55:
        layers.append(replace(counter, notes=_outside_rests(counter.notes, lead.notes)))
    if len(piece.chords):
        if random.random() < 0.45:
            pattern = str(random.choice(["pad", "pad", "strum", "strum", "arpeggio", "alberti",
                                         "stabs", "beats", "power", "sustained"]))  # fmt: skip
            layers.append(_patterned(piece, pattern, random))
        if random.random() < 0.92:
            layers.append(bass_line(piece, str(random.choice(BASS_PATTERNS)), random))
    made = replace(piece, layers=tuple(layers))
    if random.random() < 0.75:
        made = _add_drums(made, tempo, settings, random)
    return made


def _outside_rests(notes: Rows, lead: Rows) -> Rows:
    """Notes but for those in rests of the lead of two beats and more, where they would lead."""
    if not len(lead):
        return notes[:0]
    before = np.searchsorted(lead[:, 0], notes[:, 0] + 1e-6) - 1
    ends = np.maximum.accumulate(lead[:, 0] + lead[:, 1])
    since = np.where(before >= 0, notes[:, 0] - ends[np.maximum(before, 0)], np.inf)
    after = np.append(lead[:, 0], np.inf)[before + 1] - notes[:, 0]
    return notes[(since <= 0) | (np.maximum(since, 0) + after < 2)]


def _thinned(piece: Piece, random: Generator) -> Piece:
    """A band's piece with at most seven parts that play, and at times without its drums."""
    parts = [part for part in piece.layers if len(part.notes)]
    keep = [part for part in parts if part.role in (LEAD, BASS)]
    others = [part for part in parts if part.role not in (LEAD, BASS)]
    chosen = sorted(random.permutation(len(others))[: 7 - len(keep)])
    made = replace(piece, layers=(*keep, *(others[place] for place in chosen)))
    if random.random() < 0.05:
        made = replace(made, drums=made.drums[:0])
    return made


def _patterned(piece: Piece, pattern: str, random: Generator) -> Layer:
    programs = {
        "pad": sounds.PAD_PROGRAMS,
        "sustained": sounds.PAD_PROGRAMS,
        "strum": sounds.STRUMMED_PROGRAMS,
        "arpeggio": sounds.PLUCKED_PROGRAMS,
        "alberti": sounds.PLUCKED_PROGRAMS,
        "power": (29, 30, 30),
    }.get(pattern, ())
    return replace(accompaniment(piece, pattern, random), programs=programs)
