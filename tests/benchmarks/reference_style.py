"""How near a style from one reference song comes to what the reference's band would play.

    python tests/benchmarks/reference_style.py FOLDER rock [--songs 4] [--seconds 8]

``FOLDER`` holds rendered songs with their versions by a band (``audiotransfer render
ensembles-test``). The first one by that band is the reference; the shipped style of the band's name
is left out, as it knows the band. On the others: distance (root mean square of a frame's
differences, nats, after levels are aligned) of true stems from the band's, for doing nothing, an
equaliser matched to the reference, the matched templates, both also at half strength, and the
shipped style. Spectrograms are compared before they are turned into sound.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.audio.reading import read_audio
from audiotransfer.evaluation import bootstrap, plain_table
from audiotransfer.preparation.own_pairs import pair_styles
from audiotransfer.preparation.reference_style import best_match
from audiotransfer.spectral.models.base import STEMS, SpectrogramModel
from audiotransfer.spectral.objectives.losses import power_sum
from audiotransfer.spectral.transfer import load_generator
from audiotransfer.training.distances import frame_distance
from vocoder import SpectrogramSettings

_QUIET = -8.0  # nats
_BANDS = 3.0  # standard deviation of the equaliser's smoothing
_SPECTROGRAM = SpectrogramSettings()


def sound(path: Path, seconds: float) -> Tensor:
    """The middle of a file ``[C, T]``."""
    audio, rate = read_audio(path)
    start = max(0, audio.shape[-1] - round(seconds * rate)) // 2
    return audio[:, start : start + round(seconds * rate)]


def smoothed(gains: Tensor) -> Tensor:
    """Gains ``[F]``, smooth over bands."""
    places = torch.arange(len(gains), dtype=gains.dtype)
    kernel = torch.exp(-0.5 * ((places[:, None] - places[None]) / _BANDS).square())
    return (kernel @ gains) / kernel.sum(1)


def distance(made: Tensor, truth: Tensor) -> float:
    """Distance of two spectrograms ``[F, L]``, whose mean levels are made equal."""
    shift = truth.clamp_min(_QUIET).mean() - made.clamp_min(_QUIET).mean()
    return float(frame_distance((made + shift)[None, None], truth[None, None]).mean())


@torch.no_grad()
def main() -> None:
    """Prints a table of mean distances with intervals over songs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("band")
    parser.add_argument("--songs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=8.0)
    args = parser.parse_args()
    places = [
        card.parent
        for card in sorted(args.folder.glob("*/song.json"))
        if all((card.parent / "source" / f"{stem}.wav").is_file() for stem in STEMS)
    ]
    reference, held_out = places[0], places[1 : 1 + args.songs]
    others = [name for name in pair_styles() if name != args.band]
    played = {
        stem: sound(reference / "target" / args.band / f"{stem}.wav", args.seconds)
        for stem in STEMS
    }
    matched = {stem: best_match(played[stem], stem, others) for stem in STEMS}
    for stem, (title, one) in matched.items():
        print(f"{stem}: from {title}, divergence {one.before:.2f} -> {one.divergence:.2f}")
    card = pair_styles([args.band])[args.band]
    shipped = {}
    for stem in STEMS:
        entry = card.card.stems[stem]
        assert entry is not None
        shipped[stem] = load_generator(card.folder / entry.weights).eval()
    spectrum = power_sum([_SPECTROGRAM.stereo(one) for one in played.values()]).mean(1)
    found: dict[str, list[float]] = {}
    for place in held_out:
        sources = {stem: sound(place / "source" / f"{stem}.wav", args.seconds) for stem in STEMS}
        truth = power_sum(
            [
                _SPECTROGRAM.stereo(sound(place / "target" / args.band / f"{s}.wav", args.seconds))
                for s in STEMS
            ]
        )
        mix = power_sum([_SPECTROGRAM.stereo(one) for one in sources.values()])
        equalised = mix + smoothed(spectrum - mix.mean(1))[:, None]
        made = converted(sources, {stem: pair[1].model for stem, pair in matched.items()})
        rows = {
            "doing nothing": mix,
            "matched EQ": equalised,
            "matched EQ, half": 0.5 * (mix + equalised),
            "matched templates": made,
            "matched templates, half": 0.5 * (mix + made),
            f"shipped {args.band}": converted(sources, shipped),
        }
        for name, plot in rows.items():
            found.setdefault(name, []).append(distance(plot, truth))
    print(f"{len(held_out)} held-out songs, one reference")
    print(plain_table([{"system": name, "distance": bootstrap(v)} for name, v in found.items()]))


def converted(sources: dict[str, Tensor], models: Mapping[str, SpectrogramModel]) -> Tensor:
    """The spectrogram of all stems as the models make them."""
    index = torch.zeros(1, dtype=torch.long)
    return power_sum(
        [
            models[stem].predict(models[stem].features(one, _SPECTROGRAM)[None], index)[0]
            for stem, one in sources.items()
        ]
    )


if __name__ == "__main__":
    main()
