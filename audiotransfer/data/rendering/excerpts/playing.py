"""A section of a piece as sound: timing, instruments, levels and the mix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.data.rendering.excerpts import sound as sounds
from audiotransfer.data.rendering.excerpts.pieces import (
    BASS,
    COUNTER,
    HARMONY,
    LEAD,
    Layer,
    Piece,
    Timeline,
    monophonic,
)
from audiotransfer.data.rendering.excerpts.singing import sing, voice_for
from audiotransfer.data.rendering.excerpts.sound import SAMPLE_RATE, Timbre
from audiotransfer.data.rendering.excerpts.truth import DRUMS, Played, PlayedSection, truth_of
from audiotransfer.data.rendering.excerpts.voice_envelopes import read_envelopes, sing_syllables

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.data.rendering.excerpts.arranging import ExcerptSettings
    from audiotransfer.data.rendering.excerpts.singing import VoiceType

    Rows = NDArray[np.float64]
    Sound = NDArray[np.float32]


def _sung_share(section: Piece, settings: ExcerptSettings) -> float:
    share = {"pop909": 1.15, "jsb": 1.2, "wjd": 0.15, "freedoom": 0.6}
    return settings.sung * share.get(section.collection, 1.0)


def _seconds(notes: Rows, timeline: Timeline, jitter: float, random: Generator) -> Rows:
    """Notes in beats as notes in seconds, each shifted by a random deviation."""
    made = notes.copy()
    made[:, 0] = timeline.at(notes[:, 0])
    made[:, 1] = timeline.at(notes[:, 0] + notes[:, 1]) - made[:, 0]
    made[:, 0] = np.maximum(0.0, made[:, 0] + random.normal(0, jitter, len(made)))
    made[:, 1] = np.maximum(0.04, made[:, 1])
    return made[np.argsort(made[:, 0], kind="stable")]


def _timbre(role: str, programs: tuple[int, ...], settings: ExcerptSettings, main: Path,
            random: Generator) -> Timbre:  # fmt: skip
    if random.random() < settings.own_instruments:
        names = sounds.OWN[role]
        return Timbre(instrument=names[int(random.integers(len(names)))])
    font = main
    if random.random() < 0.3:
        font = Path(settings.soundfonts[int(random.integers(len(settings.soundfonts)))])
    pool = programs or {
        LEAD: sounds.LEAD_PROGRAMS, COUNTER: sounds.COUNTER_PROGRAMS,
        HARMONY: sounds.CHORD_PROGRAMS, BASS: sounds.BASS_PROGRAMS, "drums": sounds.KITS,
    }[role]  # fmt: skip
    return Timbre(int(random.choice(pool)), font)


_LEVELS = {COUNTER: (-12.0, -2.0), HARMONY: (-4.0, 3.0), BASS: (-7.0, 4.0), "drums": (-10.0, 4.0)}


def _lead_notes(layer: Layer, random: Generator) -> Rows:
    """The lead in another octave, or staccato."""
    notes = layer.notes.copy()
    if random.random() < 0.3:
        notes[:, 2] += int(random.choice([-12, 12]))
    median = float(np.median(notes[:, 2])) if len(notes) else 66.0
    if median > 88 or median < 45:
        notes[:, 2] -= 12 * round((median - 66) / 12)
    if random.random() < 0.15:
        notes[:, 1] *= random.uniform(0.3, 0.7)
    return monophonic(notes)


def _level(sound: Sound, db: float) -> Sound:
    level = sounds.active_level(sound)
    return sound * np.float32(0.1 * 10 ** (db / 20) / level) if level > 1e-7 else sound


def play_section(
    section: Piece, timeline: Timeline, settings: ExcerptSettings, random: Generator
) -> dict[str, Any]:
    """The arrays of a section's excerpt (see `corpus.render_excerpt`)."""
    played = _play(section, timeline, settings, random)
    mix = _mix(played, settings, random)
    arrays, about = truth_of(section, timeline, played, settings.seconds)
    about["split"] = settings.split
    audio = np.round(np.clip(mix, -1, 1) * 32767).astype(np.int16)
    return {"audio": audio, **arrays, "about": np.array(json.dumps(about))}


def _play(
    section: Piece, timeline: Timeline, settings: ExcerptSettings, random: Generator
) -> PlayedSection:
    """Draws instruments, levels and a tuning, and plays every part of a section.

    Sounds are as much longer than the excerpt as the tuning will shorten them.
    """
    cents = float(random.normal(0, 8)) if random.random() < 0.6 else float(random.uniform(-40, 40))
    for layer in section.layers:
        cents = layer.recording.tuning_cents if layer.recording else cents
    ratio = 2 ** (cents / 1200)
    longer = settings.seconds * ratio + 0.01
    main = Path(settings.soundfonts[int(random.integers(len(settings.soundfonts)))])
    band = sounds.instruments()
    quietest, loudest = (-12, 6) if section.collection == "pop909" else (-7, 7)
    lead_db = float(random.uniform(*(settings.lead_level or (quietest, loudest))))
    played: list[Played] = []
    for layer in section.layers:
        if layer.recording is not None:
            sound = sounds.retuned(layer.recording.sound, -cents, round(longer * SAMPLE_RATE))
            played.append(Played(LEAD, layer.notes, sound, lead_db, "recording", True))
            continue
        notes = layer.notes
        jitter = 0.012 if layer.role == LEAD else 0.006
        if layer.role == LEAD:
            notes = layer.notes if section.bass_leads else _lead_notes(layer, random)
        seconds = _seconds(notes, timeline, jitter * random.uniform(0, 1.5), random)
        if layer.role in (LEAD, BASS):
            seconds = monophonic(seconds)
        seconds = seconds[(seconds[:, 0] < settings.seconds - 0.03)]
        if not len(seconds):
            continue
        seconds[:, 1] = np.minimum(seconds[:, 1], settings.seconds - seconds[:, 0])
        stretched = seconds.copy()
        stretched[:, :2] *= ratio
        db = lead_db if layer.role == LEAD else float(random.uniform(*_LEVELS[layer.role]))
        if (
            layer.role == LEAD
            and not section.bass_leads
            and random.random() < _sung_share(section, settings)
        ):
            triples = np.column_stack([seconds[:, 0], seconds[:, 0] + seconds[:, 1], seconds[:, 2]])
            voice, shift = voice_for(triples, random, settings.low)
            seconds[:, 2] += shift
            triples[:, 2] += shift
            triples[:, :2] *= ratio
            sound = _sung(triples, longer, voice, settings, random)
            played.append(Played(LEAD, seconds, sound, db, f"voice {voice.name}", True))
            continue
        doubled = {HARMONY: 0.2, LEAD: 0.1}.get(layer.role, 0.0)
        parts = 2 if random.random() < doubled else 1
        timbres = [
            _timbre(layer.role, layer.programs, settings, main, random) for _ in range(parts)
        ]
        sound = np.sum([_level(band.play(stretched, t, longer), 0) for t in timbres], axis=0)
        names = " + ".join(timbre.name for timbre in timbres)
        played.append(Played(layer.role, seconds, sound, db, names))
    if len(section.drums):
        rows = np.column_stack([section.drums[:, 0], np.full(len(section.drums), 0.05),
                                section.drums[:, 1:]])  # fmt: skip
        seconds = _seconds(rows, timeline, float(random.uniform(0, 0.006)), random)
        seconds = seconds[seconds[:, 0] < settings.seconds - 0.03]
        stretched = seconds.copy()
        stretched[:, 0] *= ratio
        stretched[:, 1] = 0.15
        timbre = _timbre("drums", (), settings, main, random)
        sound = band.play(stretched, timbre, longer, drums=True)
        played.append(Played(DRUMS, seconds, sound, float(random.uniform(*_LEVELS["drums"])),
                              timbre.name))  # fmt: skip
    return PlayedSection(played, lead_db, cents)


def _sung(
    notes: Rows, seconds: float, voice: VoiceType, settings: ExcerptSettings, random: Generator
) -> Sound:
    """Notes ``[N, 3]`` sung with a recording's syllables, or by a synthetic voice."""
    if settings.speech and random.random() < settings.spoken:
        recorded = read_envelopes(settings.speech[int(random.integers(len(settings.speech)))])
        return sing_syllables(notes, seconds, voice, recorded, random)
    return sing(notes, seconds, SAMPLE_RATE, voice, random)


def _mix(played: PlayedSection, settings: ExcerptSettings, random: Generator) -> Sound:
    """The mix ``[T]`` of all parts, tuned and as it was recorded."""
    seconds = settings.seconds
    length = round(seconds * SAMPLE_RATE)
    total = np.zeros(max((len(part.sound) for part in played.parts), default=length), np.float32)
    lead_sound = total.copy()
    for part in played.parts:
        if part.role == LEAD:
            sound = part.sound
            if part.sung and settings.treated and random.random() < settings.treated:
                sound = sounds.treated_voice(sound, random)
            elif random.random() < 0.25:
                sound = sounds.echo(sound, random.uniform(0.12, 0.5), random.uniform(0.15, 0.45))
            lead_sound += _level(sound, 0)[: len(total)]
        else:
            total += _level(part.sound, part.level_db)[: len(total)]
    rest = sounds.active_level(total) or 0.1
    if lead_sound.any():
        total += _level(lead_sound, 0) * np.float32(rest / 0.1 * 10 ** (played.lead_db / 20))
    return sounds.recorded(sounds.retuned(total, played.cents, length), random)
