"""The arranger's networks beside its counts: bits of what real musicians play next.

Held-out pianists' comping: by the shares of the eight half beats, by the counted table of rhythms
(which bar follows which), by the network. Held-out bass lines: by the shares of intervals, by the
counted model of walking lines (exact, over whole lines), by the network. Lower is better; the
networks are those of `audiotransfer train comping` and `train walking-bass`.

    python tests/benchmarks/arranger_networks.py data/midi runs/comping runs/walking-bass
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

from audiotransfer.cover import walking
from audiotransfer.cover.examples import Examples, bass_lines, comping_examples
from audiotransfer.cover.features import SLOTS
from audiotransfer.cover.harmony import CHORD_TYPES
from audiotransfer.leadsheet import Chord
from audiotransfer.recipes.arranger_network import split
from audiotransfer.styles.find import SHIPPED

COUNTS = SHIPPED / "jazz-midi" / "counts.json"
VALIDATION, TEST = 4, 5  # as in the config
BACKOFF = 500.0  # weight of the plain shares of rhythms beside those after a rhythm
QUALITIES = {"dom": "7", "min": "m7", "maj": "maj7", "hdim": "m7b5", "dim": "dim7", "sus": "7sus4"}


def comping(place: str, card: dict[str, dict[str, float]]) -> None:
    parts = split(comping_examples(place), VALIDATION, TEST)
    train, test = bars(parts["train"]), bars(parts["test"])
    shares = Counter(train)
    pairs = Counter(pairwise(train))
    after = Counter(train[:-1])
    total, bits = len(train), 0.0
    for before, now in pairwise(test):
        plain = (shares[now] + 0.5) / (total + 2 ** (SLOTS - 1))
        bits -= np.log2((pairs[before, now] + BACKOFF * plain) / (after[before] + BACKOFF))
    print(f"comping, {len(test)} bars of 5 pianists, bits a bar")
    print(f"  shares of half beats   {SLOTS * card['bits of the class shares']['test']:.2f}")
    print(f"  counted table of bars  {bits / (len(test) - 1):.2f}")
    print(f"  network                {SLOTS * card['bits']['test']:.2f}")


def bars(examples: Examples) -> list[int]:
    """Each bar's rhythm as a number."""
    rhythms = examples.events.reshape(-1, SLOTS) @ (1 << np.arange(SLOTS))
    return [int(rhythm) for rhythm in rhythms]


def bass(place: str, card: dict[str, dict[str, float]]) -> None:
    model = walking.walking_model(COUNTS)
    bits, notes = 0.0, 0
    for name, line in bass_lines(place):
        if name not in card["held out"]:
            continue
        run: list[tuple[walking.Slot, int]] = []
        for beat, (pitch, chord, new) in enumerate([*line, (0, (0, 0), True)]):
            if walking.PITCHES[0] <= pitch <= walking.PITCHES[-1]:
                quality = QUALITIES[CHORD_TYPES[chord[1]]]
                row = walking.NEW if new else beat % 4
                slot = walking.Slot(beat % 4, row, Chord(0, 1, chord[0], quality))
                run.append((slot, pitch))
            elif len(run) > 3:
                slots, pitches = zip(*run, strict=True)
                bits -= model.log_probability(slots, pitches) / np.log(2)
                notes += len(run)
                run = []
            else:
                run = []
    print(f"walking bass, {notes} notes of 5 pieces, bits a note")
    print(f"  shares of intervals    {card['bits of the class shares']['test']:.2f}")
    print(f"  counted model of lines {bits / notes:.2f}")
    print(f"  network                {card['bits']['test']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of the two archives")
    parser.add_argument("comping", type=Path, help="run of the config comping")
    parser.add_argument("bass", type=Path, help="run of the config walking-bass")
    args = parser.parse_args()
    comping(
        str(args.data / "jazz_jtd_piano.zip"),
        json.loads((args.comping / "comping.json").read_text("utf-8")),
    )
    bass(
        str(args.data / "jazz_wjd_bass.zip"),
        json.loads((args.bass / "bass.json").read_text("utf-8")),
    )


if __name__ == "__main__":
    main()
