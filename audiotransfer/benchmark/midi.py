"""Benchmark of styles for MIDI: pieces of each genre through the pipeline, there and back."""

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
    References,
    TransferredPhrases,
    figures,
    transfer_there_and_back,
)
from audiotransfer.evaluation.report.statistics import Interval, Row
from audiotransfer.midi.score import read_score
from audiotransfer.pipeline.cover_options import NETWORK
from audiotransfer.pipeline.midi_options import MidiOptions
from audiotransfer.pipeline.midi_output import MidiOutput
from audiotransfer.pipeline.midi_transfer import prepare_midi, transfer_midi_by_plan
from audiotransfer.styles import find_style
from audiotransfer.styles.card import CARD_NAME, read_card

_ROUTE = "symbolic"
_OWN = "named"  # the classifier that the user names
STYLE, WRONG, NOTHING, RANDOM, TRANSPOSED, SCATTERED, RETRIEVED = (
    "style", "wrong style", "doing nothing", "random target phrases", "transposed",
    "as many notes, scattered", "nearest training phrase",
)  # fmt: skip
FileTransfer = Callable[[Path, Path], None]
"""Transfers a MIDI file by the pipeline: (input, output)."""

Show = Callable[[str, float], None]
OnResult = Callable[[Piece, str, Path], None]
"""Called after each piece: (piece, target genre, output file)."""


@dataclass(frozen=True)
class MidiEntries:
    """The inputs of a benchmark.

    Attributes:
        pieces: by genre.
        target: the style's genre.
        transfers: by the genre that they transfer files to.
        references: what outputs are compared with.
    """

    pieces: dict[str, list[Piece]]
    target: str
    transfers: dict[str, FileTransfer]
    references: References


def gather_midi(
    style: str | Path,
    places: Sequence[Path],
    work: Path,
    *,
    genre: str | None = None,
    classifier: Path | None = None,
    baseline: Path | None = None,
    count: int | None = None,
    device: str = "auto",
    seed: int = 0,
) -> MidiEntries:
    """Finds the inputs of a benchmark of a style for MIDI in folders and zips of MIDI files.

    Styles for the way back, and wrong ones, are those named after the other genres that the
    classifiers know, beside the style or installed.

    Args:
        places: folders and zips of MIDI files, by genre.
        work: zips are unpacked into it.
        genre: the style's genre, by default its name.
        classifier: folder of a third classifier, beside the two that ship, which then gives the
            style figure.
        baseline: folder or zip of pieces that were trained on.
        count: most pieces of a genre.

    Raises:
        AudioTransferError: something is missing.
    """
    own = find_style(style, route=_ROUTE)
    folders = shipped_midi_classifiers() | ({_OWN: classifier} if classifier else {})
    if not folders:
        raise AudioTransferError(
            "no MIDI classifier ships with this version; `audiotransfer train "
            "midi-classifier-counts` makes one, --classifier names it"
        )
    classifiers = {name: MidiGenreClassifier.load(folder) for name, folder in folders.items()}
    genres = [g for g in next(iter(classifiers.values())).genres
              if all(g in one.genres for one in classifiers.values())]  # fmt: skip
    target = known_as(genre or own.card.name, genres)
    if target is None:
        raise AudioTransferError(
            f"the MIDI classifiers do not know {genre or own.card.name!r}, --genre takes one of "
            f"{', '.join(genres)}"
        )
    held_out = {name for one in classifiers.values() for name in one.report.get("held out", ())}
    found = gather_pieces(places, genres, work, held_out=held_out, count=count)
    if target not in found.tested or len(found.tested) < 2:
        raise AudioTransferError(
            f"--on holds {', '.join(found.tested)}: give pieces of {target}, the style's genre, "
            "and of another genre"
        )
    training = dict(found.training)
    if baseline is not None:
        before = gather_pieces([baseline], genres, work / "trained")
        training |= {name: phrases_of_pieces(some) for name, some in before.tested.items()}
    real = {name: phrases_of_pieces(some) for name, some in found.tested.items()}
    transfers = {target: _file_transfer(own.folder, device, seed)}
    for other in genres:
        folder = _style_beside(own.folder, other)
        if other != target and folder is not None:
            transfers[other] = _file_transfer(folder, device, seed)
    return MidiEntries(found.tested, target, transfers, References(classifiers, real, training))


def phrases_of_pieces(pieces: Sequence[Piece]) -> Tensor:
    """All phrases of some pieces: [N, 2, 64, 84]."""
    return torch.cat([piece.phrases for piece in pieces])


def _file_transfer(folder: Path, device: str, seed: int) -> FileTransfer:
    """The pipeline with a style, as a function of input and output file."""
    plan = prepare_midi(MidiOptions(folder, device=device, seed=seed, mode=NETWORK))

    def transfer(source: Path, output: Path) -> None:
        transfer_midi_by_plan(source, plan, MidiOutput(output, overwrite=True))

    return transfer


def _style_beside(folder: Path, genre: str) -> Path | None:
    """Folder of the style with networks for MIDI named after a genre, beside another one or
    installed, if any.
    """
    beside = folder.parent / genre
    try:
        card = read_card(beside) if (beside / CARD_NAME).is_file() else None
        if card is None or card.route != _ROUTE:
            installed = find_style(genre, route=_ROUTE)
            beside, card = installed.folder, installed.card
    except AudioTransferError:
        return None
    return beside if any(card.stems.values()) else None


@dataclass(frozen=True)
class MidiBenchmark:
    """Results: direction (``jazz > pop``) -> system -> figure; ``sizes`` of the data."""

    directions: dict[str, dict[str, Figures]]
    sizes: dict[str, int] = field(default_factory=dict)

    def rows(self, direction: str) -> list[Row]:
        """A row for each system."""
        return [{"system": name, **found} for name, found in self.directions[direction].items()]

    def pair_rows(self) -> list[Row]:
        """A row for each system and pair of genres that styles transfer both ways: means of both
        directions, as S_tot is.
        """
        rows: list[Row] = []
        for direction, systems in self.directions.items():
            source, target = direction.split(" > ")
            back = self.directions.get(f"{target} > {source}", {})
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
    transfers: Mapping[str, FileTransfer],
    references: References,
    work: Path,
    *,
    show: Show | None = None,
    on_result: OnResult | None = None,
) -> MidiBenchmark:
    """Transfers the pieces of all genres to the target, and those of the target to other genres.

    The outputs are transferred back where a style does that. The wrong style of a direction is the
    first that is for neither of its genres; its outputs are measured as outputs for the
    direction's target.

    Args:
        transfers: by the genre that they transfer files to; the target must be among them.
        work: outputs are written into it.
    """
    others = [genre for genre in pieces if genre != target]
    directions = [(genre, target) for genre in others]
    directions += [(target, genre) for genre in others if genre in transfers and target in pieces]
    wrong = {
        direction: next((genre for genre in transfers if genre not in direction), None)
        for direction in directions
    }
    wrong_routes = [
        (direction[0], genre) for direction, genre in wrong.items() if genre is not None
    ]
    results: dict[tuple[str, str], TransferredPhrases] = {}
    routes = list(dict.fromkeys((*directions, *wrong_routes)))
    for number, (source, destination) in enumerate(routes):

        def progress(name: str, share: float, before: int = number) -> None:
            if show is not None:
                show(name, (before + share) / len(routes))

        shown = on_result if (source, destination) in directions else None
        results[source, destination] = _transferred(
            pieces[source], source, destination, transfers, work, progress, shown
        )
    found = {}
    for direction in directions:
        source, destination = direction
        made, other = results[direction], wrong[direction]
        measured = {STYLE: figures(made, references)}
        if other is not None:
            measured[WRONG] = figures(
                replace(results[source, other], target=destination), references
            )
        for name, system in _systems(references, {source, destination}).items():
            by = transfer_there_and_back(system, made.phrases, source, destination, made.pieces)
            measured[name] = figures(by, references)
        found[f"{source} > {destination}"] = measured
    sizes = {f"{genre} pieces": len(of_genre) for genre, of_genre in pieces.items()}
    sizes |= {f"{genre} phrases": len(given) for genre, given in references.real.items()}
    return MidiBenchmark(found, sizes)


def _systems(references: References, genres: set[str]) -> dict[str, Transfer]:
    """The baselines between some genres."""
    systems: dict[str, Transfer] = {
        NOTHING: do_nothing,
        RANDOM: RandomPhrases(references.real),
        TRANSPOSED: Transposed(),
        SCATTERED: Scattered(),
    }
    if genres <= references.training.keys():
        systems[RETRIEVED] = Retrieval(references.training)
    return systems


def _transferred(
    pieces: Sequence[Piece],
    source: str,
    target: str,
    transfers: Mapping[str, FileTransfer],
    work: Path,
    show: Show,
    on_result: OnResult | None,
) -> TransferredPhrases:
    """Every piece through the pipeline and, where a style does that, back."""
    outputs, backs = [], []
    folder = work / f"{source}-{target}"
    folder.mkdir(parents=True, exist_ok=True)
    for number, piece in enumerate(pieces):
        output, back = (folder / f"{number:04}{end}.mid" for end in ("", ".back"))
        outputs.append(_output_phrases(piece, transfers[target], piece.path, output))
        if source in transfers:
            backs.append(_output_phrases(piece, transfers[source], output, back))
        if on_result is not None and output.exists():
            on_result(piece, target, output)
        show(piece.name, (number + 1) / len(pieces))
    of = [number for number, piece in enumerate(pieces) for _ in piece.starts]
    return TransferredPhrases(
        source,
        target,
        phrases_of_pieces(pieces),
        torch.cat(outputs),
        torch.cat(backs) if backs else None,
        of,
    )


def _output_phrases(piece: Piece, transfer: FileTransfer, source: Path, output: Path) -> Tensor:
    """The piece's phrases in a transferred file; silence where the pipeline leaves no notes."""
    try:
        transfer(source, output)
        return piece.cut(read_score(output))
    except AudioTransferError:
        return torch.zeros_like(piece.phrases)


def _number(value: Interval | float) -> float:
    return value.mean if isinstance(value, Interval) else value
