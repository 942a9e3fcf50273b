"""Renders scores as songs in stems: once as somebody's band, once as a jazz ensemble, aligned."""

from __future__ import annotations

import json
import multiprocessing
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer import files
from audiotransfer.corpora import effects
from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.arrange import (
    Choice,
    Ensemble,
    bass_line,
    dress,
    drummer,
    ensemble,
    genre_band,
)
from audiotransfer.symbolic.band import Band, Part, jazz_part, read_band
from audiotransfer.symbolic.synth import Synthesizer

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

STEMS = ("drums", "bass", "other")
SAMPLE_RATE = 44100
_MIX_RMS = 0.1
_FONT_CACHE_RENDERINGS = 12


@dataclass
class RenderSettings:
    """What to render.

    ``scores`` are folders or zip files of MIDI with their share of the songs; ``grooves`` a
    folder or zip of drum performances; soundfonts are paths. ``target_soundfont`` plays the
    jazz ensemble. ``hold_out`` is the share of scores that a test set gets, by
    place in the sorted names.

    With a ``genre`` its own ensemble plays the score, and no jazz version is made. ``genres``
    names several with the scores of each: as many songs for every one, in a folder of its name.
    """

    scores: dict[str, float] = field(default_factory=dict)
    grooves: str = ""
    soundfonts: list[str] = field(default_factory=list)
    target_soundfont: str = ""
    songs: int = 200
    seconds: float = 36.0
    seed: int = 0
    split: str = "train"
    hold_out: float = 0.12
    unseen_instruments: bool = False
    workers: int = 2
    genre: str = ""
    genres: dict[str, dict[str, float]] = field(default_factory=dict)


def _members(place: str) -> list[str]:
    """Names of the MIDI files of a folder or zip, sorted."""
    path = Path(place)
    if path.is_dir():
        names = [str(p.relative_to(path)) for p in path.rglob("*.mid*")]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as pack:
            names = [n for n in pack.namelist() if n.lower().endswith((".mid", ".midi"))]
    else:
        raise AudioTransferError(f"scores {place} do not exist; name a folder or a zip of MIDI")
    if not names:
        raise AudioTransferError(f"scores {place} hold no MIDI file")
    return sorted(names)


@cache
def _pack(place: str) -> tuple[str, ...]:
    return tuple(_members(place))


def _read(place: str, name: str) -> Band:
    path = Path(place)
    if path.is_dir():
        return read_band(path / name, name)
    with zipfile.ZipFile(path) as pack:
        return read_band(pack.read(name), name)


def _in_split(names: tuple[str, ...], split: str, hold_out: float) -> list[str]:
    """Scores of a split: a fixed draw by position, so that a score is in one split only."""
    order = np.random.default_rng(20).permutation(len(names))
    held = max(1, round(hold_out * len(names)))
    chosen = order[:held] if split == "test" else order[held:]
    return [names[i] for i in sorted(chosen)]


def _choose_section(band: Band, seconds: float, random: Generator) -> Band | None:
    """A section where enough is played, or None."""
    latest = max(0.0, band.seconds - seconds)
    for _ in range(6):
        section = band.section(random.uniform(0, latest), seconds)
        if sum(len(p.notes) for p in section.parts) >= 1.2 * seconds:
            return section
    return None


def compose(
    settings: RenderSettings, index: int, random: Generator, players: Ensemble | None = None
) -> tuple[Band, str]:
    """The band of song ``index``: a score's section, completed with bass and drums.

    ``players`` without kits add neither; others get grooves of their kind where there are any.
    """
    complete = players is None or bool(players.kits)
    places = list(settings.scores)
    shares = np.array([settings.scores[p] for p in places])
    for _ in range(50):
        place = places[random.choice(len(places), p=shares / shares.sum())]
        names = _in_split(_pack(place), settings.split, settings.hold_out)
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
            grooves = _grooves(settings, players.groove if players else "")
            try:
                groove = _read(settings.grooves, grooves[int(random.integers(len(grooves)))])
                parts.append(drummer(section, groove, settings.seconds))
            except AudioTransferError:
                continue
        return Band(tuple(parts), section.beat, section.downbeat), f"{Path(place).stem}/{name}"
    raise AudioTransferError("no score with enough notes was found in 50 tries; name more scores")


def _grooves(settings: RenderSettings, kind: str) -> list[str]:
    """The split's drum performances in four, of a kind where there are any; else whatever."""
    names = _pack(settings.grooves)
    in_four = tuple(g for g in names if "_beat_4-4" in g) or names
    of_kind = tuple(g for g in in_four if kind in Path(g).name)
    return _in_split(of_kind if len(of_kind) > 1 else in_four, settings.split, settings.hold_out)


def _rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) + 1e-9


def _studio(stem: str, sound: Sound, random: Generator) -> Sound:
    """Random effects for a source stem."""
    if random.random() < 0.7:
        sound = effects.tone(sound, SAMPLE_RATE, random)
    if random.random() < {"drums": 0.4, "bass": 0.4, "other": 0.35}[stem]:
        sound = effects.drive(sound, random.uniform(0.3, 1.5))
    if random.random() < 0.5:
        decay = random.uniform(0.15, 0.5 if stem != "other" else 1.4)
        sound = effects.room(sound, SAMPLE_RATE, random, decay, random.uniform(-22, -8))
    return sound


def _club(sound: Sound) -> Sound:
    """The one small room in which the jazz ensemble plays."""
    return effects.room(sound, SAMPLE_RATE, np.random.default_rng(7), 0.35, -18.0)


def _jazz(settings: RenderSettings, players: list[Part], synthesizer: Synthesizer) -> Sound:
    """The same notes, played by the jazz ensemble in its room."""
    parts = [(jazz_part(player), Path(settings.target_soundfont)) for player in players]
    return _club(synthesizer.render(parts, settings.seconds))


def render_song(
    settings: RenderSettings, index: int, synthesizer: Synthesizer
) -> tuple[dict[str, Sound], dict[str, Sound], dict[str, object]]:
    """Source stems, jazz stems (none of a genre's song) and what they are.

    Stems are ``[2, T]``, with the same level in both.
    """
    random = np.random.default_rng((settings.seed, index))
    if settings.genre:
        chosen = ensemble(settings.genre, random)
        band, score = compose(settings, index, random, chosen)
        source_band = genre_band(band, chosen, random)
    else:
        band, score = compose(settings, index, random)
        source_band = dress(band, Choice(settings.unseen_instruments), random)
    main_font = Path(settings.soundfonts[int(random.integers(len(settings.soundfonts)))])
    source: dict[str, Sound] = {}
    target: dict[str, Sound] = {}
    for stem in STEMS:
        players = [p for p in source_band.parts if p.stem == stem]
        if not players:
            continue
        fonts = [
            main_font
            if random.random() < 0.6
            else Path(settings.soundfonts[int(random.integers(len(settings.soundfonts)))])
            for _ in players
        ]
        dry = synthesizer.render(list(zip(players, fonts, strict=True)), settings.seconds)
        played = dry if settings.genre else _jazz(settings, players, synthesizer)
        if _rms(dry) < 1e-5 or _rms(played) < 1e-5:
            continue
        level = _MIX_RMS * 10 ** (random.uniform(-4, 4) / 20) * {"bass": 0.8}.get(stem, 1.0)
        wet = _studio(stem, dry, random)
        source[stem] = wet * (level / _rms(wet))
        if not settings.genre:
            target[stem] = played * (level / _rms(played))
    peak = max(
        (float(np.abs(sum(stems.values())).max()) for stems in (source, target) if stems),
        default=1.0,
    )
    gain = min(1.0, 0.95 / peak)
    for stems in (source, target):
        for stem in stems:
            stems[stem] = (stems[stem] * gain).astype(np.float32)
    about: dict[str, object] = {
        "score": score,
        "programs": {p.stem + str(i): p.program for i, p in enumerate(source_band.parts)},
        "soundfont": main_font.name,
        "split": settings.split,
        "genre": settings.genre,
    }
    return source, target, about


def _render_one(job: tuple[RenderSettings, int, str]) -> dict[str, object]:
    settings, index, folder = job
    place = Path(folder) / f"{settings.split}-{settings.seed}-{index:04d}"
    card = place / "song.json"
    if card.is_file():
        return dict(json.loads(card.read_text()))
    source, target, about = render_song(settings, index, _worker_synthesizer())
    import torch

    for side, stems in (("source", source), ("target", target)):
        for stem, sound in stems.items():
            path = place / side / f"{stem}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, torch.from_numpy(sound), SAMPLE_RATE, overwrite=True)
    about = {"id": place.name, "stems": sorted(source), **about}
    temporary = card.with_suffix(".part")
    temporary.write_text(json.dumps(about))
    os.replace(temporary, card)
    return about


@cache
def _worker_synthesizer() -> Synthesizer:
    return Synthesizer(SAMPLE_RATE)


def render_corpus(
    settings: RenderSettings,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, object]]:
    """Renders what is missing of the songs into ``folder``; returns what each song is.

    Each song is a folder ``{source,target}/{drums,bass,other}.wav`` (16 bit, stereo, 44.1 kHz)
    with a ``song.json``. Raises AudioTransferError when scores or soundfonts cannot be read.
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
    """Finds out before the first song what would stop one of them."""
    for font in (*settings.soundfonts, *([] if settings.genre else [settings.target_soundfont])):
        if not Path(font).is_file():
            raise AudioTransferError(f"soundfont {font} does not exist; name an .sf2 or .sf3")
    if not settings.soundfonts:
        raise AudioTransferError("no soundfont is named; set soundfonts=[PATH]")
    if not sum(settings.scores.values()) > 0:
        raise AudioTransferError("no scores are named; set scores to places with their shares")
    if settings.split not in ("train", "test"):
        raise AudioTransferError(f"split {settings.split!r} is unknown; there are train and test")
    for place in (*settings.scores, *([settings.grooves] if settings.grooves else [])):
        if not _in_split(_pack(place), settings.split, settings.hold_out):
            raise AudioTransferError(
                f"{place} has no score for split {settings.split} with hold_out"
                f" {settings.hold_out:g}; name more scores or hold out fewer"
            )


def _run(jobs: list[tuple[RenderSettings, int, str]], workers: int) -> Iterator[dict[str, object]]:
    if workers <= 1:
        yield from map(_render_one, jobs)
        return
    # Processes are renewed: the synthesizer's memory grows with what it has rendered.
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, maxtasksperchild=_FONT_CACHE_RENDERINGS * 4) as pool:
        yield from pool.imap(_render_one, jobs)
