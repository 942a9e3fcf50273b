"""Drum patterns as MIDI files: sampled, interpolated between two, and humanised."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audiotransfer import midi
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.score import (
    edited,
    note_table,
    score_of,
    with_notes,
    write_midi,
    write_score,
)
from audiotransfer.pipeline.midi_output import MidiExtras, MidiOutput
from audiotransfer.styles.card import check_weights, read_card
from audiotransfer.symbolic.drums.beats import BAR, Beat, Cells, beat_of
from audiotransfer.symbolic.drums.beats import score_of as beats_score
from audiotransfer.symbolic.drums.drummer import SHIPPED, Drummer, load_drums
from audiotransfer.symbolic.drums.network import DrumVae
from audiotransfer.symbolic.drums.patterns import compose
from audiotransfer.symbolic.drums.transfer import humanised

_HOTTEST = 4.0
_MOST_BARS = 1024
_MOST_STEPS = 64
_TEMPI = (20.0, 400.0)


@dataclass(frozen=True)
class DrumOptions:
    """Options of all three functions."""

    by: str | Path | None = None
    """Folder of a drum model; ``None`` is the one that ships."""
    temperature: float = 1.0
    """0 takes the most probable hits, 1 samples from the model's probabilities."""
    tempo: float | None = None
    """Quarters a minute of the output; ``None``: 120, or the tempo of the given patterns."""
    seed: int = 0
    overwrite: bool = False
    extras: MidiExtras = field(default_factory=MidiExtras)


@dataclass(frozen=True)
class DrumReport:
    """Report of one written MIDI file of drums."""

    output: str
    bars: int
    hits: int
    also: dict[str, str]
    """Files written with it: ``audio``, ``plot``."""
    notices: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def sample_file(
    target: str | Path, bars: int = 4, style: str | None = None, options: DrumOptions | None = None
) -> DrumReport:
    """Writes a pattern of exactly ``bars`` bars (see `compose`).

    Raises AudioTransferError for a style that the model does not know, and values out of range.
    """
    options = options or DrumOptions()
    _check_count(bars, "bars", 1, _MOST_BARS)
    output, drummer, generator = _begin(target, options)
    beat = compose(drummer, bars, style, options.temperature, generator)
    return _written(beats_score([beat], [options.tempo or 120.0]), output, bars)


def interpolate_file(
    first: str | Path,
    last: str | Path,
    target: str | Path,
    count: int = 5,
    bars: int | None = None,
    options: DrumOptions | None = None,
) -> DrumReport:
    """Writes ``count`` patterns one after the other, interpolated in latent space from the drums of
    one MIDI file to those of another.

    Each has as many bars as asked for, or as both files have, from their beginning. The tempo goes
    from the first one's to the last one's.

    Raises AudioTransferError for files without drums, with fewer bars, or not in 4/4.
    """
    options = options or DrumOptions()
    _check_count(count, "steps", 2, _MOST_STEPS)
    given = [_beat_in(source) for source in (first, last)]
    both = min(len(beat) // BAR for beat, _, _ in given)
    if bars is not None:
        _check_count(bars, "bars", 1, both)
    bars = bars or both
    output, drummer, generator = _begin(target, options)
    ends = [beat.section(0, bars * BAR) for beat, _, _ in given]
    beats = drummer.between(ends[0], ends[1], count, options.temperature, generator)
    tempi = np.geomspace(given[0][1], given[1][1], count)
    if options.tempo is not None:
        tempi = np.full(count, options.tempo)
    notices = [notice for _, _, found in given for notice in found]
    return _written(beats_score(beats, tempi.tolist()), output, count * bars, notices)


def humanise_file(
    source: str | Path, target: str | Path, options: DrumOptions | None = None
) -> DrumReport:
    """Writes a MIDI file with sampled velocities and timing of its drums.

    The hits are kept, and every message that is not a drum's note, except for the tempo where one
    is given.

    Raises AudioTransferError for a file without drums.
    """
    options = options or DrumOptions()
    file = midi.read(source)
    before = score_of(file)
    notes = _drum_notes(before, source)
    grid = Grid.of(before)
    output, drummer, generator = _begin(target, options)
    made = humanised(notes, grid, drummer, options.temperature, generator)
    changed = edited(file, with_notes(before, made, drums=True))
    if options.tempo is not None:
        changed = midi.with_tempo(changed, options.tempo)
    write_midi(changed, output.path, output.overwrite)
    bars = len(grid.bars) - 1
    return _report(score_of(changed), before, output, bars, file.notices)


def load_drummer(folder: str | Path) -> Drummer:
    """Loads the drum model in a folder.

    Raises AudioTransferError where there is none, or its weights do not match its card.
    """
    card = read_card(folder)
    check_weights(folder, card)
    if "drums" not in card.networks:
        raise AudioTransferError(
            f"{card.name} in {folder} is no drummer; `audiotransfer train drums` makes one"
        )
    (weights,) = card.weights
    network = load_drums(Path(folder) / weights)
    if not isinstance(network, DrumVae):
        raise AudioTransferError(
            f"{card.name} in {folder} knows hits only, and one length; take one that "
            "`audiotransfer train drums` made"
        )
    return Drummer(network)


def _begin(target: str | Path, options: DrumOptions) -> tuple[MidiOutput, Drummer, torch.Generator]:
    """Checks target and options, and loads the model: before any work."""
    output = MidiOutput(Path(target), options.extras, options.overwrite)
    output.check()
    if not 0.0 <= options.temperature <= _HOTTEST:
        raise AudioTransferError(
            f"temperature {options.temperature:g} is out of range: give 0 (the likeliest) to "
            f"{_HOTTEST:g}, 1 is as varied as the performances"
        )
    if options.tempo is not None and not _TEMPI[0] <= options.tempo <= _TEMPI[1]:
        raise AudioTransferError(
            f"tempo {options.tempo:g} is out of range: give {_TEMPI[0]:g} to {_TEMPI[1]:g} "
            "quarters a minute"
        )
    drummer = load_drummer(options.by or SHIPPED)
    return output, drummer, torch.Generator().manual_seed(options.seed)


def _written(score: Any, output: MidiOutput, bars: int, notices: Sequence[str] = ()) -> DrumReport:
    """Writes a new score."""
    write_score(score, output.path, output.overwrite)
    return _report(score, None, output, bars, notices)


def _report(
    score: Any, before: Any, output: MidiOutput, bars: int, notices: Sequence[str]
) -> DrumReport:
    """Writes the extras of a MIDI file that is written, and reports."""
    extras = output.write_extras(score, before)
    hits = len(note_table(score, drums=True))
    return DrumReport(str(output.path), bars, hits, extras, list(notices))


def _drum_notes(score: Any, source: str | Path) -> np.ndarray:
    notes = note_table(score, drums=True)
    if not len(notes):
        raise AudioTransferError(
            f"{source} holds no drums; they are what stands on MIDI channel 10"
        )
    return notes


def _beat_in(source: str | Path) -> tuple[Beat, float, tuple[str, ...]]:
    """The drums of a MIDI file in whole 4/4 bars, its tempo at the beginning, and notices."""
    file = midi.read(source)
    score = score_of(file)
    notes = _drum_notes(score, source)
    grid = Grid.of(score)
    if (np.diff(grid.bars) != BAR).any():
        raise AudioTransferError(f"{source} has bars that are not 4/4; beats between need them")
    onsets = np.interp(notes[:, 0], grid.ticks, np.arange(grid.steps + 1))
    beat = beat_of(Cells.of(onsets, notes[:, 2], grid.steps), notes[:, 3], grid.steps)
    if not beat.hits.any():
        raise AudioTransferError(f"{source} holds no drum that a kit has; check its keys")
    tempo = score.tempos[0].qpm if len(score.tempos) else 120.0
    return beat, float(np.clip(tempo, *_TEMPI)), file.notices


def _check_count(value: int, what: str, least: int, most: int) -> None:
    if not least <= value <= most:
        raise AudioTransferError(f"{value} {what} are out of range: give {least} to {most}")
