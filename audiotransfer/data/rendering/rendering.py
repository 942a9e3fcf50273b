"""Renders MIDI files as stems: with random instruments and, aligned, with styles' ensembles."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiotransfer.atomic import write_bytes
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.writing import write_audio
from audiotransfer.data.rendering.arrangement import Arrangement
from audiotransfer.data.rendering.composing import RenderSettings, compose
from audiotransfer.data.rendering.ensembles import (
    InstrumentPool,
    TargetEnsemble,
    draw_ensemble,
    genre_instruments,
    random_instruments,
    target_ensemble,
)
from audiotransfer.data.rendering.production import drive, room, tone
from audiotransfer.data.rendering.singers import melody_of, sung
from audiotransfer.effects import read_chain
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.archives import in_split, list_midi
from audiotransfer.synthesis.additive import AdditiveInstrument
from audiotransfer.synthesis.catalogue import describe
from audiotransfer.synthesis.ensemble import Ensemble, EnsemblePart
from audiotransfer.synthesis.synthesizer import Part, Synthesizer

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

STEMS = ("drums", "bass", "other")
FINISHED = "finished"
SAMPLED = "sampled"
"""The bank of a target ensemble that stands for the instruments of the package."""
SAMPLE_RATE = 44100
_MIX_RMS = 0.1


def _rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) + 1e-9


def _random_effects(stem: str, sound: Sound, random: Generator) -> Sound:
    """Applies a random equaliser, saturation and room to a source stem."""
    if random.random() < 0.7:
        sound = tone(sound, SAMPLE_RATE, random)
    if random.random() < {"drums": 0.4, "bass": 0.4, "other": 0.35}[stem]:
        sound = drive(sound, random.uniform(0.3, 1.5))
    if random.random() < 0.5:
        decay = random.uniform(0.15, 0.5 if stem != "other" else 1.4)
        sound = room(sound, SAMPLE_RATE, random, decay, random.uniform(-22, -8))
    return sound


def _render_part(
    part: Part, settings: RenderSettings, main: Path, synthesizer: Synthesizer, random: Generator
) -> Sound:
    """Renders a source part by the song's soundfont, another one or an additive instrument."""
    if not part.drums and random.random() < settings.invented_share:
        return AdditiveInstrument(part.program, SAMPLE_RATE, random).render(part, settings.seconds)
    font = main
    if random.random() >= 0.6:
        font = Path(settings.soundfonts[int(random.integers(len(settings.soundfonts)))])
    return synthesizer.render([(part, font)], settings.seconds)


def _render_target(
    style: str, parts: list[Part], bank: str, settings: RenderSettings, synthesizer: Synthesizer
) -> Sound:
    """Renders the notes with a style's ensemble in its room, which is the same for all songs."""
    ensemble = target_ensemble(style)
    played = [ensemble.play(part) for part in parts]
    if bank != SAMPLED:
        dry = synthesizer.render([(part, Path(bank)) for part in played], settings.seconds)
        return room(dry, SAMPLE_RATE, np.random.default_rng(7), *ensemble.room)
    font = Path(next((b for b in settings.target_banks if b != SAMPLED), settings.soundfonts[0]))
    sampled, others = shared_out(ensemble, played)
    dry = np.zeros((2, round(settings.seconds * SAMPLE_RATE)), np.float32)
    if others:
        dry = synthesizer.render([(part, font) for part in others], settings.seconds)
    if sampled:
        instruments = _render_sampled(ensemble, sampled, settings.seconds)
        if others:  # at the level that the soundfont gives these notes
            same = synthesizer.render([(part, font) for part in sampled], settings.seconds)
            instruments *= np.float32(_rms(same) / _rms(instruments))
        dry = dry + instruments
    return room(dry, SAMPLE_RATE, np.random.default_rng(7), *ensemble.room)


def shared_out(ensemble: TargetEnsemble, parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """Parts for the package's instruments, and for a soundfont what these have not or cannot play.

    Out of its range an instrument would play another octave, which is no truth for the source's.
    """
    sampled: list[Part] = []
    others: list[Part] = []
    for part in parts:
        name = ensemble.sampled.get(part.program)
        within = np.zeros(len(part.notes), bool)
        if name is not None:
            instrument = describe(name)
            keys = part.notes[:, 2]
            within = (keys >= instrument.low_key) & (keys <= instrument.high_key) | part.drums
        for share, chosen in ((sampled, within), (others, ~within)):
            if chosen.any():
                share.append(replace(part, notes=part.notes[chosen]))
    return sampled, others


def _render_sampled(ensemble: TargetEnsemble, parts: list[Part], seconds: float) -> Sound:
    """Renders parts of a style's ensemble with the instruments of the package, without a room."""
    played = [
        EnsemblePart(str(number), ensemble.sampled[part.program], part.notes)
        for number, part in enumerate(parts)
    ]
    return _worker_ensemble().render(played, seconds, room=None)


def _target_bank(settings: RenderSettings, index: int) -> str:
    """What plays the styles' ensembles in a song."""
    banks = list(settings.target_banks)
    shares = np.array([settings.target_banks[bank] for bank in banks])
    # A generator of its own: songs of one bank stay what they are with several.
    random = np.random.default_rng((settings.seed, index, 2))
    return banks[random.choice(len(banks), p=shares / shares.sum())]


def _singer(
    settings: RenderSettings, index: int, parts: list[Part], sample_rate: int
) -> Sound | None:
    """The voice ``[2, T]`` that sings the melody of a share of the songs, or None.

    Removes the melody from ``parts`` of the accompaniment, but of a quarter of these songs.
    """
    # A generator of its own: songs without a singer stay what they were.
    random = np.random.default_rng((settings.seed, index, 1))
    if random.random() >= settings.sung_share:
        return None
    melody = melody_of(parts)
    if melody is None:
        return None
    voice = sung(parts[melody], settings.seconds, sample_rate, random)
    if voice is None:
        return None
    if random.random() >= 0.25:
        del parts[melody]
    return voice * np.float32(_MIX_RMS * 10 ** (random.uniform(-4, 4) / 20) / _rms(voice))


Stems = dict[str, "Sound"]


def _side(style: str) -> str:
    return f"target/{style}"


def _source(settings: RenderSettings, index: int, random: Generator) -> tuple[Arrangement, str]:
    """The arrangement of song ``index`` with the instruments that play it, and its score."""
    if settings.genre:
        ensemble = draw_ensemble(settings.genre, random)
        arrangement, score = compose(settings, index, random, ensemble)
        return genre_instruments(arrangement, ensemble, random), score
    arrangement, score = compose(settings, index, random)
    pool = InstrumentPool(settings.unseen_instruments)
    return random_instruments(arrangement, pool, random), score


def render_targets(
    settings: RenderSettings, index: int, source: Stems, styles: Sequence[str], score: str
) -> dict[str, Stems]:
    """Further sides of a song, as `render_song` gives them, from its ``source`` stems ``[2, T]``.

    A stem has the level of the source's, whatever its peak. Raises AudioTransferError where these
    settings make the song from another score than ``score``.
    """
    arrangement, found = _source(settings, index, np.random.default_rng((settings.seed, index)))
    if found != score:
        raise AudioTransferError(
            f"song {index} was rendered from {score}, and these settings make it from {found}; "
            "set scores, grooves and seed as they were, or render into another folder"
        )
    bank, synthesizer = _target_bank(settings, index), _worker_synthesizer()
    sides: dict[str, Stems] = {}
    for style in styles:
        stems: Stems = {}
        for stem, sound in source.items():
            parts = [part for part in arrangement.parts if part.stem == stem]
            target = _render_target(style, parts, bank, settings, synthesizer)
            stems[stem] = (target * (_rms(sound) / _rms(target))).astype(np.float32)
        sides[_side(style)] = stems
    sides[FINISHED] = {style: finished(style, sides[_side(style)], source) for style in styles}
    return sides


def render_song(
    settings: RenderSettings, index: int, synthesizer: Synthesizer
) -> tuple[dict[str, Stems], dict[str, object], dict[str, NDArray[np.float32]]]:
    """Renders a song: its sides' stems, the facts of its ``song.json``, and its notes.

    Sides are ``source`` and ``target/STYLE`` (none of a genre's song), each with its stems
    ``[2, T]``, of the same level on every side, and ``finished``, with the mix of each style after
    its effects. Notes are ``[N, 5]`` a stem: start (s), duration (s), pitch, velocity, program.
    """
    random = np.random.default_rng((settings.seed, index))
    styles = [] if settings.genre else settings.targets
    bank = _target_bank(settings, index) if styles else ""
    source, score = _source(settings, index, random)
    font = Path(settings.soundfonts[int(random.integers(len(settings.soundfonts)))])
    sides: dict[str, Stems] = {side: {} for side in ("source", *map(_side, styles))}
    notes = {}
    parts_of = {stem: [p for p in source.parts if p.stem == stem] for stem in STEMS}
    voice = None if styles else _singer(settings, index, parts_of["other"], synthesizer.sample_rate)
    if voice is not None:
        sides["source"]["vocals"] = voice
    for stem in STEMS:
        parts = parts_of[stem]
        if not parts:
            continue
        dry = np.sum([_render_part(p, settings, font, synthesizer, random) for p in parts], axis=0)
        targets = {
            style: _render_target(style, parts, bank, settings, synthesizer) for style in styles
        }
        if any(_rms(sound) < 1e-5 for sound in (dry, *targets.values())):
            continue
        level = _MIX_RMS * 10 ** (random.uniform(-4, 4) / 20) * {"bass": 0.8}.get(stem, 1.0)
        wet = _random_effects(stem, dry, random)
        sides["source"][stem] = wet * (level / _rms(wet))
        for style, sound in targets.items():
            sides[_side(style)][stem] = sound * (level / _rms(sound))
        notes[stem] = np.concatenate([_with_program(part) for part in parts])
    peak = max(
        (float(np.abs(sum(stems.values())).max()) for stems in sides.values() if stems),
        default=1.0,
    )
    gain = min(1.0, 0.95 / peak)
    for stems in sides.values():
        for stem in stems:
            stems[stem] = (stems[stem] * gain).astype(np.float32)
    if sides["source"]:
        sides[FINISHED] = {s: finished(s, sides[_side(s)], sides["source"]) for s in styles}
    about: dict[str, object] = {
        "score": score,
        "programs": {p.stem + str(i): p.program for i, p in enumerate(source.parts)},
        "soundfont": font.name,
        "target_bank": Path(bank).name,
        "split": settings.split,
        "genre": settings.genre,
    }
    return sides, about, notes


def finished(style: str, target: Stems, source: Stems) -> Sound:
    """The mix ``[2, T]`` of a style's stems after its effects, at RMS 0.1 where that does not clip.

    Effects get every stem at the level of a source at RMS 0.1, and duck by the source's drums, as
    in the transfer of a song.
    """
    level = _MIX_RMS / _rms(np.sum(list(source.values()), axis=0))
    drums = torch.from_numpy(source["drums"] * level) if "drums" in source else None
    effects = target_ensemble(style).effects
    stems = [
        read_chain(effects.get(stem, ()))(torch.from_numpy(sound * level), drums).numpy()
        for stem, sound in target.items()
    ]
    mix: Sound = np.sum(stems, axis=0)
    return mix * np.float32(min(_MIX_RMS / _rms(mix), 0.95 / float(np.abs(mix).max())))


def _with_program(part: Part) -> NDArray[np.float32]:
    return np.column_stack([part.notes, np.full(len(part.notes), part.program)]).astype(np.float32)


def _render_one(job: tuple[RenderSettings, int, str]) -> dict[str, object]:
    settings, index, folder = job
    place = Path(folder) / f"{settings.split}-{settings.seed}-{index:04d}"
    card = place / "song.json"
    if card.is_file():
        return _with_targets(settings, index, card)
    sides, about, notes = render_song(settings, index, _worker_synthesizer())
    _write_sides(place, sides)
    np.savez_compressed(place / "notes.npz", allow_pickle=False, **notes)
    about = {"id": place.name, "stems": sorted(sides["source"]), **about}
    write_bytes(card, json.dumps(about).encode(), overwrite=True)
    return about


def _with_targets(settings: RenderSettings, index: int, card: Path) -> dict[str, object]:
    """Renders the styles that a song of an earlier rendering lacks; returns the song's facts.

    Raises AudioTransferError where another bank has played the styles that it has.
    """
    place, about = card.parent, json.loads(card.read_text())
    styles = [] if settings.genre or not about["stems"] else settings.targets
    missing = [style for style in styles if not (place / FINISHED / f"{style}.wav").is_file()]
    if missing:
        bank = Path(_target_bank(settings, index)).name
        if about.get("target_bank", bank) != bank:
            if any((place / FINISHED).glob("*.wav")):
                raise AudioTransferError(
                    f"{place}: its styles are played by {about['target_bank']}, and by {bank} "
                    "with these settings; render into another folder, or delete its "
                    f"{FINISHED} and target"
                )
            about["target_bank"] = bank
        names = [stem for stem in STEMS if stem in about["stems"]]
        source = {n: read_audio(place / "source" / f"{n}.wav")[0].numpy() for n in names}
        _write_sides(place, render_targets(settings, index, source, missing, about["score"]))
        write_bytes(card, json.dumps(about).encode(), overwrite=True)
    return dict(about)


def _write_sides(place: Path, sides: Mapping[str, Stems]) -> None:
    """Writes stems in 16 bit, those that pass full scale in floating point; finished mixes last."""
    for side in sorted(sides, key=FINISHED.__eq__):
        for stem, sound in sides[side].items():
            path = place / side / f"{stem}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            encoding = "float32" if float(np.abs(sound).max()) > 1 else "int16"
            write_audio(
                path, torch.from_numpy(sound), SAMPLE_RATE, encoding=encoding, overwrite=True
            )


@cache
def _worker_ensemble() -> Ensemble:
    return Ensemble(SAMPLE_RATE)


@cache
def _worker_synthesizer() -> Synthesizer:
    return Synthesizer(SAMPLE_RATE)


def render_corpus(
    settings: RenderSettings,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, object]]:
    """Renders the songs that are missing in ``folder``, and the targets that its songs lack.

    Returns the facts of every song.

    Each song is a folder ``{source,target/STYLE}/{drums,bass,other}.wav`` and
    ``finished/STYLE.wav`` (16 bit, stereo, 44.1 kHz) with its notes (``notes.npz``) and a
    ``song.json``. Raises AudioTransferError when scores or soundfonts cannot be read.
    """
    _check(settings)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(settings, index, str(folder)) for index in range(settings.songs)]
    done: list[dict[str, object]] = []
    for about in _run(jobs, settings.workers):
        done.append(about)
        if progress is not None:
            progress(len(done), len(jobs))
    (folder / f"render-{settings.split}-{settings.seed}.json").write_text(
        json.dumps(asdict(settings), indent=1)
    )
    return done


def _check(settings: RenderSettings) -> None:
    """Raises AudioTransferError, before the first song, for settings that would stop one."""
    banks = [] if settings.genre else [bank for bank in settings.target_banks if bank != SAMPLED]
    for font in (*settings.soundfonts, *banks):
        if not Path(font).is_file():
            raise AudioTransferError(f"soundfont {font} does not exist; name an .sf2 or .sf3")
    for style in settings.targets:
        target_ensemble(style)
    if settings.targets and not settings.genre and not sum(settings.target_banks.values()) > 0:
        raise AudioTransferError("no target_banks are named; set soundfonts with their shares")
    if not settings.soundfonts:
        raise AudioTransferError("no soundfont is named; set soundfonts=[PATH]")
    if not sum(settings.scores.values()) > 0:
        raise AudioTransferError("no scores are named; set scores to places with their shares")
    if settings.split not in ("train", "test"):
        raise AudioTransferError(f"split {settings.split!r} is unknown; there are train and test")
    for place in (*settings.scores, *([settings.grooves] if settings.grooves else [])):
        if not in_split(list_midi(place), settings.split, settings.hold_out):
            raise AudioTransferError(
                f"{place} has no score for split {settings.split} with hold_out"
                f" {settings.hold_out:g}; name more scores or hold out fewer"
            )


def _run(jobs: list[tuple[RenderSettings, int, str]], workers: int) -> Iterator[dict[str, object]]:
    if workers <= 1:
        yield from map(_render_one, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers) as pool:
        yield from pool.imap(_render_one, jobs)
