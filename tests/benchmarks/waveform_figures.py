"""Measures styles on stems of rendered songs, whose true version in the style's instruments exists.

    python tests/benchmarks/waveform_figures.py TRAINING TEST... [--styles jazz-piano jazz]

TRAINING and TEST are folders of rendered songs (`audiotransfer render`). The matched equaliser is
fitted on songs of TRAINING; songs of TEST are measured, a table for each folder. Each stem, played
by any instruments, goes through each style's transfer of that stem. Rows beside the styles: doing
nothing, the matched equaliser, and the truth itself. Columns are means over songs, the first with
its 95 % bootstrap interval:

- distance: to the true rendering, as a share of doing nothing's
- contrast: as a share of the truth's
- chroma and onsets: centred chroma and onset correlation with the source
- pitches: F-measure of pitches that sound, by frame, as the shipped transcription finds them in
  source and output
- FAMILY: share of songs on which the instrument classifier says the target's family before all
  others, and its mean probability
- CPU: processor seconds for a second of sound, on all threads together
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import Tensor

from audiotransfer import load_style
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.evaluation import bootstrap, plain_table, save_comparison
from audiotransfer.evaluation.baselines.audio import MatchedEQ
from audiotransfer.evaluation.classifiers.instruments import (
    InstrumentClassifier,
    shipped_instrument_classifier,
)
from audiotransfer.evaluation.metrics.content import centred_chroma, onset_correlation
from audiotransfer.evaluation.metrics.mel_distance import contrast, distance
from audiotransfer.transcription.pitch_transcriber import PitchTranscriber

Transfer = Callable[[Tensor], Tensor]
_PITCH_RATE = 22050


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("training", type=Path)
    parser.add_argument("test", type=Path, nargs="+")
    parser.add_argument("--styles", nargs="*", default=["jazz-piano"])
    parser.add_argument("--target", default="jazz", help="folder of the true renderings")
    parser.add_argument("--stem", default="other")
    parser.add_argument("--family", default="piano", help="what the classifier should say")
    parser.add_argument("--classifier", type=Path, help="instead of the shipped one")
    parser.add_argument("--songs", type=int, default=24)
    parser.add_argument("--fitted", type=int, default=40, help="songs for the equaliser")
    parser.add_argument("--plots", type=Path, help="folder for spectrograms of the first songs")
    args = parser.parse_args()
    place = args.classifier or shipped_instrument_classifier()
    classifier = InstrumentClassifier.load(place)
    pairs = [pair(song, args.target, args.stem) for song in songs_of(args.training, args.fitted)]
    equaliser = MatchedEQ.fit([s for s, _ in pairs], [t for _, t in pairs])
    transfers: dict[str, Transfer] = {"doing nothing": lambda sound: sound, "matched EQ": equaliser}
    for name in args.styles:
        transfers[Path(name).name] = load_style(name).stems[args.stem]
    for folder in args.test:
        rows: dict[str, list[dict[str, float]]] = {}
        for number, song in enumerate(songs_of(folder, args.songs)):
            source, truth = pair(song, args.target, args.stem)
            sounding = pitches(source)
            made: dict[str, Tensor] = {}
            for name, transfer in transfers.items():
                begin = process_time()
                made[name] = transfer(source)
                spent = (process_time() - begin) * STEREO_RATE / source.shape[-1]
                figures = measure(made[name], source, truth, classifier, args.family, sounding)
                rows.setdefault(name, []).append({**figures, "CPU": spent})
            figures = measure(truth, source, truth, classifier, args.family, sounding)
            rows.setdefault("the truth", []).append({**figures, "CPU": 0.0})
            if args.plots is not None and number < 4:
                args.plots.mkdir(parents=True, exist_ok=True)
                shown = {"source": source, **made, "truth": truth}
                save_comparison(args.plots / f"{folder.name}-{song.name}.png", shown, STEREO_RATE)
        print(f"{folder.name}: {len(rows['doing nothing'])} songs, {args.stem}")
        print(plain_table([row(name, figures) for name, figures in rows.items()]), flush=True)


def songs_of(folder: Path, count: int) -> list[Path]:
    """The first rendered songs of a folder."""
    return [card.parent for card in sorted(folder.glob("*/song.json"))[:count]]


def pair(song: Path, target: str, stem: str) -> tuple[Tensor, Tensor]:
    """A stem ``[2, T]`` as it is and as the target's instruments play it."""
    source, target_file = song / "source", song / "target" / target
    return read_audio(source / f"{stem}.wav")[0], read_audio(target_file / f"{stem}.wav")[0]


def measure(
    made: Tensor,
    source: Tensor,
    truth: Tensor,
    classifier: InstrumentClassifier,
    family: str,
    sounding: np.ndarray,
) -> dict[str, float]:
    """All figures of one output; ``sounding`` are the source's `pitches`."""
    rate = STEREO_RATE
    shares = classifier.probabilities(made, rate)
    return {
        "distance": distance(made, truth, rate) / distance(source, truth, rate),
        "contrast": contrast(made, rate) / contrast(truth, rate),
        "chroma": centred_chroma(made, source, rate),
        "onsets": onset_correlation(made, source, rate),
        "pitches": pitch_agreement(pitches(made), sounding),
        "first": float(max(shares, key=lambda name: shares[name]) == family),
        "probability": shares[family],
    }


def pitch_agreement(found: np.ndarray, true: np.ndarray) -> float:
    """F-measure of the pitches that sound in each frame of both."""
    frames = min(len(found), len(true))
    both = np.sum(found[:frames] & true[:frames])
    total = np.sum(found[:frames]) + np.sum(true[:frames])
    return float(2 * both / total) if total else 1.0


def pitches(sound: Tensor) -> np.ndarray:
    """Whether each of 88 pitches sounds: ``[L, 88]``."""
    mono = resample(sound.mean(0, keepdim=True), STEREO_RATE, _PITCH_RATE)[0].numpy()
    transcriber = PitchTranscriber()
    with torch.no_grad():
        transcriber.push(mono)
        return np.asarray(transcriber.finish().notes > 0.5)


def row(name: str, figures: list[dict[str, float]]) -> dict[str, str]:
    """A row of the table: means over songs."""
    cells = {"": name}
    for key in figures[0]:
        values = [one[key] for one in figures]
        cells[key] = f"{np.mean(values):.3f}"
        if key == "distance" and len(values) > 1 and np.ptp(values):
            interval = bootstrap(values)
            cells[key] += f" ({interval.low:.2f}-{interval.high:.2f})"
    return cells


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
