"""Tables of cadences: held-out chorales, their melodies harmonised, and fifteen folk tunes.

    python tests/benchmarks/cadence_figures.py data/midi/jsb_chorales.zip [--seeds 3]

For each: shares of kinds of cadence at the ends of phrases within pieces, share of pieces that end
on the tonic, of Picardy thirds among those in minor, parallel fifths and octaves, and whether all
melodies are exact. "free" is the model without chosen cadences.

Neither fermatas nor metre are in the data: phrases are found by `phrase_ends` from long notes, and
the key of a chorale is that of its last bass note, major or minor by its thirds before the last
bar. Repeated notes are one note in the data, so that a cadence onto a repeated note is looked for
at each of its beats.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from folk_tunes import TUNES, score_of

from audiotransfer.evaluation import plain_table
from audiotransfer.evaluation.metrics.cadences import cadence_figures
from audiotransfer.evaluation.metrics.chorales import harmonise_chorales
from audiotransfer.pipeline.midi_accompaniment import accompany, load_bach
from audiotransfer.symbolic.accompaniment.cadences import Phrasing
from audiotransfer.symbolic.accompaniment.chorales import Chorale, Voices, read_chorales
from audiotransfer.symbolic.accompaniment.harmonization import Accompanist, Harmony
from audiotransfer.symbolic.accompaniment.melody import Tune
from audiotransfer.symbolic.accompaniment.phrases import onsets_of, phrase_ends
from audiotransfer.symbolic.accompaniment.voice_leading import parallels

_LAST_BAR = 16
_STEP = 120  # ticks of a sixteenth in the scores of `folk_tunes`


def of_chorale(voices: Voices) -> Phrasing:
    """Phrases of a chorale by its melody, key by its last bass note and all its thirds."""
    bass = voices[voices[:, 3] >= 0, 3]
    tonic = int(bass[-1]) % 12
    before = voices[:-_LAST_BAR]
    classes = np.bincount(before[before >= 0] % 12, minlength=12)
    minor = bool(classes[(tonic + 3) % 12] > classes[(tonic + 4) % 12])
    melody = voices[:, 0]
    return Phrasing(tuple(phrase_ends(melody, onsets_of(melody))), tonic, minor)


def row(
    name: str, pieces: Sequence[Voices], phrasings: Sequence[Phrasing], melodies: Sequence[Voices]
) -> dict[str, object]:
    """One row of the table."""
    exact = all(np.array_equal(v[:, 0], m) for v, m in zip(pieces, melodies, strict=True))
    return {
        "system": name,
        **cadence_figures(pieces, phrasings),
        "parallels": int(sum(parallels(voices).sum() for voices in pieces)),
        "melody exact": "yes" if exact else "no",
    }


def folk_rows(network: Accompanist, seeds: int) -> list[dict[str, object]]:
    """The folk tunes, with and without chosen cadences, the key as written."""
    rows: list[dict[str, object]] = []
    missed = {}
    for name, chosen in (("free", False), ("with cadences", True)):
        pieces, phrasings, melodies = [], [], []
        for tune_name, (_, _, tonic, _) in TUNES.items():
            tune = Tune.of(score_of(tune_name))
            line = tune.melody
            found = Phrasing.of(line.original, line.onsets, tune.grid.bars - line.first)
            for seed in range(seeds):
                made = accompany(tune, network, Harmony(cadences=chosen), seed)
                pieces.append(_steps(made, line.first, len(line.original)))
                phrasings.append(Phrasing(found.ends, tonic, found.minor))
                melodies.append(line.original)
                if cadence_figures(pieces[-1:], phrasings[-1:])["last on tonic"] < 1:
                    missed.setdefault(name, set()).add(tune_name)
        rows.append(row(f"{len(TUNES)} folk tunes, {name}", pieces, phrasings, melodies))
    for name, tunes in missed.items():
        print(f"{name}, off the tonic: {', '.join(sorted(tunes))}")
    return rows


def _steps(score: object, first: int, steps: int) -> Voices:
    voices = np.full((steps, 4), -1, dtype=np.int64)
    for number, track in enumerate(score.tracks):  # type: ignore[attr-defined]
        for note in sorted(track.notes, key=lambda note: note.start):
            begin = round(note.start / _STEP) - first
            voices[begin : max(begin + 1, round(note.end / _STEP) - first), number] = note.pitch
    # The model's melody goes on through short rests.
    for step in range(1, steps):
        if voices[step, 0] < 0 and voices[step, 3] >= 0:
            voices[step, 0] = voices[step - 1, 0]
    return voices


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chorales", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    network = load_bach()
    splits = read_chorales(args.chorales)
    rows = []
    for split in ("train", "test"):
        pieces = [c.voices for c in splits[split]]
        tops = [voices[:, 0] for voices in pieces]
        rows.append(row(f"chorales, {split}", pieces, [of_chorale(v) for v in pieces], tops))
    test: list[Chorale] = splits["test"]
    phrasings = [of_chorale(c.voices) for c in test]
    melodies = [c.voices[:, 0] for c in test]
    for name, chosen in (("free", False), ("with cadences", True)):
        made = harmonise_chorales(network, test, Harmony(cadences=chosen), 0)
        pieces = [c.voices for c in made]
        rows.append(row(f"their melodies, {name}", pieces, phrasings, melodies))
        print(f"{name}: measured", file=sys.stderr)
    rows += folk_rows(network, args.seeds)
    print(plain_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
