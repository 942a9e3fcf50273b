"""Who meets whom in a trial of scores: pieces, the styles there and back, judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.benchmark.entries import known_as
from audiotransfer.benchmark.midi_pieces import Piece, gather_pieces
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.baselines.midi import (
    RandomPhrases,
    Retrieval,
    Scattered,
    Transfer,
    Transposed,
    do_nothing,
)
from audiotransfer.evaluation.classifiers.midi_genre import (
    MidiGenreClassifier,
    shipped_midi_classifiers,
)
from audiotransfer.evaluation.metrics.midi_transfer import (
    Figures,
    Ground,
    Passage,
    figures,
    passage,
)
from audiotransfer.evaluation.report.statistics import Interval, Row
from audiotransfer.midi.score import read_score
from audiotransfer.pipeline.midi_output import MidiOutput
from audiotransfer.pipeline.midi_transfer import MidiOptions, prepare_midi, transfer_midi_by_plan
from audiotransfer.styles import find_style
from audiotransfer.styles.card import CARD_NAME, read_card

_ROUTE = "symbolic"
_OWN = "named"


@dataclass(frozen=True)
class MidiEntries:
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
) -> MidiEntries:
    """Finds all that a trial of a style for scores needs in folders and zips of MIDI.

    The two judges that ship listen, and one in the folder ``judge`` with the last word. Styles that
    lead back, or astray, are those called after the other genres that the judges know, beside the
    style or installed. ``baseline`` holds scores that were trained on; what is unpacked goes into
    ``work``.
    Raises AudioTransferError where something is missing.
    """
    own = find_style(style, route=_ROUTE)
    folders = shipped_midi_classifiers() | ({_OWN: judge} if judge is not None else {})
    if not folders:
        raise AudioTransferError(
            "no judge of scores ships with this version; `audiotransfer train genre-counter` makes "
            "one, --classifier names it"
        )
    judges = {name: MidiGenreClassifier.load(folder) for name, folder in folders.items()}
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
    return MidiEntries(found.on_trial, target, plays, Ground(judges, real, trained))


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


Play = Callable[[Path, Path], None]
"""Sends one MIDI file through the whole command in a style, into another file."""
Show = Callable[[str, float], None]
Heard = Callable[[Piece, str, Path], None]
"""Is given a piece, the genre that it went to, and the file that came out."""

STYLE, WRONG, NOTHING, RANDOM, TRANSPOSED, SCATTERED, RETRIEVED = (
    "style", "wrong style", "doing nothing", "random target phrases", "transposed",
    "as many notes, scattered", "nearest training phrase",
)  # fmt: skip


@dataclass(frozen=True)
class MidiBenchmark:
    """What was measured: way (``jazz > pop``) -> system -> figure, and of how much."""

    ways: dict[str, dict[str, Figures]]
    sizes: dict[str, int] = field(default_factory=dict)

    def rows(self, way: str) -> list[Row]:
        """One row a system."""
        return [{"system": name, **found} for name, found in self.ways[way].items()]

    def pair_rows(self) -> list[Row]:
        """One row for each two genres between which the style goes both ways, and each system: the
        means of both ways, as S_tot is.
        """
        rows: list[Row] = []
        for way, systems in self.ways.items():
            source, target = way.split(" > ")
            back = self.ways.get(f"{target} > {source}", {})
            if source > target or STYLE not in systems or STYLE not in back:
                continue
            for name, found in systems.items():
                means = {
                    figure: (_number(value) + _number(back[name][figure])) / 2
                    for figure, value in found.items()
                    if figure in back[name]
                }
                rows.append({"pair": f"{source} – {target}", "system": name, **means})
        return rows


def run_midi_benchmark(
    pieces: Mapping[str, Sequence[Piece]],
    target: str,
    plays: Mapping[str, Play],
    ground: Ground,
    work: Path,
    *,
    show: Show | None = None,
    heard: Heard | None = None,
) -> MidiBenchmark:
    """Sends the pieces of every genre to the target and, where a style does that, back; and those
    of the target to every other genre that a style is for.

    ``plays`` are what transfers files to a genre; the target must be among them. The first of them
    that is for neither genre of a way is the wrong style of that way: what it makes is judged as if
    it had been asked for the way's target. What comes out is written into ``work``.
    """
    others = [genre for genre in pieces if genre != target]
    ways = [(genre, target) for genre in others]
    ways += [(target, genre) for genre in others if genre in plays and target in pieces]
    wrong = {way: next((genre for genre in plays if genre not in way), None) for way in ways}
    astray = [(way[0], genre) for way, genre in wrong.items() if genre is not None]
    passages: dict[tuple[str, str], Passage] = {}
    roads = list(dict.fromkeys((*ways, *astray)))
    for number, (source, goal) in enumerate(roads):

        def tell(name: str, share: float, before: int = number) -> None:
            if show is not None:
                show(name, (before + share) / len(roads))

        shown = heard if (source, goal) in ways else None
        passages[source, goal] = _played(pieces[source], source, goal, plays, work, tell, shown)
    found = {}
    for way in ways:
        source, goal = way
        played, other = passages[way], wrong[way]
        measured = {STYLE: figures(played, ground)}
        if other is not None:
            measured[WRONG] = figures(replace(passages[source, other], target=goal), ground)
        for name, system in _systems(ground, {source, goal}).items():
            by = passage(system, played.phrases, source, goal, played.pieces)
            measured[name] = figures(by, ground)
        found[f"{source} > {goal}"] = measured
    sizes = {f"{genre} pieces": len(of_genre) for genre, of_genre in pieces.items()}
    sizes |= {f"{genre} phrases": len(given) for genre, given in ground.real.items()}
    return MidiBenchmark(found, sizes)


def phrases_of_pieces(pieces: Sequence[Piece]) -> Tensor:
    """All phrases of some pieces: [N, 2, 64, 84]."""
    return torch.cat([piece.phrases for piece in pieces])


def _systems(ground: Ground, genres: set[str]) -> dict[str, Transfer]:
    systems: dict[str, Transfer] = {
        NOTHING: do_nothing,
        RANDOM: RandomPhrases(ground.real),
        TRANSPOSED: Transposed(),
        SCATTERED: Scattered(),
    }
    if genres <= ground.training.keys():
        systems[RETRIEVED] = Retrieval(ground.training)
    return systems


def _played(
    pieces: Sequence[Piece],
    source: str,
    target: str,
    plays: Mapping[str, Play],
    work: Path,
    show: Show,
    heard: Heard | None,
) -> Passage:
    """Every piece through the whole command, there and, where a style leads back, back."""
    outputs, back = [], []
    folder = work / f"{source}-{target}"
    folder.mkdir(parents=True, exist_ok=True)
    for number, piece in enumerate(pieces):
        there, home = (folder / f"{number:04}{end}.mid" for end in ("", ".back"))
        outputs.append(_outcome(piece, plays[target], piece.path, there))
        if source in plays:
            back.append(_outcome(piece, plays[source], there, home))
        if heard is not None and there.exists():
            heard(piece, target, there)
        show(piece.name, (number + 1) / len(pieces))
    of = [number for number, piece in enumerate(pieces) for _ in piece.starts]
    return Passage(
        source,
        target,
        phrases_of_pieces(pieces),
        torch.cat(outputs),
        torch.cat(back) if back else None,
        of,
    )


def _outcome(piece: Piece, play: Play, source: Path, output: Path) -> Tensor:
    """What becomes of the piece's phrases; where the command leaves not one note it is silence."""
    try:
        play(source, output)
        return piece.cut(read_score(output))
    except AudioTransferError:
        return torch.zeros_like(piece.phrases)


def _number(value: Interval | float) -> float:
    return value.mean if isinstance(value, Interval) else value
