"""Measures ways back to sound where a style's true spectrograms are given, on rendered songs.

    python tests/benchmarks/true_spectrograms.py data/ensembles-four [--songs 6] [--only WORD...]

A folder of rendered songs (`audiotransfer render ensembles-test`) holds each song's stems played by
random instruments and by those of styles. Every stem gets the true mel spectrogram of a style in
place of a predicted one; the sum of the stems that come back is compared with the sum of the true
ones. A row is a way back, a column a style: distance to the truth as a share of doing nothing's,
means over the songs. Nothing but the spectrogram and the source is given.

"power" rows have the spectrogram of the channels' power, the others that of their mean. The last
row are the true stems themselves, bass and other delayed by 0.8 and 1.4 ms, which nobody hears: how
partials of different stems add up is not in their spectrograms.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

import vocoder
from audiotransfer.audio.reading import read_audio
from audiotransfer.data.rendering.rendering import STEMS
from audiotransfer.evaluation import plain_table
from audiotransfer.evaluation.metrics.mel_distance import contrast, distance
from vocoder import SpectrogramSettings

MEAN = {"iterations": 3, "mean_channel": True}
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "power: source": ("source", {"iterations": 3}),
    "power: neural": ("neural", {}),
    "source": ("source", MEAN),
    "griffinlim": ("griffinlim", {}),
    "pghi": ("pghi", {}),
    "neural": ("neural", {}),
    "the truth, delayed": ("", {}),
}
DELAYS = {"drums": 0, "bass": 35, "other": 61}
"""Samples of the last row."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="rendered songs with the stems of styles")
    parser.add_argument("--songs", type=int, default=6)
    parser.add_argument("--only", nargs="*", default=[""], metavar="WORD")
    args = parser.parse_args()
    songs = sorted(card.parent for card in args.folder.glob("*/song.json"))[: args.songs]
    settings = SpectrogramSettings()
    rows = []
    for way, (name, options) in WAYS.items():
        if not any(word in way for word in args.only):
            continue
        inverter = vocoder.create(name, settings, **options) if name else None
        shares: dict[str, list[float]] = defaultdict(list)
        contrasts, spent, seconds = [], 0.0, 0.0
        for song in songs:
            source = stems_of(song / "source")
            for style in sorted(path.name for path in (song / "target").iterdir()):
                true = stems_of(song / "target" / style)
                start = perf_counter()
                made = sum(
                    true[stem].roll(DELAYS[stem], -1)
                    if inverter is None
                    else invert(inverter, source[stem], true[stem], "power" in way)
                    for stem in true
                )
                spent += perf_counter() - start
                assert isinstance(made, Tensor)
                truth, nothing = sum(true.values()), sum(source[stem] for stem in true)
                rate = settings.sample_rate
                shares[style].append(distance(made, truth, rate) / distance(nothing, truth, rate))
                contrasts.append(contrast(made, rate) / contrast(truth, rate))
                seconds += len(true) * made.shape[-1] / rate
        means = {style: f"{np.mean(values):.3f}" for style, values in shares.items()}
        rows.append(
            {"way back": way, **means, "contrast": f"{np.mean(contrasts):.2f}",
             "s per s of a stem": f"{spent / seconds:.3f}"}
        )  # fmt: skip
        print(plain_table(rows[-1:]), flush=True)
    print(plain_table(rows))


def stems_of(folder: Path) -> dict[str, Tensor]:
    """The stems ``[2, T]`` in a folder."""
    return {s: read_audio(folder / f"{s}.wav")[0] for s in STEMS if (folder / f"{s}.wav").is_file()}


def invert(inverter: vocoder.Inverter, source: Tensor, true: Tensor, power: bool) -> Tensor:
    """The sound ``[2, T]`` that comes back of a stem's true spectrogram."""
    settings, random = inverter.expects, torch.Generator().manual_seed(0)
    target = settings.stereo(true) if power else settings(true.mean(0))
    sound = inverter(target, true.shape[-1], source, random)
    return sound if sound.ndim == 2 else vocoder.panned(sound, source, settings)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
