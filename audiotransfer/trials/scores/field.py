"""Who meets whom in a trial of scores: pieces, the styles there and back, judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.scores.judges import ScoreJudge, shipped_score_judges
from audiotransfer.evaluation.scores.transfer import Ground
from audiotransfer.pipeline.midi_output import MidiOutput
from audiotransfer.pipeline.midi_transfer import MidiOptions, prepare_midi, transfer_midi_by_plan
from audiotransfer.styles import find_style
from audiotransfer.styles.card import CARD_NAME, read_card
from audiotransfer.trials.judging import known_as
from audiotransfer.trials.scores.pieces import Piece, gather_pieces
from audiotransfer.trials.scores.trial import Play, phrases_of_pieces

_ROUTE = "symbolic"
_OWN = "named"


@dataclass(frozen=True)
class ScoreField:
    """Pieces by genre, the genre aimed at, what transfers files to each genre, and the ground."""

    pieces: dict[str, list[Piece]]
    target: str
    plays: dict[str, Play]
    ground: Ground


def gather_scores(
    style: str | Path,
    places: Sequence[Path],
    work: Path,
    *,
    genre: str | None = None,
    judge: Path | None = None,
    baseline: Path | None = None,
    count: int | None = None,
    device: str = "auto",
    seed: int = 0,
) -> ScoreField:
    """Finds all that a trial of a style for scores needs in folders and zips of MIDI.

    The two judges that ship listen, and one in the folder ``judge`` with the last word. Styles that
    lead back, or astray, are those called after the other genres that the judges know, beside the
    style or installed. ``baseline`` holds scores that were trained on; what is unpacked goes into
    ``work``.
    Raises AudioTransferError where something is missing.
    """
    own = find_style(style, route=_ROUTE)
    folders = shipped_score_judges() | ({_OWN: judge} if judge is not None else {})
    if not folders:
        raise AudioTransferError(
            "no judge of scores ships with this version; `audiotransfer train genre-counter` makes "
            "one, --judge names it"
        )
    judges = {name: ScoreJudge.load(folder) for name, folder in folders.items()}
    genres = [g for g in next(iter(judges.values())).genres
              if all(g in one.genres for one in judges.values())]  # fmt: skip
    target = known_as(genre or own.card.name, genres)
    if target is None:
        raise AudioTransferError(
            f"the judges do not know {genre or own.card.name!r}, --genre takes one of "
            f"{', '.join(genres)}"
        )
    held_out = {name for one in judges.values() for name in one.report.get("held out", ())}
    found = gather_pieces(places, genres, work, held_out=held_out, count=count)
    if target not in found.on_trial or len(found.on_trial) < 2:
        raise AudioTransferError(
            f"--on holds {', '.join(found.on_trial)}: give pieces of {target}, which is aimed at, "
            "and of another genre"
        )
    trained = dict(found.trained)
    if baseline is not None:
        before = gather_pieces([baseline], genres, work / "trained")
        trained |= {name: phrases_of_pieces(some) for name, some in before.on_trial.items()}
    real = {name: phrases_of_pieces(some) for name, some in found.on_trial.items()}
    plays = {target: _play(own.folder, device, seed)}
    for other in genres:
        folder = _style_beside(own.folder, other)
        if other != target and folder is not None:
            plays[other] = _play(folder, device, seed)
    return ScoreField(found.on_trial, target, plays, Ground(judges, real, trained))


def _play(folder: Path, device: str, seed: int) -> Play:
    plan = prepare_midi(MidiOptions(folder, device=device, seed=seed))

    def play(source: Path, output: Path) -> None:
        transfer_midi_by_plan(source, plan, MidiOutput(output, overwrite=True))

    return play


def _style_beside(folder: Path, genre: str) -> Path | None:
    """The folder of the style for scores that is called after a genre: beside another one, or
    installed; None where there is none.
    """
    beside = folder.parent / genre
    if (beside / CARD_NAME).is_file() and read_card(beside).route == _ROUTE:
        return beside
    try:
        return find_style(genre, route=_ROUTE).folder
    except AudioTransferError:
        return None
