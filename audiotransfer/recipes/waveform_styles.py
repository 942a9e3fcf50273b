"""What the recipes of waveform styles share: domains' recordings, validation, samples, export."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.data.domains import pairs_of
from audiotransfer.data.paired import Pair, PairedStems, PairSettings, find_pairs
from audiotransfer.data.stem_mixes import (
    StemRecording,
    folder_stems,
    rendered_stems,
    song_stems,
)
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.validation_samples import rendered_samples
from audiotransfer.recipes.base import Fit, Run, Sounds
from audiotransfer.recipes.export import (
    About,
    Described,
    style_folder,
    validated,
    write_spectral_card,
)
from audiotransfer.spectral.models.base import STEMS
from audiotransfer.styles.card import StemEntry
from audiotransfer.training import Objective
from audiotransfer.waveform.generators import WaveformGenerator
from audiotransfer.waveform.transfer import WaveformTransfer, save_generator

_VALIDATION_BATCHES = 3
_SAMPLES = 2  # songs, for the log


@dataclass
class DomainRecipe:
    """Recordings of one domain: folders of one stem alone, of recorded songs' stems, and one
    ``side`` of rendered songs.

    A side is ``source``, of any instruments, or a style's name, of its own; where ``bank`` names
    one, only rendered songs whose styles' instruments are of that bank. Recorded songs with a word
    of ``without`` in their names are left out.
    """

    folders: list[str] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    rendered: list[str] = field(default_factory=list)
    side: str = "source"
    bank: str = ""


def recordings_of(
    domains: Mapping[str, DomainRecipe],
    data: Path,
    stem: str,
    cache: Path,
    held_out: Sequence[Pair] = (),
) -> dict[str, list[StemRecording]]:
    """The recordings of a stem in each domain, without the songs that are held out.

    Raises AudioTransferError for a domain without recordings.
    """
    songs = {pair.folder.name for pair in held_out}
    found: dict[str, list[StemRecording]] = {}
    for name, domain in domains.items():
        recordings: list[StemRecording] = []
        for folder in domain.folders:
            recordings += folder_stems(data / folder, stem, cache)
        for folder in domain.recorded:
            recordings += song_stems(data / folder, cache, domain.without)
        for folder in domain.rendered:
            of_side = rendered_stems(data / folder, bank=domain.bank)
            recordings += [one for one in of_side if one.song.split("/")[1] == domain.side]
        found[name] = [r for r in recordings if r.stem == stem and not songs & set(_names(r))]
        if not found[name]:
            raise AudioTransferError(
                f"domain {name!r} has no recordings of {stem}; name folders that hold some"
            )
    return found


def held_out_and_trained(
    folder: Path, stem: str, count: int, bank: str
) -> tuple[list[Pair], list[Pair]]:
    """Rendered songs that have a stem: of the first ``count``, and of the others.

    Of both only those whose targets' instruments are of a ``bank``, where it is not empty.
    """
    pairs = [pair for pair in find_pairs(folder) if stem in pair.stems]
    parts = pairs[:count], pairs[count:]
    held_out, trained = ([p for p in part if bank in ("", p.bank)] for part in parts)
    return held_out, trained


def crop_frames(drawing: PairSettings, seconds: float) -> int:
    """Hops in a crop; one sample less than so many gives exactly that many centred frames."""
    return round(seconds * STEREO_RATE / drawing.hop_length)


def drawn(
    pairs: Sequence[Pair], drawing: PairSettings, stem: str, seconds: float, **changes: Any
) -> PairedStems:
    """Crops of pairs, of the one stem."""
    drums, bass, other = (float(one == stem) for one in STEMS)
    frames = crop_frames(drawing, seconds)
    settings = replace(drawing, stem_shares=(drums, bass, other), frames=frames, **changes)
    return PairedStems(pairs, settings)


def validation_batches(
    held_out: Sequence[Pair],
    drawing: PairSettings,
    stem: str,
    seconds: float,
    sample_rate: int,
) -> list[dict[str, Tensor]]:
    """Crops of separated stems of songs that are held out, beside their true targets."""
    seed = drawing.seed + 98
    crops = drawn(held_out, drawing, stem, seconds, separated_share=1.0, batch=8, seed=seed)
    return [pairs_of(crops, step, sample_rate) for step in range(_VALIDATION_BATCHES)]


def transferred_samples(
    held_out: Sequence[Pair], stem: str, style: str, generator: Callable[[], WaveformGenerator]
) -> Sounds:
    """Stems of songs that are held out, as they are and transferred, for the log."""
    songs = [pair.folder for pair in held_out]
    samples = rendered_samples(songs, ("separated", "source"), stem, _SAMPLES)

    def sounds(of: Objective) -> dict[str, tuple[Tensor, int]]:
        transfer = WaveformTransfer(generator())
        made: dict[str, tuple[Tensor, int]] = {}
        for sample in samples:
            made[f"{sample.name}/source"] = sample.sound, STEREO_RATE
            made[f"{sample.name}/{style}"] = transfer(sample.sound), STEREO_RATE
        return made

    return sounds


def export_generator(
    about: Described, stem: str, run: Run, fit: Fit, generator: WaveformGenerator
) -> Path:
    """Writes the style of one generator, that transfers one stem, beside its checkpoint."""
    place = style_folder(fit.best.parent, about.name)
    weights = f"{about.name}.safetensors"
    save_generator(place / weights, generator)
    count = sum(p.numel() for p in generator.parameters())
    networks = {"generator": {**generator.shape(), "kind": generator.kind, "parameters": count}}
    found = validated(fit.best)
    write_spectral_card(
        About(about.name, about.description, about.corpora),
        run,
        fit,
        place,
        {stem: StemEntry("waveform", weights, stem)},
        networks,
        {"validation": found} if found else {},
    )
    return place


def _names(recording: StemRecording) -> tuple[str, str]:
    """The names that a rendered song, or a stem of it in a folder of stems, may be held out by."""
    return recording.song.split("/")[0], recording.path.stem.rsplit("-", 1)[0]
