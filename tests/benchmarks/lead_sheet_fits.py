"""Fits the models of lead sheets anew and writes their JSON files into a folder.

    python tests/benchmarks/lead_sheet_fits.py data/midi OUT [--songs N]

Writes harmony.json, keys.json, melody.json and downbeats.json as in ``audiotransfer/leadsheet``,
from songs whose artists are not held out. Takes about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lead_sheet_songs import Song, chorales, openewld, pop909, weimar

from audiotransfer.leadsheet.chords import QUALITIES
from audiotransfer.leadsheet.downbeats import _FEATURES, beat_features
from audiotransfer.leadsheet.harmony import chord_features
from audiotransfer.leadsheet.keys import MODES
from audiotransfer.leadsheet.leadsheet import Bar
from audiotransfer.leadsheet.melody import (
    NOTE_FEATURES,
    TRACK_FEATURES,
    note_features,
    track_features,
)
from audiotransfer.leadsheet.metre import seconds_of, timeline_of
from audiotransfer.leadsheet.slots import Slots, chroma_of
from audiotransfer.leadsheet.tracks import onset_groups, tracks_of
from audiotransfer.midi.grid import grid_offset

_QUALITIES = ("", "m", "7", "maj7", "m7", "6", "m6", "dim", "m7b5", "dim7", "aug", "sus2", "sus4")
_QUALITIES += ("7sus4",)
_SIMPLER = {"aug7": "7", "7#9": "7", "69": "6", "mmaj7": "m", "maj9": "maj7", "m9": "m7", "9": "7"}
_SIMPLER |= {"7b9": "7", "13": "7", "7b5": "7", "add9": ""}
_SPAN = 16  # bars of a window of one key
_SETS = {frozenset(tones): name for name, tones in reversed(QUALITIES.items())}


def fitted(
    loss: Callable[[list[torch.Tensor]], torch.Tensor], shapes: list[tuple[int, ...]]
) -> list[np.ndarray]:
    """The parameters that minimise a loss, from zeros."""
    values = [torch.zeros(shape, requires_grad=True) for shape in shapes]
    optimiser = torch.optim.LBFGS(values, max_iter=200, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        optimiser.zero_grad()
        total = loss(values)
        total.backward()
        return total

    for _ in range(2):
        optimiser.step(step)
    return [value.detach().numpy().astype(np.float64) for value in values]


class Beats:
    """A song's notes in beats, its slots and their edges' times, by annotated beats if any."""

    def __init__(self, song: Song) -> None:
        timeline = timeline_of(song.score)
        tracks = [t for t in tracks_of(song.score, timeline) if not t.drums]
        notes = np.concatenate([np.hstack([t.seconds, t.beats[:, 2:]]) for t in tracks])
        if song.beats is None or song.downbeats is None:
            self.times, bars = timeline.seconds, timeline.bars
        else:
            self.times = np.append(song.beats, 2 * song.beats[-1] - song.beats[-2])
            down = np.flatnonzero(song.downbeats).tolist()
            starts = sorted({0, *down, len(song.beats)})
            bars = tuple(Bar(a, b - a, 4) for a, b in pairwise(starts))
        self.slots = Slots.of(bars)
        notes[:, :2] = np.interp(notes[:, :2], self.times, np.arange(len(self.times)))
        notes = notes[notes[:, 1] > notes[:, 0]]
        self.notes = notes[np.lexsort((notes[:, 2], notes[:, 0]))]
        self.edges = np.interp(self.slots.edges, np.arange(len(self.times)), self.times)

    def bar_chroma(self) -> np.ndarray:
        """Shares of pitch classes of each bar ``[B, 12]``."""
        chroma, _ = chroma_of(self.notes, self.slots.edges)
        bars = np.zeros((int(self.slots.bars[-1]) + 1, 12))
        np.add.at(bars, self.slots.bars, chroma)
        return bars / np.maximum(bars.sum(axis=1, keepdims=True), 1e-9)


def written_chords(song: Song) -> list[tuple[float, float, int | None, str]]:
    """The chords of a track ``chords``: each block is one, named by its tones and lowest note."""
    track = next(t for t in tracks_of(song.score, timeline_of(song.score)) if t.name == "chords")
    groups = onset_groups(track.beats)
    found: list[tuple[float, float, int | None, str]] = []
    for number in range(int(groups[-1]) + 1):
        own = groups == number
        pitches = track.beats[own, 2].astype(int)
        span = float(track.seconds[own, 0].min()), float(track.seconds[own, 1].max())
        for root in [int(pitches.min()), *range(12)]:
            name = _SETS.get(frozenset(int(p - root) % 12 for p in pitches))
            if name is not None:
                found.append((*span, root % 12, name))
                break
    return found


def chord_labels(beats: Beats, chords: list[tuple[float, float, int | None, str]]) -> np.ndarray:
    """Index of the state that holds most of each slot ``[S]``; -1 for none."""
    labels, most = np.full(len(beats.edges) - 1, -1), np.full(len(beats.edges) - 1, 0.6)
    for low, high, root, quality in chords:
        name = _SIMPLER.get(quality, quality)
        state = -1 if root is None or name not in _QUALITIES else root * len(_QUALITIES)
        state += _QUALITIES.index(name) if state >= 0 else 0
        first = max(int(np.searchsorted(beats.edges, low, side="right")) - 1, 0)
        last = min(int(np.searchsorted(beats.edges, high)), len(labels))
        for slot in range(first, last):
            start, end = beats.edges[slot : slot + 2]
            share = (min(high, end) - max(low, start)) / (end - start)
            if share > most[slot]:
                labels[slot], most[slot] = state, share
    return labels


def fit_harmony(songs: list[Song]) -> dict[str, Any]:
    """Chords: weights by gradient descent, changes and motions by counting."""
    count = len(_QUALITIES)
    change, places = np.zeros(4), np.full(4, 1e-9)
    motion = np.full((count, count, 12), 0.2)
    features, states = [], []
    for song in songs:
        beats = Beats(song)
        labels = chord_labels(beats, song.chords or written_chords(song))
        own = chord_features(beats.notes, beats.slots).astype(np.float32)
        kept = (labels >= 0) & (own[:, 0].sum(axis=1) > 0)
        features.append(own[kept])
        states.append(labels[kept])
        both = np.flatnonzero((labels[1:] >= 0) & (labels[:-1] >= 0)) + 1
        np.add.at(places, beats.slots.places[both], 1)
        moved = both[labels[both] != labels[both - 1]]
        np.add.at(change, beats.slots.places[moved], 1)
        before, after = (np.divmod(labels[at], count) for at in (moved - 1, moved))
        np.add.at(motion, (before[1], after[1], (after[0] - before[0]) % 12), 1)
    x, y = torch.from_numpy(np.concatenate(features)), torch.from_numpy(np.concatenate(states))
    weights = torch.zeros(count, 60, requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    optimiser = torch.optim.Adam([weights, bias], lr=0.03)
    generator = torch.Generator().manual_seed(0)
    for epoch in range(6):
        optimiser.param_groups[0]["lr"] = 0.03 * (1 - epoch / 6) + 0.002
        for part in torch.randperm(len(x), generator=generator).split(2048):
            turned = torch.stack([x[part].roll(-root, 2) for root in range(12)], 1).flatten(2)
            logits = (turned @ weights.T + bias).flatten(1)
            loss = (
                torch.nn.functional.cross_entropy(logits, y[part]) + 2e-5 * weights.square().sum()
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    print(f"harmony: {len(x)} slots of {len(songs)} songs")
    motion /= motion.sum(axis=(1, 2), keepdims=True)
    rows = weights.detach().numpy().astype(np.float64).reshape(count, 5, 12)
    return {
        "qualities": _QUALITIES,
        "temper": 1.7,
        "change": (change / places).round(3).tolist(),
        "bias": dict(
            zip(_QUALITIES, bias.detach().numpy().astype(np.float64).round(2).tolist(), strict=True)
        ),
        "weights": dict(zip(_QUALITIES, rows.round(2).tolist(), strict=True)),
        "motion": {
            name: dict(zip(_QUALITIES, own.round(5).tolist(), strict=True))
            for name, own in zip(_QUALITIES, motion, strict=True)
        },
    }


def fit_keys(songs: list[Song]) -> dict[str, Any]:
    """Keys: logistic regression over windows of bars of one key."""
    shares, labels = [], []
    for song in songs:
        for track in song.score.tracks:
            if track.name == "bass":  # the Weimar Jazz Database's stand seven semitones high
                track.notes = []
        beats = Beats(song)
        chroma = beats.bar_chroma()
        starts = beats.edges[:-1][np.diff(beats.slots.bars, prepend=-1) > 0]
        own = np.full(len(chroma), -1)
        for low, high, tonic, mode in song.keys:
            own[(starts >= low - 0.1) & (starts < high)] = tonic + 12 * MODES.index(mode)
        for first in range(0, len(chroma) - _SPAN // 2, _SPAN):
            window = own[first : first + _SPAN]
            if window[0] >= 0 and (window == window[0]).all():
                shares.append(chroma[first : first + _SPAN].mean(axis=0))
                labels.append(int(window[0]))
    x, y = torch.tensor(np.stack(shares), dtype=torch.float32), torch.tensor(labels)
    print(f"keys: {len(x)} spans of {len(songs)} songs")

    def loss(values: list[torch.Tensor]) -> torch.Tensor:
        weights = values[0]
        turned = torch.cat([torch.stack([w.roll(t) for t in range(12)]) for w in weights])
        penalty = 1e-4 * weights.square().sum()
        return torch.nn.functional.cross_entropy(x @ turned.T, y) + penalty

    weights = fitted(loss, [(2, 12)])[0]
    rows = (weights - weights.max()).round(2).tolist()
    return {"weights": dict(zip(MODES, rows, strict=True)), "weight": 0.25, "change": 0.01}


def fit_melody(songs: list[Song], merged: list[Song]) -> dict[str, Any]:
    """The melody's track, and its notes in the merged tracks of ``merged``."""
    cases = []
    for song in songs:
        tracks = tracks_of(song.score, timeline_of(song.score))
        names = [track.name for track in tracks]
        wanted = song.score.tracks[song.melody].name
        if len(tracks) > 1 and wanted in names:
            cases.append((torch.tensor(track_features(tracks)), names.index(wanted)))

    def track_loss(values: list[torch.Tensor]) -> torch.Tensor:
        odds = [torch.log_softmax(x.float() @ values[0], 0)[at] for x, at in cases]
        return -torch.stack(odds).mean() + 1e-3 * values[0].square().sum()

    print(f"melody: {len(cases)} songs, {len(merged)} of them merged")
    track = fitted(track_loss, [(len(TRACK_FEATURES),)])[0]
    features, labels = [], []
    for song in merged:
        wanted = song.score.tracks[song.melody].name
        own = [t for t in tracks_of(song.score, timeline_of(song.score)) if t.name != "BRIDGE"]
        beats = np.concatenate([t.beats for t in own])
        true = np.concatenate([np.full(len(t.beats), t.name == wanted) for t in own])
        order = np.lexsort((beats[:, 2], beats[:, 0]))
        features.append(note_features(beats[order]))
        labels.append(true[order])
    x = torch.tensor(np.concatenate(features), dtype=torch.float32)
    y = torch.tensor(np.concatenate(labels), dtype=torch.float32)

    def note_loss(values: list[torch.Tensor]) -> torch.Tensor:
        odds = torch.nn.functional.binary_cross_entropy_with_logits(x @ values[0], y)
        return odds + 1e-4 * values[0].square().sum()

    note = fitted(note_loss, [(len(NOTE_FEATURES),)])[0]
    note[NOTE_FEATURES.index("constant")] += 0.5  # by search: the largest F1 of the sequence
    return {
        "track": dict(zip(TRACK_FEATURES, track.round(2).tolist(), strict=True)),
        "note": dict(zip(NOTE_FEATURES, note.round(2).tolist(), strict=True)),
        "leap": 0.08,
    }


def fit_downbeats(songs: list[Song]) -> dict[str, Any]:
    """The sixteenth on which beats begin, and which beats begin bars."""
    phases, shifts, rows, labels = [], [], [], []
    for song in songs:
        score, quarter = song.score, song.score.tpq
        offset = grid_offset(score)
        count = max(int(n.end) for t in score.tracks for n in t.notes) // quarter + 1
        fine = seconds_of(score, offset + quarter / 4 * np.arange(4 * count + 8))
        places = np.interp(song.beats, fine, np.arange(len(fine)))
        mean = np.exp(2j * np.pi * places / 4).mean()
        if abs(mean) < 0.9:  # the annotated beats are not the file's quarters
            continue
        shift = round(4 * np.angle(mean) / (2 * np.pi)) % 4
        own = [
            beat_features(score, offset + quarter * (s / 4 + np.arange(count + 1.0)))
            for s in (0, 1, 2, -1)
        ]
        phases.append(np.stack([features.mean(axis=0) for features in own]))
        shifts.append(shift)
        edges = offset + quarter * ((-1 if shift == 3 else shift) / 4 + np.arange(count + 1.0))
        times = seconds_of(score, edges)
        near = np.abs(times[:-1, None] - song.beats[song.downbeats][None, :]).min(axis=1)
        features = own[shift]
        scaled = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-6)
        padded = np.pad(scaled, ((1, 1), (0, 0)))
        rows.append(np.hstack([padded[i : i + len(scaled)] for i in range(3)]))
        labels.append(near < 0.2 * np.diff(times))
    phase_x = torch.tensor(np.stack(phases), dtype=torch.float32)
    scale, phase_y = phase_x.std(dim=(0, 1)), torch.tensor(shifts)
    x = torch.tensor(np.concatenate(rows), dtype=torch.float32)
    y = torch.tensor(np.concatenate(labels), dtype=torch.float32)

    def phase_loss(values: list[torch.Tensor]) -> torch.Tensor:
        odds = torch.nn.functional.cross_entropy(phase_x / scale @ values[0], phase_y)
        return odds + 1e-3 * values[0].square().sum()

    def beat_loss(values: list[torch.Tensor]) -> torch.Tensor:
        logits = x @ values[0] + values[1]
        odds = torch.nn.functional.binary_cross_entropy_with_logits(logits, y)
        return odds + 1e-4 * values[0].square().sum()

    print(f"downbeats: {len(shifts)} songs")
    phase = fitted(phase_loss, [(8,)])[0] / scale.numpy()
    weights, constant = fitted(beat_loss, [(24,), (1,)])
    around = zip(("before", "here", "after"), weights.reshape(3, 8), strict=True)
    return {
        "phase": dict(zip(_FEATURES, phase.round(2).tolist(), strict=True)),
        "downbeat": {
            place: dict(zip(_FEATURES, own.round(2).tolist(), strict=True)) for place, own in around
        },
        "constant": round(float(constant[0]), 2),
    }


def main() -> None:
    """Fits and writes all models; origin and licence stay those of the files that ship."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the zip files")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write into")
    parser.add_argument("--songs", type=int, metavar="N", help="at most so many a set")
    args = parser.parse_args()

    def training(read: Callable[[Path], Iterable[Song]]) -> list[Song]:
        return list(islice((s for s in read(args.data) if not s.held_out), args.songs))

    pop, sheets, jazz, bach = map(training, (pop909, openewld, weimar, chorales))
    models = {
        "harmony": fit_harmony([*pop, *sheets]),
        "melody": fit_melody([*pop, *sheets, *jazz, *bach], [*pop[::3], *sheets[::4]]),
        "downbeats": fit_downbeats(pop),
        "keys": fit_keys([*pop, *(song for song in jazz if song.keys)]),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    import audiotransfer.leadsheet

    shipped = Path(audiotransfer.leadsheet.__file__).parent
    for name, values in models.items():
        about = json.loads((shipped / f"{name}.json").read_text(encoding="utf-8"))
        head = {key: about[key] for key in ("origin", "licence", "layout") if key in about}
        text = json.dumps({**head, **values}, indent=2)
        # The numbers of a list stand on one line.
        text = re.sub(r"\[([-\d.e,\s]+)\]", lambda m: f"[{' '.join(m[1].split())}]", text)
        (args.out / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
