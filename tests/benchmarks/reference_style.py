"""How near a style from one reference song comes to what the reference's band would play.

    python tests/benchmarks/reference_style.py FOLDER jazz [--references 3] [--songs 8]

``FOLDER`` holds rendered songs with their versions by a band (``audiotransfer render
ensembles-test``). The band's finished mixes of the first songs are the references, and of the next
ones the truth; the shipped style of the band's name is left out, as it knows the band. Of both
sides only mixes are given: references and songs are separated by the embedded separator, as by
``audiotransfer SONG --style REFERENCE.wav``.

Printed are means over all pairs of reference and song: the distance (root mean square of a frame's
differences, nats, after one level is aligned) of the mid and of the side signal from the truth's,
and of their sum of powers; and on how many pairs it is less than with templates alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import separation
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.reverberation import ReverberationMeter
from audiotransfer.audio.sound_profile import SoundMeter, SoundProfile
from audiotransfer.effects import equalise
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import bootstrap, plain_table
from audiotransfer.pipeline.matching import (
    NO_MATCH,
    SoundMatch,
    match_tone_and_width,
    matched_room,
    matched_tone,
)
from audiotransfer.preparation.own_pairs import excerpt, pair_styles, separated
from audiotransfer.preparation.reference_style import SECONDS, best_match
from audiotransfer.spectral.models.base import STEMS
from audiotransfer.spectral.transfer import stem_transfer
from audiotransfer.synthesis.room import DEFAULT_ROOM, RoomFilter
from audiotransfer.training.distances import frame_distance
from vocoder import SpectrogramSettings

_QUIET = -8.0  # nats
_HOP = 2205  # samples of a level, 50 ms
_SPREADS, _SOFT_DB, _GAIN_DB = (0.6, 1.6), 40.0, 12.0
_TEMPLATES = "templates"
_SPECTROGRAM = SpectrogramSettings()


def middle(sound: Tensor, seconds: float) -> Tensor:
    """The middle of a sound ``[C, T]``."""
    length = round(seconds * 44100)
    start = max(0, sound.shape[-1] - length) // 2
    return sound[:, start : start + length]


def profile(sound: Tensor) -> SoundProfile:
    """The profile of a sound ``[2, T]``."""
    meter = SoundMeter()
    meter.push(sound)
    return meter.profile()


def as_loud(sound: Tensor, like: Tensor) -> Tensor:
    """A sound at the level of another."""
    return sound * (like.square().mean() / sound.square().mean().clamp_min(1e-12)).sqrt()


def views(sound: Tensor) -> list[Tensor]:
    """Log spectrograms ``[F, L]`` of both channels' powers, of mid and of side."""
    mid, side = sound.mean(0, keepdim=True), (sound[:1] - sound[1:]) / 2
    return [_SPECTROGRAM.stereo(one) for one in (sound, mid, side)]


def distances(made: Tensor, truth: Sequence[Tensor]) -> list[float]:
    """Distances from the `views` of the truth; side is aligned by the level of mid."""
    found = views(made)
    shifts = [
        float(true.clamp_min(_QUIET).mean() - one.clamp_min(_QUIET).mean())
        for one, true in zip(found, truth, strict=True)
    ]
    shifts[2] = shifts[1]
    return [
        float(frame_distance((one + shift)[None, None], true[None, None]).mean())
        for one, true, shift in zip(found, truth, shifts, strict=True)
    ]


def compressed(sound: Tensor, reference: Tensor) -> Tensor:
    """A sound whose levels over time are spread as the reference's, in dB: its dynamics."""
    levels, wanted = (
        10 * torch.log10(one.square().mean(0).unfold(0, _HOP, _HOP).mean(-1) + 1e-9)
        for one in (sound, reference)
    )
    floor = float(levels.max()) - _SOFT_DB
    active = levels[levels > floor]
    ratio = float(wanted[wanted > wanted.max() - _SOFT_DB].std() / active.std())
    change = (np.clip(ratio, *_SPREADS) - 1) * (levels.clamp_min(floor) - active.mean())
    gain = torch.nn.functional.interpolate(change[None, None], sound.shape[-1], mode="linear")
    return as_loud(sound * 10 ** (gain[0, 0].clamp(-_GAIN_DB, _GAIN_DB) / 20), sound)


class Reference:
    """A reference's stems, with what is measured on them."""

    def __init__(self, stems: dict[str, Tensor]) -> None:
        self.stems = stems
        self.whole = profile(sum_of(stems))
        self.profiles = {stem: profile(sound) for stem, sound in stems.items()}
        self.rooms = {}
        for stem, sound in stems.items():
            meter = ReverberationMeter()
            meter.push(sound)
            self.rooms[stem] = meter.estimate()

    def placed(self, stem: str, sound: Tensor) -> Tensor:
        """A sound in the stem's room, as far as it can be estimated."""
        if (estimate := self.rooms[stem]) is None:
            return sound
        room = RoomFilter(matched_room(DEFAULT_ROOM, estimate), 44100)
        return as_loud(torch.from_numpy(room(sound.numpy().copy())), sound)


def made(
    dry: Mapping[str, Tensor],
    transfers: Mapping[str, Callable[[Tensor], Tensor]],
    reference: Reference,
) -> dict[str, Tensor]:
    """What each system makes of a song's stems, as mixes ``[2, T]``."""
    mix = sum_of(dry)
    tone = matched_tone(reference.whole.spectrum, profile(mix).spectrum)
    wet = {
        stem: transfers[stem](sound) if stem in transfers else sound for stem, sound in dry.items()
    }
    matches = {
        stem: match_tone_and_width(reference.profiles[stem], profile(sound))
        for stem, sound in wet.items()
    }
    shaped = {stem: as_loud(matches[stem](sound), sound) for stem, sound in wet.items()}
    toned = {
        stem: as_loud(SoundMatch(matches[stem].tone, 1.0, NO_MATCH.level)(sound), sound)
        for stem, sound in wet.items()
    }
    dynamic = {stem: compressed(sound, reference.stems[stem]) for stem, sound in shaped.items()}
    placed = {stem: reference.placed(stem, sound) for stem, sound in shaped.items()}
    return {
        "doing nothing": mix,
        "matched EQ": equalise(mix, [(hertz, 2 * db) for hertz, db in tone]),
        "matched EQ, half": equalise(mix, tone),
        _TEMPLATES: sum_of(wet),
        "templates, tone": sum_of(toned),
        "templates, tone, width": sum_of(shaped),
        "and dynamics": sum_of(dynamic),
        "and room": sum_of(placed),
    }


def sum_of(stems: Mapping[str, Tensor]) -> Tensor:
    """The mix of stems."""
    return torch.stack(list(stems.values())).sum(0)


@torch.no_grad()
def main() -> None:
    """Prints a table of mean distances with intervals over pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("style")
    parser.add_argument("--references", type=int, default=3)
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8.0)
    args = parser.parse_args()
    separator = separation.create("embedded")
    places = [
        card.parent
        for card in sorted(args.folder.glob("*/song.json"))
        if all((card.parent / "source" / f"{stem}.wav").is_file() for stem in STEMS)
    ]
    others = [name for name in pair_styles() if name != args.style]
    songs = []
    for place in places[args.references : args.references + args.songs]:
        mix = sum_of({s: read_audio(place / "source" / f"{s}.wav")[0] for s in STEMS})
        dry = separated(mix, separator, STEMS)
        truth, _ = read_audio(place / "finished" / f"{args.style}.wav")
        cut = {stem: middle(sound, args.seconds) for stem, sound in dry.items()}
        songs.append((cut, views(middle(truth, args.seconds))))
    found: dict[str, list[list[float]]] = {}
    for place in places[: args.references]:
        whole = excerpt(place / "finished" / f"{args.style}.wav", SECONDS)
        reference = separated(whole, separator, STEMS)
        known = Reference(reference)
        transfers = {}
        for stem in STEMS:
            try:
                title, matched = best_match(reference[stem], stem, others)
            except AudioTransferError:
                continue
            print(f"{place.name}, {stem}: from {title}", flush=True)
            transfers[stem] = stem_transfer(matched.model, _SPECTROGRAM, stem)
        for dry, truth in songs:
            for name, mix in made(dry, transfers, known).items():
                found.setdefault(name, []).append(distances(mix, truth))
    print(f"{len(songs)} songs, {args.references} references")
    print(table(found))


def table(found: Mapping[str, list[list[float]]]) -> str:
    """Mean distances of each system with intervals over pairs."""
    values = {name: np.array(rows) for name, rows in found.items()}
    rows = []
    for name, of in values.items():
        row: dict[str, object] = {"system": name}
        for column, title in enumerate(("powers", "mid", "side")):
            nearer = int((of[:, column] < values[_TEMPLATES][:, column]).sum())
            row[title] = bootstrap(of[:, column].tolist())
            row[f"{title}: nearer on"] = nearer
        rows.append(row)
    return plain_table(rows)


if __name__ == "__main__":
    main()
