"""Prints how many chords are right in lead sheets of excerpts: by detected beats, and by true ones.

    python tests/benchmarks/lead_sheet_chords.py FOLDER... [--weights FILE...]

Each FOLDER has excerpts as the transcription is trained on (``.npz``). At the middle of each true
beat, the chord of the lead sheet has the right root, and the right root and third (*majmin*; true
diminished chords are left out). ``--weights`` of other rhythm networks than the shipped one.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audiotransfer.leadsheet import QUALITIES, Bar, LeadSheet
from audiotransfer.transcription.activations import CHORD_QUALITIES
from audiotransfer.transcription.beats import BeatGrid, find_beats
from audiotransfer.transcription.dynamics import LoudnessCurve
from audiotransfer.transcription.pitch_transcriber import transcribe_pitches
from audiotransfer.transcription.rhythm_detection import detect_rhythm, shipped_network
from audiotransfer.transcription.rhythm_features import RHYTHM_RATE
from audiotransfer.transcription.rhythm_network import load_rhythm
from audiotransfer.transcription.sheet import even_grid, recording_sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--weights", nargs="*", type=Path, default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    networks = {"detected": shipped_network()}
    networks |= {file.stem: load_rhythm(file) for file in options.weights}
    for folder in options.folders:
        counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3, dtype=np.int64))
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as file:
                if not (file["has_beats"] and file["has_chords"] and len(file["chords"])):
                    continue
                samples = file["audio"].astype(np.float32) / 32768
                pitch = transcribe_pitches(samples)
                levels = LoudnessCurve(RHYTHM_RATE)
                levels.push(samples, last=True)
                seconds = len(samples) / RHYTHM_RATE
                grids = {"true": true_grid(file, seconds)}
                for name, network in networks.items():
                    rhythm = detect_rhythm(torch.from_numpy(samples), network)
                    grids[name] = find_beats(rhythm, pitch) or even_grid(seconds)
                for name, grid in grids.items():
                    sheet = recording_sheet(pitch, grid, (), levels.levels())
                    counts[name] += right_chords(file, sheet)
        for name, (root, majmin, total) in counts.items():
            print(
                f"{folder.name:12} {name:12} beats: roots {root / max(total, 1):.3f}"
                f"  majmin {majmin / max(total, 1):.3f}  of {total}",
                flush=True,
            )


def true_grid(file: Any, seconds: float) -> BeatGrid:
    """The excerpt's own beats and bars, continued to its start and end."""
    beats = file["beats"].astype(np.float64)
    firsts = np.searchsorted(beats, file["downbeats"].astype(np.float64) - 0.02)
    first, last = beats[1] - beats[0], beats[-1] - beats[-2]
    before = np.arange(int(beats[0] / first), 0, -1)
    after = np.arange(1, int(np.ceil((seconds - beats[-1]) / last)) + 1)
    beats = np.concatenate([beats[0] - before * first, beats, beats[-1] + after * last])
    if len(after) == 0:
        beats = np.append(beats, beats[-1] + last)
    lines = sorted({0, *(firsts + len(before)).tolist()} - {len(beats) - 1})
    ends = [*lines[1:], len(beats) - 1]
    bars = tuple(Bar(line, end - line) for line, end in zip(lines, ends, strict=True))
    return BeatGrid(np.maximum(beats, 0.0), bars, 1.0)


def right_chords(file: Any, sheet: LeadSheet) -> np.ndarray:
    """Beats with the right root, with the right root and third, and all that have one."""
    beats, chords = file["beats"].astype(np.float64), file["chords"]
    middles = (beats[1:] + beats[:-1]) / 2
    places = np.searchsorted(chords[:, 0], middles, side="right") - 1
    starts = sheet.time_at([chord.beat for chord in sheet.chords])
    own = np.searchsorted(starts, middles, side="right") - 1
    counts = np.zeros(3, dtype=np.int64)
    for place, number in zip(places, own, strict=True):
        if place < 0 or chords[place, 1] < 0:
            continue
        true_third = third(CHORD_QUALITIES[int(chords[place, 2])])
        if not true_third:
            continue
        chord = sheet.chords[max(number, 0)]
        same = chord.root == int(chords[place, 1])
        counts += (same, same and third(chord.quality) == true_third, 1)
    return counts


def third(quality: str) -> int:
    """Semitones from the root to the third of a triad with a fifth, or 0."""
    triad = QUALITIES.get(quality, ())[:3]
    return {(0, 4, 7): 4, (0, 3, 7): 3}.get(tuple(triad), 0)


if __name__ == "__main__":
    main()
