"""Random arrangements for rendered songs: a section of a MIDI file, with bass and drums."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.data.rendering.arrangement import (
    Arrangement,
    bass_line,
    drum_part,
    read_arrangement,
)
from audiotransfer.data.rendering.ensembles import Ensemble
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.archives import contents, in_split, list_midi

if TYPE_CHECKING:
    from numpy.random import Generator


@dataclass
class RenderSettings:
    """Settings of rendered songs: MIDI files, sections, soundfonts and effects.

    ``scores`` are folders or zip files of MIDI with their share of the songs; ``grooves`` a
    folder or zip of drum performances; soundfonts are paths. ``target_banks`` play the
    ensembles of ``targets``, styles by name, with their shares of the songs: soundfonts, or
    ``sampled``, the instruments of the package, for the styles that have such. ``hold_out`` is the
    share of scores that a test set gets, by place in the sorted names. Parts are played by an
    additive instrument with probability ``invented_share``. Synthetic voices sing the melody, where
    a part has one, of ``sung_share`` of the songs, as the stem ``vocals``; only songs without
    ``targets`` are sung.

    With a ``genre`` its own ensemble plays the score, and no other version is made. ``genres``
    names several with the scores of each: as many songs for every one, in a folder of its name.
    """

    scores: dict[str, float] = field(default_factory=dict)
    grooves: str = ""
    soundfonts: list[str] = field(default_factory=list)
    target_banks: dict[str, float] = field(default_factory=dict)
    targets: list[str] = field(default_factory=lambda: ["jazz"])
    invented_share: float = 0.0
    sung_share: float = 0.0
    songs: int = 200
    seconds: float = 36.0
    seed: int = 0
    split: str = "train"
    hold_out: float = 0.12
    unseen_instruments: bool = False
    workers: int = 2
    genre: str = ""
    genres: dict[str, dict[str, float]] = field(default_factory=dict)


def _read(place: str, name: str) -> Arrangement:
    ((_, data),) = contents(place, [name])
    return read_arrangement(data, name)


def _choose_section(
    arrangement: Arrangement, seconds: float, random: Generator
) -> Arrangement | None:
    """Draws a section with enough notes; None where there is none."""
    latest = max(0.0, arrangement.seconds - seconds)
    for _ in range(6):
        section = arrangement.section(random.uniform(0, latest), seconds)
        if sum(len(p.notes) for p in section.parts) >= 1.2 * seconds:
            return section
    return None


def compose(
    settings: RenderSettings, index: int, random: Generator, ensemble: Ensemble | None = None
) -> tuple[Arrangement, str]:
    """The arrangement of song ``index``, a section completed with bass and drums, and its score.

    For an ``ensemble`` without kits neither is added; others get grooves of their kind where there
    are any. Raises AudioTransferError where no score with enough notes is found.
    """
    complete = ensemble is None or bool(ensemble.kits)
    places = list(settings.scores)
    shares = np.array([settings.scores[p] for p in places])
    for _ in range(50):
        place = places[random.choice(len(places), p=shares / shares.sum())]
        names = in_split(list_midi(place), settings.split, settings.hold_out)
        name = names[(index * 7919 + int(random.integers(len(names)))) % len(names)]
        try:
            section = _choose_section(_read(place, name), settings.seconds, random)
        except AudioTransferError:
            continue
        if section is None:
            continue
        parts = list(section.parts)
        stems = {p.stem for p in parts}
        lacks_bass, lacks_drums = (complete and stem not in stems for stem in ("bass", "drums"))
        if lacks_bass and random.random() < 0.85 and (line := bass_line(section)):
            parts.append(line)
        if lacks_drums and settings.grooves and random.random() < 0.85:
            grooves = _grooves(settings, ensemble.groove if ensemble else "")
            try:
                groove = _read(settings.grooves, grooves[int(random.integers(len(grooves)))])
                parts.append(drum_part(section, groove, settings.seconds))
            except AudioTransferError:
                continue
        return Arrangement(
            tuple(parts), section.beat, section.downbeat
        ), f"{Path(place).stem}/{name}"
    raise AudioTransferError("no score with enough notes was found in 50 tries; name more scores")


def _grooves(settings: RenderSettings, kind: str) -> list[str]:
    """Names of the split's drum performances in 4/4, of a kind where there are two or more."""
    names = list_midi(settings.grooves)
    in_four = tuple(g for g in names if "_beat_4-4" in g) or names
    of_kind = tuple(g for g in in_four if kind in Path(g).name)
    return in_split(of_kind if len(of_kind) > 1 else in_four, settings.split, settings.hold_out)
