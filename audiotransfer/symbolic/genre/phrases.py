"""Phrases of four bars from archives of MIDI files: training data of genre transfer."""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.atomic import temporary_path
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.archives import contents, list_midi
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.piano_rolls import BAR, PHRASE, PITCHES, roll_of
from audiotransfer.midi.score import note_table, parse_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRES = ("trust", "spans", "beats")
_BEATS = "beats.npz"
_FORMAT = 1  # of the cache
_CELLS = 2 * PHRASE * PITCHES
#: Shares of the pieces that are held out.
HELD_OUT = {"validation": 0.1, "test": 0.1}
_OWN_SPLITS = {"train": "train", "valid": "validation", "validation": "validation", "test": "test"}


@dataclass
class PhraseSettings:
    """Selection of an archive's phrases. Drums and notes outside MIDI 24 to 107 are left out.

    Attributes:
        metre: ``trust`` uses files whose time signature is 4/4 throughout or missing, as in the
            paper; ``spans`` uses every run of bars of sixteen sixteenths, or of twice eight, from
            files of any metre; ``beats`` uses bars of four beats from the annotations in the
            archive's ``beats.npz`` (``NAME_t`` times in s, ``NAME_f`` with bit 1 on downbeats).
        from_start: only files whose first note is in their first beat, as in the paper.
        leave_out: words; a file with one of them in its name is not used.
        hop: in bars; 4 gives phrases that do not overlap, 1 all there are.
        fewest_notes: onsets that a phrase must have.
    """

    metre: str = "trust"
    from_start: bool = False
    leave_out: list[str] = field(default_factory=list)
    hop: int = 4
    fewest_notes: int = 1


@dataclass(frozen=True)
class PhraseSet:
    """N phrases of many pieces: ``set[index]`` is a roll ``[.., 2, 64, 84]``.

    A note that began before its phrase sounds from step 0 and has no onset.

    Attributes:
        bits: ``[N, 1344]``, the rolls, eight cells a byte.
        pieces: ``[N]``, the index in ``names`` of each phrase's piece.
        names: of the pieces.
    """

    bits: NDArray[np.uint8]
    pieces: NDArray[np.int64]
    names: list[str]

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: Any) -> NDArray[np.bool_]:
        cells = np.unpackbits(self.bits[index], axis=-1).view(np.bool_)
        return cells.reshape(*cells.shape[:-1], 2, PHRASE, PITCHES)

    @property
    def rolls(self) -> NDArray[np.bool_]:
        """All rolls: ``[N, 2, 64, 84]``."""
        return self[:]

    def of(self, names: Sequence[str]) -> PhraseSet:
        """The phrases of some pieces."""
        wanted = set(names)
        kept = np.isin(self.pieces, [i for i, name in enumerate(self.names) if name in wanted])
        return PhraseSet(self.bits[kept], self.pieces[kept], self.names)


def phrases_of(
    place: str, settings: PhraseSettings | None = None, cache: Path | None = None
) -> PhraseSet:
    """Reads the phrases of a folder or zip of MIDI files; ``cache`` is a folder that keeps them.

    ``names`` of the set holds every file of the archive, also those without a phrase. Damaged files
    are skipped. Raises AudioTransferError for an archive without MIDI files or without a phrase.
    """
    settings = settings or PhraseSettings()
    if settings.metre not in METRES:
        raise AudioTransferError(f"metre {settings.metre!r} is unknown; use {', '.join(METRES)}")
    names = list(list_midi(place))
    kept = None if cache is None else cache / _cache_name(place, names, settings)
    if kept is not None and kept.is_file():
        with np.load(kept) as found:
            return PhraseSet(found["bits"], found["pieces"], names)
    cut = _cut_all(place, names, settings)
    if not len(cut):
        raise AudioTransferError(f"scores {place} hold no phrase of four bars that may be used")
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = temporary_path(kept)
        with part.open("wb") as file:
            np.savez(file, bits=cut.bits, pieces=cut.pieces)
        os.replace(part, kept)
    return cut


def phrases_in(score: Any, grid: Grid, settings: PhraseSettings) -> NDArray[np.bool_]:
    """Phrases ``[N, 2, 64, 84]`` of one score: four bars of sixteen steps in a row."""
    roll = roll_of(note_table(score), grid)
    cut = [roll[:, first : first + PHRASE] for first in phrase_starts(grid, settings)]
    found = [p for p in cut if p[0].sum() >= settings.fewest_notes and p[1].any()]
    return np.stack(found) if found else np.zeros((0, 2, PHRASE, PITCHES), dtype=np.bool_)


def phrase_starts(grid: Grid, settings: PhraseSettings) -> list[int]:
    """The steps where four bars of sixteen steps in a row begin, every ``hop`` bars."""
    lines = _paired(grid.bars) if settings.metre == "spans" else grid.bars
    whole = np.diff(lines) == BAR
    found: list[int] = []
    bar = 0
    while bar + 4 <= len(whole):
        gap = np.flatnonzero(~whole[bar : bar + 4])
        if len(gap):  # go on after the bar that does not fit
            bar += int(gap[-1]) + 1
            continue
        found.append(int(lines[bar]))
        bar += settings.hop
    return found


def _paired(lines: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bar lines without those between two half bars in a row."""
    kept = list(lines[:1])
    for line, after in zip(lines[1:], [*lines[2:], None], strict=True):
        half = line - kept[-1] == BAR // 2 and after is not None and after - line == BAR // 2
        if not half:
            kept.append(line)
    return np.array(kept)


def split_pieces(
    names: Sequence[str],
    held_out: Mapping[str, float] = HELD_OUT,
    seed: int = 0,
    *,
    together: bool = True,
) -> dict[str, str]:
    """Splits pieces: name -> ``train``, ``validation`` or ``test``, all of an artist alike.

    The composer or player is read from the names: the folder, or what precedes ``__`` or ``_``
    (``Bach/fugue.mid``, ``BenWebster_MyIdeal.mid``); where these are all equal or all different
    each piece is its own group. An archive whose folders are named after splits keeps those.
    Without ``together`` every piece is its own group.
    """
    groups = _groups(names) if together else {name: name for name in names}
    if set(groups.values()) <= set(_OWN_SPLITS):
        return {name: _OWN_SPLITS[groups[name]] for name in names}
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(groups[name], []).append(name)
    order = sorted(members, key=lambda group: _draw(seed, group))
    split: dict[str, str] = {}
    for part, share in held_out.items():
        room = share * len(names)
        for group in order:
            if group not in split and len(members[group]) <= room + 0.5:
                split[group] = part
                room -= len(members[group])
    return {name: split.get(groups[name], "train") for name in names}


def scores_of(
    place: str, names: Sequence[str], settings: PhraseSettings
) -> Iterator[tuple[str, Any, Grid]]:
    """The named files that the settings select: (name, score, grid); skips damaged files."""
    left_out = tuple(word.lower() for word in settings.leave_out)
    wanted = [name for name in names if not any(word in name.lower() for word in left_out)]
    beats = _annotations(place, names) if settings.metre == "beats" else {}
    for name, data in contents(place, wanted):
        try:
            score = parse_score(data, name)
            grid = _grid(score, beats.get(PurePosixPath(name).stem), settings)
        except AudioTransferError:
            continue
        if grid is not None:
            yield name, score, grid


def likely_metre(place: str, names: Sequence[str]) -> str:
    """The ``metre`` setting for an archive: ``beats`` where these are annotated, else ``spans``."""
    try:
        _annotations(place, names)
    except AudioTransferError:
        return "spans"
    return "beats"


def _cut_all(place: str, names: Sequence[str], settings: PhraseSettings) -> PhraseSet:
    bits, pieces = [], []
    for name, score, grid in scores_of(place, names, settings):
        found = phrases_in(score, grid, settings)
        bits.append(np.packbits(found.reshape(len(found), _CELLS), axis=1))
        pieces.append(np.full(len(found), names.index(name)))
    if not bits:
        return PhraseSet(np.zeros((0, _CELLS // 8), np.uint8), np.zeros(0, np.int64), list(names))
    return PhraseSet(np.concatenate(bits), np.concatenate(pieces), list(names))


def _grid(
    score: Any,
    beats: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
    settings: PhraseSettings,
) -> Grid | None:
    """The grid of a score; None where the settings leave the score out."""
    if settings.metre == "beats":
        return None if beats is None else Grid.of_beats(score, *beats)
    signs = {(sign.numerator, sign.denominator) for sign in score.time_signatures}
    if settings.metre == "trust" and not signs <= {(4, 4)}:
        return None
    grid = Grid.of(score)
    if settings.from_start and note_table(score)[:1, 0].sum() >= grid.ticks[min(4, grid.steps)]:
        return None
    return grid


def _annotations(place: str, names: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Piece -> times and flags of its beats, from the archive's ``beats.npz``."""
    beside = PurePosixPath(names[0]).parent / _BEATS
    ((_, data),) = contents(place, [str(beside)])
    with np.load(io.BytesIO(data)) as found:
        pieces = {key.removesuffix("_t") for key in found if key.endswith("_t")}
        return {piece: (found[f"{piece}_t"], found[f"{piece}_f"]) for piece in pieces}


def _groups(names: Sequence[str]) -> dict[str, str]:
    """The group of each piece: its composer or player where names tell, else itself."""
    folders = [PurePosixPath(name).parent for name in names]
    shared = len(PurePosixPath(posixpath.commonpath(folders)).parts)
    candidates = [[(*folder.parts, "")[shared] for folder in folders]]
    for mark in ("__", "_"):
        candidates.append([PurePosixPath(name).name.partition(mark)[0] for name in names])
    for groups in candidates:
        if 1 < len(set(groups)) < len(names):
            return dict(zip(names, groups, strict=True))
    return {name: name for name in names}


def _draw(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}/{group}".encode()).hexdigest()


def _cache_name(place: str, names: Sequence[str], settings: PhraseSettings) -> str:
    """A file name that depends on the archive, the settings and the cache's format."""
    stat = os.stat(place)
    content = [_FORMAT, names, stat.st_size, stat.st_mtime_ns, asdict(settings)]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return f"{Path(place).stem}-{digest}.npz"
