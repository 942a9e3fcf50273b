"""Content of a cover whose song is known by its sound alone: harmony, beats and identification.

Style says nothing about content: random chords sound as much like the style as the song's own. So
each figure has its own zero: a figure by chance, or that of the song moved by a bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.evaluation.metrics.beats import (
    Onsets,
    beat_agreement,
    is_half_a_beat_off,
    onsets_of,
)
from audiotransfer.evaluation.metrics.cover import (
    Spectrum,
    bar_chroma_correlation,
    chord_roots,
    lead_stands_out,
    spectrum,
)
from audiotransfer.evaluation.metrics.identification import (
    Fingerprint,
    cross_correlation,
    fingerprint_of,
    qmax,
    reciprocal_ranks,
    similarities,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from audiotransfer.leadsheet import LeadSheet

ROOTS, ROOTS_BY_CHANCE = "chord roots", "chord roots by chance"
CHROMA, CHROMA_OFF = "bar chroma", "bar chroma, a bar off"
BEATS, HALF_BEAT_OFF = "beat F", "half a beat off"
MELODY, MELODY_BY_CHANCE = "melody kept", "melody kept by chance"
RETRIEVED = "reciprocal rank by Qmax"
MEASURES = {RETRIEVED: qmax, "reciprocal rank by cross-correlation": cross_correlation}
_BEATS_A_BAR = 4


@dataclass(frozen=True)
class Content:
    """What songs and covers are compared by: constant-Q magnitudes, onsets, and a fingerprint."""

    sound: Spectrum
    onsets: Onsets
    fingerprint: Fingerprint

    @cached_property
    def bars(self) -> NDArray[np.float64]:
        """Spans of four beats ``[B, 2]`` (s); of the four phases the one that the pitch classes
        change at most.
        """
        beats = self.fingerprint.beats
        if len(beats) <= 2 * _BEATS_A_BAR:
            return np.zeros((0, 2))
        chroma = self.fingerprint.chroma(beats)
        changes = np.concatenate([[0.0], np.linalg.norm(np.diff(chroma, axis=1), axis=0)])
        phases = [changes[phase::_BEATS_A_BAR].mean() for phase in range(_BEATS_A_BAR)]
        lines = beats[int(np.argmax(phases)) :: _BEATS_A_BAR]
        return np.column_stack([lines[:-1], lines[1:]])


def content_of(audio: Tensor, sample_rate: int) -> Content:
    """The content of a sound ``[C, T]``, at least a second long."""
    sound = spectrum(audio, sample_rate)
    onsets = onsets_of(audio, sample_rate)
    return Content(sound, onsets, fingerprint_of(sound, onsets.beats))


def content_figures(output: Content, source: Content) -> dict[str, float]:
    """Agreement of a cover with its song, in bars of the song as they are tracked in it.

    ``chord roots`` is the share of bars whose detected root is the song's, and ``chord roots by
    chance`` what the same roots in random order would have. ``bar chroma`` correlates the bars'
    chroma, and ``a bar off`` with the next bar. ``beat F`` is that of the tracked beats in their
    best relation (as fast, twice, half), and ``half a beat off`` 1 where they lie between the
    song's (see `is_half_a_beat_off`). What cannot be measured, as the harmony of silence or of
    less than two bars, is left out.
    """
    beats = source.fingerprint.beats
    figures = {
        BEATS: beat_agreement(output.fingerprint.beats, beats).best,
        HALF_BEAT_OFF: float(is_half_a_beat_off(output.onsets, beats)),
    }
    if len(source.bars) < 2:
        return figures
    before, after = (chord_roots(content.sound, source.bars) for content in (source, output))
    figures |= {
        ROOTS: float(np.mean(after == before)),
        ROOTS_BY_CHANCE: float(_shares(after) @ _shares(before)),
        CHROMA: bar_chroma_correlation(output.sound, source.sound, source.bars),
        CHROMA_OFF: bar_chroma_correlation(
            output.sound, source.sound, source.bars[:-1], source.bars[1:]
        ),
    }
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def melody_figures(output: Content, sheet: LeadSheet | None) -> dict[str, float]:
    """The share of the melody's notes that are heard in an output, and of those a semitone up.

    ``sheet`` is what was transcribed of the song; without a melody there are no figures. A note is
    heard where its pitch stands out of its neighbours (see `lead_stands_out`).
    """
    if sheet is None or not sheet.melody:
        return {}
    figures = {
        MELODY: lead_stands_out(output.sound, sheet),
        MELODY_BY_CHANCE: lead_stands_out(output.sound, sheet, semitones=1),
    }
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def retrieval_figures(
    outputs: Sequence[Fingerprint], songs: Sequence[Fingerprint]
) -> list[dict[str, float]]:
    """Reciprocal ranks of the songs' own places, of outputs in the order of the songs.

    ``by Qmax`` has beats that were tracked in every sound alone, ``by cross-correlation`` those of
    the song that an output is compared with.
    """
    ranks = {
        name: reciprocal_ranks(similarities(outputs, songs, measure), range(len(songs)))
        for name, measure in MEASURES.items()
    }
    return [{name: of[index] for name, of in ranks.items()} for index in range(len(outputs))]


def _shares(roots: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shares of the twelve roots."""
    counts = np.bincount(roots, minlength=12)
    shares: NDArray[np.float64] = counts / max(counts.sum(), 1)
    return shares
