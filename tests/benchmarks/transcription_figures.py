"""Table of what the pitch network finds in recordings whose truth is known.

    python tests/benchmarks/transcription_figures.py EXCERPTS... [--stems FOLDER...]
        [--basic-pitch PACKAGES] [--pyin] [--weights FILE] [--most N] [--json FILE]

A folder of excerpts holds ``NAME.npz`` (see `audiotransfer.transcription.pitch_examples`), one of
stems ``vocals`` and what else sounds. Of excerpts: the lead's notes (precision, recall, F-measure;
onsets within 50 ms, pitches right, ends not counted), raw pitch accuracy, voicing recall and false
alarms by frames of the decoded notes, all notes alike, and by true beats chord roots, major and
minor, and pitch classes of the bass. Of stems: pYIN of the vocals is the truth, on frames where
they are less than 12 dB below the rest; "confirmed" is the share of these frames whose truth the
spectrum of the vocals confirms, which is small where they are more than one voice.
``--basic-pitch``: the folder where basic-pitch and onnxruntime are installed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from pitch_references import BasicPitch, confirmed, low_bass, pyin_pitches, skyline, template_chords

from audiotransfer.leadsheet import Note
from audiotransfer.recipes.pitch_transcription import note_figures
from audiotransfer.transcription.activations import CHORD_QUALITIES, LOWEST, LOWEST_BASS
from audiotransfer.transcription.notes import lead_notes, polyphonic_notes
from audiotransfer.transcription.pitch_features import FRAME_RATE, HOP, SAMPLE_RATE
from audiotransfer.transcription.pitch_network import load_pitch_network
from audiotransfer.transcription.pitch_transcriber import SHIPPED, transcribe_pitches

_LEVELS = ((-13, -6), (-6, -2), (-2, 2), (2, 7))  # dB of the lead against the rest
_MINOR = {CHORD_QUALITIES.index(name) for name in ("m", "m7")}
_DIMINISHED = CHORD_QUALITIES.index("dim")
_STAY = 1.5  # nats by which a chord that goes on is likelier
_WITHIN = 12.0  # dB


@dataclass(frozen=True)
class Found:
    """What a system finds: notes, and per frame chords ``[L, 73]`` and bass classes ``[L, 12]``."""

    lead: list[Note]
    notes: list[Note]
    chords: NDArray[np.float64]
    bass: NDArray[np.float64]
    open: NDArray[np.float64] | None = None


System = Callable[[NDArray[np.float32]], Found]


def network_system(weights: Path) -> System:
    network = load_pitch_network(weights)

    def transcribe(samples: NDArray[np.float32]) -> Found:
        found = transcribe_pitches(samples, network)
        bass = np.zeros((len(found.bass), 12))
        for index in range(found.bass.shape[1] - 1):
            bass[:, (index + LOWEST_BASS) % 12] += found.bass[:, index]
        return Found(
            lead_notes(found),
            polyphonic_notes(found),
            found.chords.astype(float),
            bass,
            found.lead[:, :-1].argmax(1).astype(float) + LOWEST,
        )

    return transcribe


def reference_system(packages: Path) -> System:
    network = BasicPitch(packages)

    def transcribe(samples: NDArray[np.float32]) -> Found:
        notes, frames = network(samples)
        return Found(skyline(notes), notes, template_chords(frames), low_bass(frames))

    return transcribe


def frames_of(notes: list[Note] | NDArray[np.floating], frames: int) -> NDArray[np.float64]:
    """The pitch of each frame; NaN where there is none."""
    pitches = np.full(frames, np.nan)
    rows = [(n.start, n.start + n.duration, n.pitch) if isinstance(n, Note) else n for n in notes]
    for start, end, pitch in rows:
        pitches[max(0, round(start * FRAME_RATE)) : max(0, round(end * FRAME_RATE))] = pitch
    return pitches


def frame_figures(truth: NDArray[np.float64], found: NDArray[np.float64]) -> dict[str, float]:
    """Raw pitch and chroma accuracy, voicing recall and false alarms."""
    voiced, told = ~np.isnan(truth), ~np.isnan(found)
    away = np.abs(found - truth)[voiced]
    folded = np.abs((found - truth + 6) % 12 - 6)[voiced]
    figures = {
        "pitch": float((away <= 0.5).mean()) if voiced.any() else np.nan,
        "chroma": float((folded <= 0.5).mean()) if voiced.any() else np.nan,
        "recall": float(told[voiced].mean()) if voiced.any() else np.nan,
        "false alarms": float(told[~voiced].mean()) if (~voiced).any() else np.nan,
    }
    return figures


def beat_means(values: NDArray[np.float64], beats: NDArray[np.floating]) -> NDArray[np.float64]:
    edges = np.clip(np.round(beats * FRAME_RATE).astype(int), 0, len(values))
    pairs = pairwise(edges)
    return np.array(
        [values[a : max(b, a + 1)].mean(0) if a < len(values) else 0 * values[0] for a, b in pairs]
    )


def smoothed(logs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The likeliest sequence of chords, of beats' log probabilities ``[N, K]``."""
    came = np.zeros(logs.shape, dtype=int)
    score = logs[0]
    for beat in range(1, len(logs)):
        best = int(score.argmax())
        stay = score + _STAY
        came[beat] = np.where(stay >= score[best], np.arange(len(score)), best)
        score = np.maximum(stay, score[best]) + logs[beat]
    path = [int(score.argmax())]
    for beat in range(len(logs) - 1, 0, -1):
        path.append(int(came[beat, path[-1]]))
    return np.array(path[::-1])


def harmony_figures(file: Any, found: Found) -> dict[str, tuple[int, int]]:
    """Beats that are right, and beats: roots, major and minor, classes of the bass."""
    beats = file["beats"]
    right: dict[str, tuple[int, int]] = {}
    if len(beats) < 3 or not bool(file["has_beats"]):
        return right
    middles = (beats[:-1] + beats[1:]) / 2
    if bool(file["has_chords"]) and len(file["chords"]):
        place = np.searchsorted(file["chords"][:, 0], middles, side="right") - 1
        true = file["chords"][np.maximum(place, 0)].astype(int)
        known = (place >= 0) & (true[:, 1] >= 0)
        path = smoothed(np.log(beat_means(found.chords, beats) + 1e-4))
        roots = np.where(path < 72, path % 12, -1)
        minor = np.isin(path // 12, list(_MINOR))
        right["root"] = (int((roots == true[:, 1])[known].sum()), int(known.sum()))
        known &= true[:, 2] != _DIMINISHED
        same = (roots == true[:, 1]) & (minor == np.isin(true[:, 2], list(_MINOR)))
        same &= path // 12 != _DIMINISHED
        right["majmin"] = (int(same[known].sum()), int(known.sum()))
    if bool(file["has_bass"]) and len(file["bass"]):
        bass = frames_of(file["bass"], len(found.bass))
        classes = np.zeros((len(bass), 12))
        sounding = ~np.isnan(bass)
        classes[np.flatnonzero(sounding), np.round(bass[sounding]).astype(int) % 12] = 1.0
        true_bass = beat_means(classes, beats)
        known = true_bass.max(1) > 0.3
        same = true_bass.argmax(1) == beat_means(found.bass, beats).argmax(1)
        right["bass"] = (int(same[known].sum()), int(known.sum()))
    return right


def measure_excerpts(
    folder: Path, systems: dict[str, System], most: int | None
) -> dict[str, dict[str, Any]]:
    paths = sorted(folder.glob("*.npz"))[:most]
    values: dict[str, dict[str, list[float]]] = {s: defaultdict(list) for s in systems}
    counts: dict[str, dict[str, NDArray[np.int64]]] = {
        s: defaultdict(lambda: np.zeros(2, dtype=np.int64)) for s in systems
    }
    seconds = dict.fromkeys(systems, 0.0)
    length = 0.0
    for path in paths:
        with np.load(path) as loaded:
            file = {name: loaded[name] for name in loaded.files}
        about = json.loads(str(file["about"]))
        samples = file["audio"].astype(np.float32) / 32768.0
        length += len(samples) / SAMPLE_RATE
        for name, system in systems.items():
            began = time.monotonic()
            found = system(samples)
            seconds[name] += time.monotonic() - began
            own = values[name]
            if bool(file["has_lead"]) and len(file["lead"]):
                truth = file["lead"][:, :2], file["lead"][:, 2]
                figures = note_figures(truth, found.lead)
                for key, value in zip(("P", "R", "F"), figures, strict=True):
                    own[key].append(value)
                level = float(about.get("lead_db", 0.0) or 0.0)
                for low, high in _LEVELS:
                    if low <= level < high:
                        own[f"F {low}..{high} dB"].append(figures[2])
                if len(file["sung"]):
                    own["F sung"].append(figures[2])
                frames = len(samples) // HOP + 1
                pitches = frames_of(found.lead, frames)
                for key, value in frame_figures(frames_of(file["lead"], frames), pitches).items():
                    own[key].append(value)
            if bool(file["has_notes"]) and len(file["notes"]):
                truth = file["notes"][:, :2], file["notes"][:, 2]
                own["all notes F"].append(note_figures(truth, found.notes)[2])
            for key, pair in harmony_figures(file, found).items():
                counts[name][key] += pair
    table: dict[str, dict[str, Any]] = {}
    for name in systems:
        row = {key: float(np.nanmean(v)) for key, v in values[name].items()}
        row |= {key: float(r / max(1, n)) for key, (r, n) in counts[name].items()}
        row["x real time"] = length / max(1e-9, seconds[name])
        table[f"{folder.name} ({len(paths)}): {name}"] = row
    return table


def mono(path: Path) -> NDArray[np.float32]:
    """A stem at 22.05 kHz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return librosa.resample(samples.mean(1), orig_sr=rate, target_sr=SAMPLE_RATE)


def measure_stems(
    folder: Path, systems: dict[str, System], pyin: bool
) -> dict[str, dict[str, Any]]:
    """Sung pitch: of decoded notes, and of the likeliest pitch where no rest is allowed."""
    stems = {path.stem: mono(path) for path in sorted(folder.iterdir()) if path.suffix == ".ogg"}
    length = min(map(len, stems.values()))
    voice = stems.pop("vocals")[:length]
    rest = sum((stem[:length] for stem in stems.values()), np.zeros(length, dtype=np.float32))
    truth = pyin_pitches(voice)

    def levels(samples: NDArray[np.float32]) -> NDArray[np.float64]:
        power = librosa.feature.rms(y=samples, frame_length=2048, hop_length=HOP)[0] ** 2
        found: NDArray[np.float64] = 10 * np.log10(power + 1e-10)
        return found

    alone = confirmed(voice, truth)
    near = (levels(voice) - levels(rest) > -_WITHIN) & (levels(voice) > -50)
    frames = min(len(truth), len(near))
    truth = np.where(near[:frames], truth[:frames], np.nan)
    sung = ~np.isnan(truth)
    alone = alone[:frames] & sung
    table: dict[str, dict[str, Any]] = {}
    for name, system in systems.items():
        found = system(voice + rest)
        row = frame_figures(truth, frames_of(found.lead, frames))
        row.pop("false alarms")
        if found.open is not None:
            away = np.abs(found.open[:frames] - truth)[sung]
            row["pitch, no rests"] = float((away <= 0.5).mean())
        row["confirmed"] = float(alone[sung].mean())
        lead = frames_of(found.lead, frames)
        row["pitch, confirmed"] = float((np.abs(lead - truth)[alone] <= 0.5).mean())
        table[f"{folder.name} ({sung.sum() / FRAME_RATE:.0f} s): {name}"] = row
    if pyin:
        row = frame_figures(truth, pyin_pitches(voice + rest)[:frames])
        row.pop("false alarms")
        table[f"{folder.name}: pYIN of the mix"] = row
    return table


def print_table(table: dict[str, dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in table.values() for key in row))
    print("| | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, row in table.items():
        cells = (f"{row[c]:.2f}" if c in row else "" for c in columns)
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("excerpts", nargs="*", type=Path)
    parser.add_argument("--stems", nargs="*", type=Path, default=[])
    parser.add_argument("--basic-pitch", type=Path)
    parser.add_argument("--pyin", action="store_true")
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--most", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    systems = {"network": network_system(options.weights)}
    if options.basic_pitch:
        systems["basic-pitch"] = reference_system(options.basic_pitch)
    table: dict[str, dict[str, Any]] = {}
    for folder in options.excerpts:
        table |= measure_excerpts(folder, systems, options.most)
    stems: dict[str, dict[str, Any]] = {}
    for folder in options.stems:
        stems |= measure_stems(folder, systems, options.pyin)
    for part in (table, stems):
        if part:
            print_table(part)
    if options.json:
        options.json.write_text(json.dumps({"excerpts": table, "stems": stems}, indent=1))


if __name__ == "__main__":
    main()
