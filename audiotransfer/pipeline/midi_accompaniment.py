"""Four-part harmonization of a melody in a MIDI file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from audiotransfer import midi
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.score import score_of, write_score
from audiotransfer.pipeline.midi_output import MidiExtras, MidiOutput
from audiotransfer.styles.card import CARD_NAME, check_weights, read_card
from audiotransfer.symbolic.accompaniment import melody
from audiotransfer.symbolic.accompaniment.cadences import Phrasing
from audiotransfer.symbolic.accompaniment.harmonization import (
    Accompanist,
    Harmony,
    back_in_register,
    harmonise,
    load_accompanist,
    score_with_voices,
)
from audiotransfer.symbolic.accompaniment.melody import Tune

SHIPPED = Path(__file__).parent.parent / "symbolic" / "shipped" / "bach"
_HOTTEST = 4.0
_NETWORK = "accompanist"


@dataclass(frozen=True)
class AccompanyOptions:
    """Options of a harmonization."""

    track: str | None = None
    """Name or number (from 1) of the melody's track; ``None`` is the first with notes."""
    by: str | Path | None = None
    """Folder of an accompaniment model; ``None`` is the one that ships."""
    temperature: float = Harmony.temperature
    """0 takes the most probable notes, 1 samples from the model's probabilities."""
    seed: int = 0
    versions: int = 1
    """Number of outputs, from consecutive seeds."""
    extras: MidiExtras = field(default_factory=MidiExtras)
    """Audio and piano rolls that are written with each version."""
    overwrite: bool = False


@dataclass(frozen=True)
class AccompanyReport:
    """Report of one harmonized melody."""

    input: str
    outputs: list[str]
    seeds: list[int]
    beside: list[str]
    """Audio files and piano rolls that were written with them."""
    track: str
    notes: int
    """In the melody."""
    semitones: int
    """By which it was transposed for the model, and back."""
    notices: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def accompany_file(
    source: str | Path,
    target: str | Path,
    options: AccompanyOptions | None = None,
    progress: Callable[[float], None] | None = None,
) -> AccompanyReport:
    """Writes a melody with three voices below it; several versions as ``TARGET.1.mid``, and so on.

    ``source`` is a MIDI file, or "twinkle", a tune that ships with the program.

    Raises AudioTransferError for a file without a melody, or an output that cannot be written.
    """
    options = options or AccompanyOptions()
    if not 0.0 <= options.temperature <= _HOTTEST:
        raise AudioTransferError(
            f"temperature {options.temperature:g} is out of range: give 0 (the likeliest notes) "
            f"to {_HOTTEST:g}, {Harmony.temperature:g} is as calm as the chorales"
        )
    if options.versions < 1:
        raise AudioTransferError(f"{options.versions} versions cannot be made: give one or more")
    outputs = [
        MidiOutput(path, options.extras, options.overwrite)
        for path in version_paths(Path(target), options.versions)
    ]
    for output in outputs:
        output.check()
    file = None if str(source) == melody.NAME else midi.read(source)
    score = melody.twinkle_score() if file is None else score_of(file)
    tune = Tune.of(score, options.track)
    network = load_bach(options.by or SHIPPED)
    seeds = [options.seed + number for number in range(options.versions)]
    beside: list[str] = []
    for number, (output, seed) in enumerate(zip(outputs, seeds, strict=True)):

        def on_progress(share: float, done: int = number) -> None:
            if progress is not None:
                progress((done + share) / len(outputs))

        harmony = Harmony(options.temperature)
        made = accompany(tune, network, harmony, seed, on_progress)
        write_score(made, output.path, options.overwrite)
        beside += output.write_extras(made).values()
    return AccompanyReport(
        input=str(source),
        outputs=[str(output.path) for output in outputs],
        seeds=seeds,
        beside=beside,
        track=score.tracks[tune.track].name,
        notes=len(tune.notes),
        semitones=tune.melody.shift,
        notices=[*(file.notices if file else ()), *tune.notices],
    )


def accompany(
    tune: Tune,
    network: Accompanist,
    harmony: Harmony,
    seed: int,
    progress: Callable[[float], None] | None = None,
) -> Any:
    """The melody and three voices below it, as a ``symusic.Score`` of four tracks."""
    line = tune.melody
    phrasing = Phrasing.of(line.transposed, line.onsets, tune.grid.bars - line.first)
    melody, beats = (torch.from_numpy(x)[None] for x in (line.transposed, line.phases))
    generator = torch.Generator().manual_seed(seed)
    made = harmonise(network, melody, beats, harmony, generator, progress, [phrasing])
    voices = made[0].numpy()
    return score_with_voices(tune, back_in_register(voices, tune.melody))


def is_accompanist(place: str | Path) -> bool:
    """Whether a name or folder is that of an accompaniment model."""
    folder = _folder(place)
    return (folder / CARD_NAME).is_file() and _NETWORK in read_card(folder).networks


def load_bach(place: str | Path = SHIPPED) -> Accompanist:
    """Loads the accompaniment model in a folder, or "bach", the one that ships.

    Raises AudioTransferError where there is none, or its weights do not match its card.
    """
    folder = _folder(place)
    card = read_card(folder)
    check_weights(folder, card)
    if _NETWORK not in card.networks:
        raise AudioTransferError(
            f"{card.name} in {folder} is a style and no accompanist; `audiotransfer train bach` "
            "makes one"
        )
    (weights,) = card.weights
    return load_accompanist(folder / weights)


def _folder(place: str | Path) -> Path:
    return SHIPPED if str(place) == SHIPPED.name else Path(place)


def version_paths(target: Path, count: int) -> list[Path]:
    """The paths of so many versions: the target itself, or numbered from 1 before its suffix."""
    if count == 1:
        return [target]
    return [target.with_suffix(f".{number}{target.suffix}") for number in range(1, count + 1)]
