"""Pieces invented at random: progressions with melodies, riffs or grooves, in metres and styles
that collections of scores lack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.data.rendering.excerpts.accompaniment import accompaniment, bass_line, chord_at
from audiotransfer.data.rendering.excerpts.drum_patterns import pattern_drums
from audiotransfer.data.rendering.excerpts.pieces import COUNTER, LEAD, Layer, Piece, monophonic
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.random import Generator
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
#: Roots (semitones over the tonic) and qualities (indices into CHORD_QUALITIES), by mode.
_CHORDS = {
    "major": ((0, 0), (2, 1), (4, 1), (5, 0), (7, 0), (9, 1), (0, 3), (5, 3), (2, 4), (7, 2),
              (9, 4), (10, 0), (11, 5)),
    "minor": ((0, 1), (3, 0), (5, 1), (7, 1), (8, 0), (10, 0), (0, 4), (5, 4), (7, 2), (8, 3),
              (2, 5)),
}  # fmt: skip
_SHARES = {
    "major": (6, 2, 1.5, 5, 5, 4, 1, 1, 1, 1.5, 1, 0.7, 0.3),
    "minor": (6, 3, 3, 2, 4, 4, 1, 1, 1.5, 1, 0.4),
}


@dataclass(frozen=True)
class Style:
    """What a style of invented pieces is made of.

    ``bar`` beats, each of ``division`` parts; a range of tempi; names of drum, bass and harmony
    patterns; ``leads`` are shares of a melody, a riff of the bass, a riff of another instrument
    and no lead. ``own`` are programs of melody and riff, of the bass and of the chords; () any.
    A melody's notes begin between beats with ``between`` times its density.
    """

    bar: int
    division: int
    tempo: tuple[float, float]
    drums: tuple[str, ...]
    basses: tuple[str, ...]
    harmonies: tuple[str, ...]
    leads: tuple[float, float, float, float]
    bass_programs: tuple[int, ...] = ()
    lead_programs: tuple[int, ...] = ()
    drum_share: float = 0.85
    swing: tuple[float, float] = (0.5, 0.5)
    between: float = 0.6


_SYNTHS = (80, 81, 81, 82, 84, 87, 38, 39, 62, 63)
STYLES: dict[str, Style] = {
    "electronic": Style(4, 2, (110, 150), ("dance", "house", "techno", "disco", "breakbeat"),
                        ("acid", "acid", "offbeat", "octaves", "eighths", "riff", "syncopated"),
                        ("pad", "stabs", "arpeggio", "strum", "sustained"), (0.3, 0.25, 0.25, 0.2),
                        (38, 39, 38, 39, 81, 87), _SYNTHS, 0.97),
    "hip hop": Style(4, 2, (68, 102), ("boom bap", "boom bap", "trap", "sparse", "breakbeat"),
                     ("syncopated", "riff", "held", "fifths"), ("pad", "beats", "sustained",
                     "arpeggio", "stabs"), (0.3, 0.2, 0.25, 0.25), (33, 38, 39, 32),
                     (4, 5, 0, 11, 26, 73, 61, 80, 49), 0.97, (0.5, 0.6)),
    "rock": Style(4, 2, (84, 190), ("rock", "rock 2", "half time", "punk"),
                  ("eighths", "beats", "riff", "held", "dotted"), ("power", "power", "strum",
                  "arpeggio"), (0.4, 0.15, 0.4, 0.05), (33, 34, 34), (29, 30, 27, 81, 18, 65)),
    "funk": Style(4, 2, (88, 126), ("breakbeat", "disco", "rock"),
                  ("syncopated", "riff", "octaves"), ("stabs", "strum", "beats"),
                  (0.25, 0.45, 0.2, 0.1), (36, 37, 33), (4, 7, 17, 56, 61, 62, 66)),
    "waltz": Style(3, 2, (84, 204), ("waltz", "waltz 2", "waltz 3", "jazz waltz"),
                   ("fifths", "held", "beats", "walking"), ("arpeggio", "beats", "pad", "strum",
                   "alberti"), (0.9, 0.0, 0.05, 0.05), drum_share=0.65),
    "six eight": Style(2, 3, (42, 100), ("six eight", "slow six", "six ride"),
                       ("held", "beats", "fifths", "dotted"), ("arpeggio", "strum", "pad",
                       "alberti", "sustained"), (0.88, 0.02, 0.07, 0.03), drum_share=0.7),
    "twelve eight": Style(4, 3, (52, 84), ("shuffle", "swing"), ("beats", "walking", "held"),
                          ("arpeggio", "beats", "pad"), (0.85, 0.05, 0.05, 0.05)),
    "swing": Style(4, 3, (100, 208), ("swing", "shuffle"), ("walking", "walking", "fifths"),
                   ("beats", "stabs", "pad", "sustained"), (0.85, 0.05, 0.05, 0.05), (32, 32, 33),
                   (65, 66, 56, 71, 0, 11, 26, 64)),
    "reggae": Style(4, 2, (62, 92), ("reggae",), ("syncopated", "riff", "dotted"), ("stabs",),
                    (0.7, 0.2, 0.05, 0.05)),
    "ballad": Style(4, 2, (56, 80), ("ballad", "hat", "half time"), ("held", "fifths", "dotted"),
                    ("pad", "arpeggio", "sustained", "strum"), (0.95, 0.0, 0.0, 0.05),
                    drum_share=0.6),
    "bossa": Style(4, 2, (110, 170), ("bossa",), ("fifths", "dotted", "syncopated"),
                   ("strum", "pad", "beats"), (0.9, 0.05, 0.0, 0.05), (32, 33), (65, 73, 24, 11)),
    "pop": Style(4, 2, (76, 176), ("rock", "disco", "dance", "ballad", "rock 2"),
                 ("dotted", "eighths", "held", "syncopated", "fifths"),
                 ("pad", "strum", "arpeggio", "alberti", "beats"), (0.9, 0.03, 0.04, 0.03)),
    "song": Style(4, 2, (88, 180), ("hat", "ballad", "sparse", "rock 2"),
                  ("fifths", "fifths", "held", "beats", "walking"),
                  ("pad", "sustained", "beats", "strum", "arpeggio"), (1.0, 0.0, 0.0, 0.0),
                  drum_share=0.5, between=0.3),
}  # fmt: skip
_STYLE_SHARES = {"electronic": 3, "hip hop": 2.5, "rock": 2, "funk": 1.5, "waltz": 3,
                 "six eight": 3, "twelve eight": 0.7, "swing": 1.2, "reggae": 0.7, "ballad": 0.8,
                 "bossa": 0.7, "pop": 1.5}  # fmt: skip


def invent(random: Generator, bars: int = 40, shares: Mapping[str, float] | None = None) -> Piece:
    """A piece in a random style: chords, bass, one or two accompaniments, drums, and a lead.

    In some the bass or a riff is the lead, in some nothing is. ``shares`` are those of the styles.
    Raises AudioTransferError for an unknown style.
    """
    shares = shares or _STYLE_SHARES
    names = list(shares)
    if unknown := sorted(set(names) - set(STYLES)):
        raise AudioTransferError(
            f"styles {', '.join(unknown)} are unknown; there are {', '.join(STYLES)}"
        )
    weights = np.array([shares[name] for name in names])
    name = names[int(random.choice(len(names), p=weights / weights.sum()))]
    style = STYLES[name]
    tonic, mode = int(random.integers(12)), "minor" if random.random() < 0.45 else "major"
    edges: Rows = np.arange(bars + 1, dtype=np.float64) * style.bar
    low, high = np.log(style.tempo)
    piece = Piece(
        "invented", name, (), edges, float(np.exp(random.uniform(low, high))), style.division,
        chords=_progression(style.bar, bars, tonic, mode, random), style=name,
        known=frozenset({"lead", "notes", "chords", "drums", "beats", "bass"}),
    )  # fmt: skip
    bass = bass_line(piece, str(random.choice(style.basses)), random)
    bass = replace(bass, programs=style.bass_programs)
    if random.random() < 0.06:
        bass = replace(bass, notes=bass.notes[:0])
    layers = [bass]
    for _ in range(1 if random.random() < 0.6 else 2):
        layers.append(accompaniment(piece, str(random.choice(style.harmonies)), random))
    kind = int(random.choice(4, p=style.leads))
    if kind == 0:
        melody = _melody(piece, tonic, mode, random, style.between)
        layers.insert(0, Layer(LEAD, melody, style.lead_programs if random.random() < 0.5 else ()))
        if random.random() < 0.25:
            second = melody.copy()
            second[:, 2] -= random.choice([3, 4, 5, 7, 8, 12])
            layers.append(Layer(COUNTER, second[random.random(len(second)) < 0.7]))
    elif kind == 1 and len(bass.notes):
        # The bass is what one follows: it leads, and chords are sparse or missing.
        layers = [Layer(LEAD, bass.notes, style.bass_programs or (33, 34, 38))]
        piece = replace(piece, bass_leads=True)
        if random.random() < 0.7:
            layers.append(accompaniment(piece, "pad" if random.random() < 0.6 else "stabs", random))
    elif kind == 2:
        layers.insert(0, Layer(LEAD, _riff(piece, tonic, mode, random), style.lead_programs))
    made = replace(piece, layers=tuple(layers))
    if random.random() < style.drum_share:
        made = replace(made, drums=pattern_drums(made, str(random.choice(style.drums)), random))
    return made


def _progression(beats: int, bars: int, tonic: int, mode: str, random: Generator) -> Rows:
    """Chords of a loop of 1, 2, 4 or 8 bars that changes once in the middle: ``[K, 3]``."""
    table, shares = _CHORDS[mode], np.array(_SHARES[mode], float)
    blues = random.random() < 0.05
    rows: list[tuple[float, float, float]] = []

    def loop() -> list[tuple[float, int, int]]:
        length = int(random.choice([1, 2, 4, 4, 4, 8]))
        made: list[tuple[float, int, int]] = []
        for bar in range(length):
            halves = [0.0, beats / 2] if beats % 2 == 0 and random.random() < 0.2 else [0.0]
            for half in halves:
                first = bar == 0 and half == 0.0
                index = (
                    0
                    if first and random.random() < 0.6
                    else int(random.choice(len(table), p=shares / shares.sum()))
                )
                made.append((bar * beats + half, *table[index]))
        return [(0.0, 0, 2), *made] if blues else made

    loops = [loop(), loop()]
    lengths = [max(1, int(max(event[0] for event in made) // beats) + 1) for made in loops]
    bar = 0
    while bar < bars:
        which = 1 if bar >= bars // 2 else 0
        for beat, root, quality in loops[which]:
            if bar + beat / beats < bars:
                rows.append((bar * beats + beat, (tonic + root) % 12, quality))
        bar += lengths[which]
    made = np.array(rows, dtype=np.float64)
    made = made[np.concatenate([made[1:, 0] != made[:-1, 0], [True]])]
    same = np.concatenate([[False], (made[1:, 1:] == made[:-1, 1:]).all(axis=1)])
    changes: Rows = made[~same]
    return changes


def _scale(tonic: int, mode: str) -> NDArray[np.int64]:
    """Pitches of a key from C2 to C8."""
    steps = _MAJOR if mode == "major" else _MINOR
    return np.array([p for p in range(36, 109) if (p - tonic) % 12 in steps])


def _melody(piece: Piece, tonic: int, mode: str, random: Generator, between: float = 0.6) -> Rows:
    """Phrases of two or four bars of which rhythms return: steps of the scale, on strong beats
    notes of the chord, and a rest at the end of each phrase."""
    scale = _scale(tonic, mode)
    grid = piece.division * (2 if piece.division == 2 and random.random() < 0.3 else 1)
    centre, density = float(random.integers(60, 80)), float(random.uniform(0.3, 0.7))
    spans = piece.spans()
    rhythms = [random.random((2, 16 * grid)) for _ in range(3)]
    place = int(np.abs(scale - centre).argmin())
    rows = []
    phrase = int(random.choice([2, 2, 4]))
    resting = random.random() < 0.25
    for number, (start, stop) in enumerate(spans):
        if resting and number // phrase % 2:
            continue
        count = round((stop - start) * grid)
        rhythm = rhythms[int(number // phrase) % 3 if random.random() < 0.2 else number % 2]
        for step in range(count):
            if number % phrase == phrase - 1 and step >= count * 0.75:
                break
            strong = step % grid == 0
            chance = density * (1.35 if strong else between)
            if rhythm[number % 2, step] > chance:
                continue
            beat = start + step / grid
            pull = (centre - scale[place]) / 6
            leap = int(np.round(random.normal(pull * 0.5, 1.6)))
            place = int(np.clip(place + leap, 0, len(scale) - 1))
            pitch = int(scale[place])
            chord = chord_at(piece, beat)
            if strong and chord is not None and random.random() < 0.75:
                tones = [(chord[0] + tone) % 12 for tone in chord[1]]
                pitch = min((p for p in range(pitch - 5, pitch + 6) if p % 12 in tones),
                            key=lambda p: abs(p - pitch))  # fmt: skip
                place = int(np.abs(scale - pitch).argmin())
            rows.append((beat, min(4.0, stop - start), pitch, 90 + random.normal(0, 8)))
    notes = monophonic(np.array(rows).reshape(-1, 4))
    # Held notes end before the next, or after two beats at most.
    notes[:, 1] = np.minimum(notes[:, 1] * random.uniform(0.8, 1.0), random.choice([1.0, 2.0, 4.0]))
    return notes


def _riff(piece: Piece, tonic: int, mode: str, random: Generator) -> Rows:
    """A figure of one or two bars that comes back unchanged, or moved with the chords' roots."""
    scale = _scale(tonic, mode)
    grid = 3 if piece.division == 3 else int(random.choice([2, 4, 4]))
    spans = piece.spans()
    length = spans[0][1] - spans[0][0]
    bars = int(random.choice([1, 2, 2]))
    steps = int(bars * length * grid)
    on = random.random(steps) < random.uniform(0.3, 0.65)
    on[0] = True
    low = int(random.choice([40, 45, 52, 57, 64]))
    place = int(np.abs(scale - low - tonic % 12).argmin())
    places = np.clip(place + np.cumsum(random.integers(-2, 3, steps)), 0, len(scale) - 1)
    moves = random.random() < 0.4
    rows = []
    for number, (start, _) in enumerate(spans):
        chord = chord_at(piece, start)
        shift = 0
        if moves and chord is not None:
            shift = (chord[0] - tonic + 6) % 12 - 6
        first = (number % bars) * int(length * grid)
        for step in range(int(length * grid)):
            if on[first + step]:
                rows.append((start + step / grid, length, scale[places[first + step]] + shift,
                             92 + random.normal(0, 6)))  # fmt: skip
    notes = monophonic(np.array(rows, dtype=np.float64))
    notes[:, 1] = np.minimum(notes[:, 1] * random.uniform(0.6, 0.98), 2.0)
    return notes
