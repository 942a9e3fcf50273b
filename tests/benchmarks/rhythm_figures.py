"""Prints how well beats, bars and drum hits are found in excerpts with known truth, and beside.

    python tests/benchmarks/rhythm_figures.py FOLDER... [--pitch] [--beatnet FOLDER]
        [--weights FILE]
    python tests/benchmarks/rhythm_figures.py --recordings FOLDER [--beatnet FOLDER]
    python tests/benchmarks/rhythm_figures.py --drift

Each FOLDER has excerpts as the transcription is trained on (``.npz``). References in the same run:
librosa's beat tracker, and, from the folder of BeatNet's weights (``BeatNet/models`` of its
wheel), BeatNet's activations decoded by this package's search. ``--pitch``: with the changes of
chord that the pitch network hears, as a transcription has them. mir_eval measures, over the whole
excerpt. Recordings have no truth: agreement with librosa is listed.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import mir_eval
import numpy as np
import soundfile
import torch

from audiotransfer.synthesis.ensemble import Ensemble, EnsemblePart
from audiotransfer.transcription.activations import (
    DRUM_CLASSES,
    PitchActivations,
    RhythmActivations,
)
from audiotransfer.transcription.beats import find_beats
from audiotransfer.transcription.drums import CLASS_OF_KEY, DRUM_KEYS, drum_hits
from audiotransfer.transcription.pitch_transcriber import transcribe_pitches
from audiotransfer.transcription.rhythm_detection import detect_rhythm, shipped_network
from audiotransfer.transcription.rhythm_features import RHYTHM_RATE
from audiotransfer.transcription.rhythm_network import RhythmNetwork, load_rhythm

HIT_WINDOW = 0.03  # s
Tracker = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--beatnet", type=Path)
    parser.add_argument("--pitch", action="store_true")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--recordings", type=Path)
    parser.add_argument("--drift", action="store_true")
    parser.add_argument("--most", type=int, default=10_000, help="excerpts of a folder at most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="mir_eval")
    network = load_rhythm(options.weights) if options.weights else shipped_network()
    trackers: dict[str, Tracker] = {"network": own(network), "librosa": with_librosa}
    if options.pitch:
        trackers["network + pitch"] = own(network, pitch=True)
    if options.beatnet:
        trackers["BeatNet + search"] = with_beatnet(options.beatnet)
    for folder in options.folders:
        with_truth(folder, trackers, network, options.most)
    if options.drift:
        for seed in range(4):
            with_drift(trackers, seed)
    if options.recordings:
        without_truth(options.recordings, trackers)


def own(network: RhythmNetwork, pitch: bool = False) -> Tracker:
    def track(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        rhythm = detect_rhythm(torch.from_numpy(samples), network)
        return decoded(rhythm, transcribe_pitches(samples) if pitch else None)

    return track


def decoded(
    rhythm: RhythmActivations, pitch: PitchActivations | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    grid = find_beats(rhythm, pitch)
    if grid is None:
        return np.zeros(0), np.zeros(0), 0
    return grid.beats[:-1], grid.downbeats, grid.metre


def with_librosa(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    _, beats = librosa.beat.beat_track(y=samples, sr=RHYTHM_RATE, units="time")
    return beats, np.zeros(0), 0


def with_beatnet(folder: Path) -> Tracker:
    """BeatNet (Heydari et al. 2021): its network's activations, decoded by `find_beats`."""
    state = torch.load(folder / "model_1_weights.pt", map_location="cpu", weights_only=True)
    convolution = torch.nn.Conv1d(1, 2, 10)
    reduced = torch.nn.Linear(2 * 131, 150)
    recurrent = torch.nn.LSTM(150, 150, 2, batch_first=True)
    last = torch.nn.Linear(150, 3)
    modules = {"conv1": convolution, "linear0": reduced, "lstm": recurrent, "linear": last}
    for name, module in modules.items():
        prefix = f"{name}."
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
    bank, hop, window = beatnet_bank(), 441, 1411

    @torch.no_grad()
    def track(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        padded = np.pad(samples, (window // 2, window))
        frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
        frames = frames[: -(-len(samples) // hop)]
        spectrum = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1))[:, : len(bank)]
        levels = np.log10(spectrum @ bank + 1)
        rises = np.maximum(np.diff(levels, axis=0, prepend=levels[:1]), 0)
        x = torch.from_numpy(np.hstack([levels, rises])).float()[:, None]
        x = torch.nn.functional.max_pool1d(torch.relu(convolution(x)), 2).flatten(1)
        found = last(recurrent(reduced(x)[None])[0])[0].softmax(1).numpy()
        beats = found[:, 0] + found[:, 1]  # downbeats are a class of their own there
        drums = np.zeros((len(beats), len(DRUM_CLASSES)), np.float32)
        return decoded(RhythmActivations(RHYTHM_RATE / hop, beats, found[:, 1], drums))

    return track


def beatnet_bank() -> np.ndarray:
    """Its 136 triangular bands: 24 an octave from 30 Hz to half the sample rate, of sum 1."""
    window, spacing = 1411, RHYTHM_RATE / 1411
    low, high = np.floor(np.log2(30 / 440) * 24), np.ceil(np.log2(17_000 / 440) * 24)
    hz = 440 * 2 ** (np.arange(low, high + 1) / 24)
    hz = hz[(hz >= 30) & (hz <= 17_000)]
    bins = np.unique(np.clip(np.rint(hz / spacing).astype(int), 0, window // 2 - 1))
    bank = np.zeros((window // 2, len(bins) - 2))
    for number, (left, centre, right) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        rising = np.arange(left, centre)
        falling = np.arange(centre, right)
        bank[rising, number] = (rising - left) / (centre - left)
        bank[falling, number] = (right - falling) / (right - centre)
    return bank / bank.sum(0)


def with_truth(
    folder: Path, trackers: dict[str, Tracker], network: RhythmNetwork, most: int
) -> None:
    """Prints the means over a folder's excerpts."""
    figures: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in trackers}
    hits: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3))
    for file in sorted(folder.glob("*.npz"))[:most]:
        with np.load(file) as held:
            samples = held["audio"].astype(np.float32) / 32768
            if held["has_beats"]:
                truth = held["beats"].astype(float), held["downbeats"].astype(float)
                for name, tracker in trackers.items():
                    for key, value in measured(*truth, *tracker(samples)).items():
                        figures[name][key].append(value)
            if held["has_drums"]:
                count_hits(held["drums"].astype(float).reshape(-1, 2), samples, network, hits)
    print(f"\n{folder.name}: {len(figures['network']['F'])} excerpts with beats")
    columns = ["F", "CMLt", "AMLt", "octave", "half", "downbeat F", "metre", "tempo"]
    print(f"{'':18}" + "".join(f"{column:>11}" for column in columns))
    for name, values in figures.items():
        row = "".join(f"{np.mean(values[c]):11.3f}" if values[c] else f"{'-':>11}" for c in columns)
        print(f"{name:18}{row}")
    for name, (matched, true, found) in hits.items():
        print(
            f"{name:18} hits {int(true):5d}  P {matched / max(found, 1):.3f}"
            f"  R {matched / max(true, 1):.3f}  F {2 * matched / max(true + found, 1):.3f}"
        )


def measured(
    beats: np.ndarray,
    downbeats: np.ndarray,
    found: np.ndarray,
    firsts: np.ndarray,
    metre: int,
) -> dict[str, float]:
    """Figures of one excerpt; ``octave`` and ``half`` count errors of tempo and of phase."""
    _, cmlt, _, amlt = mir_eval.beat.continuity(beats, found)
    values = {"F": mir_eval.beat.f_measure(beats, found), "CMLt": cmlt, "AMLt": amlt}
    ratio = period(found) / period(beats) if len(found) > 2 and len(beats) > 2 else np.nan
    values["octave"] = float(not 0.8 < ratio < 1.25)
    middles = (beats[1:] + beats[:-1]) / 2
    off = mir_eval.beat.f_measure(middles, found)
    values["half"] = float(values["octave"] == 0 and off > max(0.5, values["F"]))
    if metre:
        values["downbeat F"] = mir_eval.beat.f_measure(downbeats, firsts)
        values["metre"] = float(metre == true_metre(beats, downbeats))
        values["tempo"] = abs(ratio - 1) * 100 if values["octave"] == 0 else np.nan
        if np.isnan(values["tempo"]):
            del values["tempo"]
    return values


def true_metre(beats: np.ndarray, downbeats: np.ndarray) -> int:
    """Beats of most bars."""
    bars = np.diff(np.searchsorted(beats, downbeats - 0.02))
    return int(np.bincount(bars).argmax()) if len(bars) else 0


def period(beats: np.ndarray) -> float:
    """The mean interval by a line through the beats, in seconds."""
    return float(np.polyfit(np.arange(len(beats)), beats, 1)[0])


def count_hits(
    drums: np.ndarray, samples: np.ndarray, network: RhythmNetwork, hits: dict[str, np.ndarray]
) -> None:
    """Adds the matched, true and found hits of one excerpt, by class."""
    own = drum_hits(detect_rhythm(torch.from_numpy(samples), network))
    for number, (name, key) in enumerate(DRUM_KEYS.items()):
        true = np.sort([t for t, k in drums if CLASS_OF_KEY.get(int(k)) == number])
        found = np.array([hit.start for hit in own if hit.pitch == key])
        matched = 0
        if len(true) and len(found):
            matched = len(mir_eval.util.match_events(true, found, HIT_WINDOW))
        hits[name] += (matched, len(true), len(found))


def with_drift(trackers: dict[str, Tracker], seed: int) -> None:
    """Prints how near the beats of a played track lie whose tempo drifts by 6 % in a minute."""
    rng = np.random.default_rng(seed)
    seconds, tempo = 60.0, float(rng.uniform(80, 150))
    time = np.arange(0, seconds - 1, 0.005)
    turns = 2 * np.pi * (time / seconds + rng.random())
    phase = np.cumsum(tempo / 60 * (1 + 0.06 * np.sin(turns)) * 0.005)
    beats = np.interp(np.arange(1, np.floor(phase[-1])), phase, time)
    at = np.arange(len(beats) - 1)
    halves = np.stack([beats[:-1], (beats[1:] + beats[:-1]) / 2], 1).ravel()
    kick, snare = beats[at[at % 4 % 2 == 0]], beats[at[at % 2 == 1]]
    chords = np.repeat(rng.choice([0, 5, 7, 9], len(beats) // 4 + 1), 4)[: len(at)]
    parts = [
        EnsemblePart(
            "drums",
            "kit_rock",
            notes([(kick, 36, 96), (halves[1::8], 36, 70), (snare, 38, 92), (halves, 42, 66)], rng),
        ),
        EnsemblePart("bass", "bass_electric", notes([(beats[at], 33 + chords, 80)], rng, 0.4)),
        EnsemblePart(
            "chords",
            "piano_grand",
            notes(
                [(beats[at[::2]], (57 + step + chords)[::2], 72) for step in (0, 4, 7)], rng, 0.9
            ),
            level_db=-3,
        ),
    ]
    mix = Ensemble(44100).render(parts, seconds).mean(0)
    samples = librosa.resample(mix, orig_sr=44100, target_sr=RHYTHM_RATE, res_type="soxr_hq")
    row = f"drift, about {tempo:5.1f} bpm:"
    for name, tracker in trackers.items():
        found = tracker(samples)[0]
        distance = np.abs(beats[:, None] - found).min(1) if len(found) else np.full(1, np.inf)
        near, cmlt = (distance <= 0.07).mean(), mir_eval.beat.continuity(beats, found)[1]
        row += f"  {name} {near:.3f} within 70 ms, CMLt {cmlt:.3f},"
        row += f" median {1000 * np.median(distance):.0f} ms"
    print(row, flush=True)


def notes(
    voices: list[tuple[np.ndarray, Any, int]], rng: np.random.Generator, length: float = 0.2
) -> np.ndarray:
    """Notes ``[N, 4]`` of times, pitches and a velocity each, played up to 15 ms beside."""
    rows = [
        (
            max(time + 0.006 * rng.standard_normal(), 0),
            length,
            pitch,
            velocity + rng.integers(-9, 9),
        )
        for times, pitches, velocity in voices
        for time, pitch in zip(times, np.broadcast_to(pitches, times.shape), strict=True)
    ]
    return np.array(sorted(rows))


def without_truth(folder: Path, trackers: dict[str, Tracker]) -> None:
    """Prints tempo, confidence and agreement with the references for each recording."""
    for file in sorted(p for p in folder.rglob("*") if p.suffix in (".ogg", ".mp3", ".wav")):
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        mono = samples.mean(1)
        mono = librosa.resample(mono, orig_sr=rate, target_sr=RHYTHM_RATE, res_type="soxr_hq")
        grid = find_beats(detect_rhythm(torch.from_numpy(mono)))
        if grid is None:
            print(f"{file.stem:45} no beats")
            continue
        row = f"{file.stem:45} {grid.tempo:6.1f} bpm {grid.metre}/ conf {grid.confidence:.2f}"
        for name, tracker in trackers.items():
            if name != "network":
                beats = tracker(mono)[0]
                value = mir_eval.beat.f_measure(beats, grid.beats)
                row += f"  {name} {60 / np.median(np.diff(beats)) if len(beats) > 2 else 0:5.1f}"
                row += f" F {value:.2f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
