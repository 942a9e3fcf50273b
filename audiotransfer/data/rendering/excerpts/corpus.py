"""Excerpts of rendered pieces with their truth: what transcription networks are trained on."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from audiotransfer.data.rendering.excerpts.arranging import (
    INVENTED,
    SINGING,
    ExcerptSettings,
    complete,
    draw_section,
)
from audiotransfer.data.rendering.excerpts.playing import play_section
from audiotransfer.data.rendering.excerpts.readers import READERS, SPLITS, names_in
from audiotransfer.errors import AudioTransferError


def render_excerpt(settings: ExcerptSettings, index: int) -> dict[str, Any]:
    """The arrays of excerpt ``index``, ``about`` among them; the same for the same settings.

    ``audio`` ``[T]`` is 16 bit, mono, at 22 050 Hz. ``lead``, ``notes`` and ``bass`` ``[N, 3]`` are
    start (s), end (s) and MIDI pitch relative to the excerpt's own tuning (``about``); ``drums``
    ``[N, 2]`` time and General MIDI key; ``chords`` ``[K, 3]`` start, root or -1, and an index into
    ``CHORD_QUALITIES``; ``beats``, ``downbeats`` and ``sung`` ``[S, 2]`` are seconds. ``has_lead``,
    ``has_notes``, ``has_bass``, ``has_chords``, ``has_beats`` and ``has_drums`` say whether each is
    known. Raises AudioTransferError where no score can be read.
    """
    random = np.random.default_rng((settings.seed, SPLITS.index(settings.split), index))
    section, timeline = draw_section(settings, random)
    semitones = int(random.integers(-5, 7))
    if section.collection != SINGING:  # the recording stays where it is
        section = section.transposed(semitones)
    tempo = float(60 / np.median(np.diff(timeline.times)))
    section = complete(section, tempo, settings, random)
    return play_section(section, timeline, settings, random)


def _render_one(job: tuple[ExcerptSettings, int, str]) -> dict[str, object]:
    settings, index, folder = job
    path = Path(folder) / settings.split / f"{settings.seed}-{index:05d}.npz"
    if not path.is_file():
        arrays = render_excerpt(settings, index)
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)
    with np.load(path) as arrays:
        return {"id": path.stem, **json.loads(str(arrays["about"]))}


def render_excerpts(
    settings: ExcerptSettings, folder: Path, progress: Callable[[int, int], None] | None = None
) -> list[dict[str, object]]:
    """Renders the excerpts that are missing in ``folder/SPLIT``; returns what is said of each.

    Raises AudioTransferError when scores or soundfonts cannot be read.
    """
    for font in settings.soundfonts:
        if not Path(font).is_file():
            raise AudioTransferError(f"soundfont {font} does not exist; name an .sf2 or .sf3")
    for place in settings.scores:
        if place in (INVENTED, SINGING):
            continue
        if Path(place).stem not in READERS:
            raise AudioTransferError(
                f"scores {place} have no reader; there are {', '.join(READERS)}"
            )
        names_in(place, settings.split)
    if SINGING in settings.scores and not settings.singing:
        raise AudioTransferError("singing is among the scores; set singing=[FILE] to recordings")
    (folder / settings.split).mkdir(parents=True, exist_ok=True)
    numbers = range(settings.first, settings.first + settings.excerpts)
    jobs = [(settings, number, str(folder)) for number in numbers]
    done: list[dict[str, object]] = []
    for about in _run(jobs, settings.workers):
        done.append(about)
        if progress is not None:
            progress(len(done), len(jobs))
    return done


def _run(jobs: list[tuple[ExcerptSettings, int, str]], workers: int) -> Iterator[dict[str, object]]:
    if workers <= 1:
        yield from map(_render_one, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=100) as pool:
        yield from pool.imap(_render_one, jobs)
