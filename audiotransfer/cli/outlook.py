"""What a command is going to take, said on stderr before its work begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audiotransfer.cli.console import Console
from audiotransfer.pipeline.options import TransferOptions
from audiotransfer.pipeline.outlook import Work, lack, outlook


def tell_outlook(
    console: Console,
    how: str,
    pairs: Sequence[tuple[Path, Path]],
    work: Work,
    options: TransferOptions,
    device: str,
    jobs: int = 1,
    *,
    suffix: str | None = None,
) -> None:
    """Prints how much music there is, and the time, memory and disk that it takes here.

    ``pairs`` are songs and their outputs, ``how`` says what is done to them. Nothing is measured or
    printed with ``--quiet``, nor for less than half a minute of music; a warning says where the
    disk has too little room.
    """
    if console.quiet or not pairs:
        return
    songs = [song for song, _ in pairs]
    place = pairs[0][1]
    suffix = place.suffix.lower() if suffix is None else suffix
    found = outlook(songs, work, options, device, suffix=suffix, jobs=jobs)
    if found is None:
        return
    what = songs[0].name if len(songs) == 1 else f"{len(songs)} songs"
    console.notice(found.words(f"{what} ({how})"))
    needed = found.written + found.meanwhile
    if warning := lack(place.parent, needed):
        console.notice(warning)
