"""Which judge is asked: one that is named, the one that ships, or one trained for the purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from audiotransfer.corpora.manifest import Manifest
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import Judge, shipped_judge

Show = Callable[[str, float], None]

_FOLDER = "judge"


def judge_for(
    genre: str,
    folder: Path | None = None,
    prepared: Manifest | None = None,
    show: Show | None = None,
) -> tuple[Judge, str]:
    """A judge that knows a genre, and the name that it has there (``rock_metal`` for ``rock``).

    The one in ``folder``; else the one that ships; else, where that one does not know the genre,
    one trained on what is not the test split of a ``prepared`` collection and kept in its folder.
    Raises AudioTransferError where none of them knows it, with the command that trains one.
    """
    judge = Judge.load(folder or shipped_judge())
    name = known_as(genre, judge.classes)
    if name is None and folder is None and prepared is not None and genre in prepared.genres:
        judge, name = _trained(prepared, show), genre
    if name is None:
        raise AudioTransferError(
            f"the judge does not know {genre!r}, --genre takes one of {', '.join(judge.classes)}; "
            "one for other genres: audiotransfer prepare GENRE_FOLDERS -o ready, audiotransfer "
            "train judge judge.prepared=ready -o runs/judge, then --judge runs/judge"
        )
    return judge, name


def known_as(genre: str, classes: Sequence[str]) -> str | None:
    """The class that a genre is, or is a part of the name of; None where there is no such one."""
    if genre in classes:
        return genre
    parts = [name for name in classes if genre in name.split("_")]
    return parts[0] if len(parts) == 1 else None


def _trained(prepared: Manifest, show: Show | None) -> Judge:
    from audiotransfer import recipes  # all of training, which other trials do without

    folder = prepared.folder / _FOLDER
    if not (folder / "judge.json").is_file():
        recipes.train("judge", [f"judge.prepared={prepared.folder}"], folder, show)
    return Judge.load(folder)
