"""Writes comping: short chords in counted rhythms that leave room for the melody."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.cover.band import settings_of
from audiotransfer.cover.counts import table
from audiotransfer.cover.figures import as_comping, beside_figures, own_figures
from audiotransfer.cover.harmony import chord_kind
from audiotransfer.cover.melody import sung_notes
from audiotransfer.cover.rhythms import draw_rhythm, other_rhythm, rhythm_table
from audiotransfer.cover.singer import clear_of_syllables
from audiotransfer.cover.voicings import CountedVoicings, semitone_clashes

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Role
    from audiotransfer.cover.learned_comping import MelodyInfluence
    from audiotransfer.cover.plan import Notes, Plan
    from audiotransfer.cover.rhythms import RhythmTable
    from audiotransfer.leadsheet import Bar, Chord

_DENSITY = 0.12  # how far the number of chords follows the melody's gaps
_ENERGY = 0.7  # and how far the song's energy
_REPEATED = 0.2  # weight of the rhythm that the same bar of the last chorus has
_SHORTEST, _LONGEST = 0.15, 3.0  # beats
_LENGTH_SPREAD = 0.9  # of the logarithm; counted quartiles .23 and .93 around .43
_FINAL = 4  # notes of the last chord
_VELOCITY_SPREAD = 9  # counted middle half 56-76
_HIGHEST_FIGURE = 84  # pitch of the song's own figures
_MELODY = 0.3  # how far loud and soft melody notes are followed


@dataclass(frozen=True)
class CompingSettings:
    """Settings of comping.

    ``fullness`` (0..1) is how seldom a half bar has no chord; ``sizes`` are shares of chords of 2,
    3, 4 and 5 notes, by default the counted ones; ``lowest`` and ``highest`` are MIDI pitches.
    ``rooted`` is the weight of voicings with the root, ``tensions`` of those with other tones than
    the chord's. ``length`` is a factor of the counted lengths: above 1, the song's chords are
    easier to recognise. ``velocity`` is the mean, by default the counted median. A ``network`` is
    a file beside the band's, whose weights have the exponent ``influence`` (see `comping_places`).
    ``of_instrument`` has such settings for single instruments, which replace the others.
    """

    fullness: float = 1.0
    sizes: tuple[float, float, float, float] | None = None
    lowest: int = 41
    highest: int = 69
    rooted: float = 1.0
    tensions: float = 1.0
    length: float = 1.25
    velocity: float | None = None
    network: str = ""
    influence: float = 1.0
    of_instrument: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_comping(plan: Plan, role: Role, generator: Generator) -> Notes:
    """Writes the chords of a piano's left hand or a guitar, in beats, straight.

    Where no melody leads it plays the song's own figures, and chords beside them (see `figures`).
    With a singer no chord is struck where a syllable begins, and chords below singing are held.
    Settings of the role: `CompingSettings`.
    """
    settings = _settings(role)
    counts = table(plan.band, "comping")
    sizes = np.array(settings.sizes or counts["sizes"]["share"], np.float64)
    voicings = CountedVoicings(
        table(plan.band, "voicings"),
        tuple(sizes / sizes.sum()),
        settings.lowest,
        settings.highest,
        settings.rooted,
        settings.tensions,
    )
    hits = comping_places(plan, settings.fullness, generator, settings.network, settings.influence)
    if plan.singer:
        hits = clear_of_syllables(plan, hits, role.timing)
    figures = own_figures(plan, settings.lowest, _HIGHEST_FIGURE)
    hits = beside_figures(hits, figures)
    early = counts["anticipation"]["new_chord"] / counts["anticipation"]["n"]
    median = counts["length"]["beats"] * settings.length
    mean = counts["velocity"]["median"] if settings.velocity is None else settings.velocity
    usual = float(np.median(plan.melody[:, 3])) if len(plan.melody) else 0.0
    notes, top = [], float(counts["top"]["midi"])
    last = plan.sheet.bars[-1].beat
    for index, place in enumerate(hits):
        following = hits[index + 1] if index + 1 < len(hits) else float(len(plan.sheet.beats) - 1)
        number = _chord_index(plan, place, generator.random() < early)
        chord = plan.chords[number]
        if chord.root is None:
            continue
        length = median * np.exp(generator.normal(0, _LENGTH_SPREAD))
        if place >= last or (plan.singer and sung_notes(plan.sheet, np.array([place])).any()):
            length = following - place  # few chords below a singer, but held
        end = place + float(np.clip(length, _SHORTEST, _LONGEST if place < last else 16))
        end = min(end, following, max(chord.beat + chord.beats, place + 0.5))
        sounding = plan.melody_at(place, min(place + 0.25, end))
        resolves = number + 1 < len(plan.chords) and _resolves(chord, plan.chords[number + 1])
        coming = plan.melody_at(place + 0.25, end)
        size = _FINAL if place >= last else None
        pitches = voicings.choose(
            chord, sounding[:, 2], coming[:, 2], top, resolves, generator, size
        )
        if not len(pitches):
            continue
        top = float(pitches[-1])
        end = max(_until_clash(pitches, coming, end), place + _SHORTEST)
        velocity = mean + _loudness(plan, place, sounding, usual)
        velocity = float(np.clip(round(generator.normal(velocity, _VELOCITY_SPREAD)), 30, 110))
        notes += [(place, end - place, pitch, velocity) for pitch in pitches]
    table_ = np.concatenate([np.array(notes, np.float64).reshape(-1, 4), as_comping(figures, mean)])
    return table_[np.argsort(table_[:, 0], kind="stable")]


def _settings(role: Role) -> CompingSettings:
    """The settings of a role for its instrument."""
    settings = settings_of(role, CompingSettings)
    own = settings.of_instrument.get(role.instruments[0] if role.instruments else "", {})
    return settings_of(replace(role, settings={**role.settings, **own}), CompingSettings)


def comping_places(
    plan: Plan, fullness: float, generator: Generator, network: str = "", influence: float = 1.0
) -> NDArray[np.float64]:
    """Places of comping chords in beats: fewer where the melody is dense, more with energy.

    A ``network`` (file beside the band's) says how the melody's onsets change what is likely;
    ``influence`` is the exponent of its weights.
    """
    rhythms = rhythm_table(plan.band.folder / plan.band.counts, fullness)
    melody = _melody_influence(plan, rhythms, network) if network and influence else None
    chords = rhythms.chords - rhythms.chords.mean()
    onsets, _ = np.histogram(plan.melody[:, 0], [*(bar.beat for bar in plan.sheet.bars), np.inf])
    dense = onsets - onsets.mean()
    before, passes, places = 0, int(plan.chorus[0]) if len(plan.chorus) else 0, []
    chosen: list[int] = []
    first = 0
    for index, bar in enumerate(plan.sheet.bars):
        if plan.chorus[index] != passes:
            passes, length, first = int(plan.chorus[index]), index - first, index
        if index == len(plan.sheet.bars) - 1:
            places.append(np.array([float(bar.beat)]))
        elif bar.beats != 4 or bar.division != 2:
            places.append(bar.beat + other_rhythm(bar.beats, bar.division, generator))
            chosen.append(before)
        else:
            wish = -_DENSITY * dense[index] + _ENERGY * (plan.energy[index] - 0.5)
            preference = np.exp(chords * np.clip(wish, -0.7, 0.7))
            if first and index - length >= 0:
                preference[chosen[index - length]] *= _REPEATED
            if melody is not None:
                preference *= melody.weights(2 * bar.beat, _struck(places, bar)) ** influence
            before = draw_rhythm(rhythms, before, preference, generator)
            chosen.append(before)
            places.append(bar.beat + np.flatnonzero(rhythms.onsets[before]) / 2)
    return np.concatenate(places) if places else np.zeros(0)


def _melody_influence(plan: Plan, rhythms: RhythmTable, network: str) -> MelodyInfluence:
    from audiotransfer.cover.learned_comping import MelodyInfluence

    beats = len(plan.sheet.beats) - 1
    onsets = np.zeros(2 * beats + 2, np.int64)
    places = np.rint(2 * plan.melody[:, 0]).astype(np.int64)
    onsets[places[(places >= 0) & (places < len(onsets))]] = 1
    tempo = float(np.median(plan.sheet.tempo_at(np.arange(beats))))
    density = float(rhythms.chords.mean())
    return MelodyInfluence(plan.band.folder / network, rhythms.onsets, onsets, tempo, density)


def _struck(places: list[NDArray[np.float64]], bar: Bar) -> NDArray[np.int64]:
    """1 in each half beat before a bar in which a chord was struck."""
    struck = np.zeros(2 * bar.beat, np.int64)
    onsets = np.concatenate([np.zeros(0), *places])
    struck[np.rint(2 * onsets).astype(np.int64)] = 1
    return struck


def _chord_index(plan: Plan, place: float, early: bool) -> int:
    """Index of the chord that a chord at ``place`` plays: just before a change often the next."""
    index = plan.chord_index(place)
    off = abs(place - round(place)) > 0.1
    last = index + 1 == len(plan.chords)
    if early and off and not last and plan.chords[index + 1].beat - place <= 0.5 + 1e-6:
        return index + 1
    return index


def _resolves(chord: Chord, following: Chord) -> bool:
    """Whether a dominant goes on down a fifth or a semitone."""
    if following.root is None or chord.root is None or chord_kind(chord.quality) != "dom":
        return False
    return (following.root - chord.root) % 12 in (5, 11)


def _until_clash(pitches: NDArray[np.int64], melody: NDArray[np.float64], end: float) -> float:
    """The end of a chord, or where a melody note comes that one of its notes would clash with."""
    clash = semitone_clashes(pitches, melody[:, 2]).any(axis=1)
    return float(min(end, melody[clash, 0].min())) if clash.any() else end


def _loudness(plan: Plan, place: float, melody: NDArray[np.float64], usual: float) -> float:
    """Velocity above or below the mean, by the bar's energy and the melody's own dynamics."""
    energy = plan.energy[plan.sheet.bar_at(place + 0.5)]
    own = _MELODY * (melody[:, 3].max() - usual) if len(melody) else 0.0
    return float(20 * (energy - 0.5) + np.clip(own, -8, 8))
