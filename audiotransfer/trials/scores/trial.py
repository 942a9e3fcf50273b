"""Styles for scores on trial: the whole command on MIDI files, beside what they have to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.scores.baselines import (
    RandomPhrases,
    Retrieval,
    Scattered,
    Transfer,
    Transposed,
    do_nothing,
)
from audiotransfer.evaluation.scores.transfer import Figures, Ground, Passage, figures, passage
from audiotransfer.evaluation.statistics import Interval
from audiotransfer.evaluation.table import Row
from audiotransfer.symbolic.score import read_score
from audiotransfer.trials.scores.pieces import Piece

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
class ScoreTrial:
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


def try_style(
    pieces: Mapping[str, Sequence[Piece]],
    target: str,
    plays: Mapping[str, Play],
    ground: Ground,
    work: Path,
    *,
    show: Show | None = None,
    heard: Heard | None = None,
) -> ScoreTrial:
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
    return ScoreTrial(found, sizes)


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
