"""Content of a cover whose song is known by its sound alone: harmony, beats and identification.

Style says nothing about content: random chords sound as much like the style as the song's own. So
each figure has its own zero: a figure by chance, or that of the song moved by a bar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.evaluation.metrics.beats import HALF_BEAT, beat_agreement
from audiotransfer.evaluation.metrics.cover import (
    bar_chroma,
    bar_chroma_correlation,
    chord_roots,
)
from audiotransfer.evaluation.metrics.identification import (
    Fingerprint,
    cross_correlation,
    fingerprint,
    qmax,
    reciprocal_ranks,
    similarities,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

ROOTS, ROOTS_BY_CHANCE = "chord roots", "chord roots by chance"
CHROMA, CHROMA_OFF = "bar chroma", "bar chroma, a bar off"
BEATS, HALF_BEAT_OFF = "beat F", "half a beat off"
_BEATS_A_BAR = 4


@dataclass(frozen=True)
class Content:
    """What covers of a song are compared with: its fingerprint, bars ``[B, 2]`` (s) and roots."""

    song: Fingerprint
    spans: NDArray[np.float64]
    roots: NDArray[np.int64]


def content_of(audio: Tensor, sample_rate: int) -> Content:
    """The content of a song ``[C, T]``, at least a second long, by its sound."""
    song = fingerprint(audio, sample_rate)
    spans = likely_bars(song)
    return Content(song, spans, chord_roots(song.sound, spans))


def content_figures(output: Fingerprint, source: Content) -> dict[str, float]:
    """Agreement of a cover with its song; NaN where the song is shorter than two bars.

    ``chord roots`` is the share of bars whose detected root is the song's, and ``chord roots by
    chance`` what the same roots in random order would have. ``bar chroma`` correlates the bars'
    chroma, and ``a bar off`` with the next bar. ``beat F`` is that of the tracked beats in their
    best relation (as fast, twice, half), and ``half a beat off`` 1 where they lie between the
    song's.
    """
    figures = {}
    if len(source.spans) > 1:
        roots = chord_roots(output.sound, source.spans)
        figures = {
            ROOTS: float(np.mean(roots == source.roots)),
            ROOTS_BY_CHANCE: float(_shares(roots) @ _shares(source.roots)),
            CHROMA: bar_chroma_correlation(output.sound, source.song.sound, source.spans),
            CHROMA_OFF: bar_chroma_correlation(
                output.sound, source.song.sound, source.spans[:-1], source.spans[1:]
            ),
        }
    if len(source.song.beats) > 1:
        beats = beat_agreement(output.beats, source.song.beats)
        figures |= {BEATS: beats.best, HALF_BEAT_OFF: float(beats.relation == HALF_BEAT)}
    return figures


def retrieval_figures(
    outputs: Mapping[str, Sequence[Fingerprint]], songs: Sequence[Fingerprint]
) -> dict[str, dict[str, float]]:
    """Mean reciprocal rank of the source among the songs, of each system's outputs in their order.

    ``by Qmax`` has beats that were tracked in every sound alone, ``by cross-correlation`` those of
    the song that an output is compared with.
    """
    own = range(len(songs))
    return {
        system: {
            name: float(np.mean(reciprocal_ranks(similarities(each, songs, measure), own)))
            for name, measure in (
                ("retrieval (MRR) by Qmax", qmax),
                ("retrieval (MRR) by cross-correlation", cross_correlation),
            )
        }
        for system, each in outputs.items()
    }


def likely_bars(song: Fingerprint) -> NDArray[np.float64]:
    """Spans of four beats ``[B, 2]`` (s); of the four phases the one within which chroma changes
    least.
    """
    beats = song.beats
    chroma = bar_chroma(song.sound, np.column_stack([beats[:-1], beats[1:]]))
    chroma = chroma / np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    changes = np.concatenate([[0.0], np.linalg.norm(np.diff(chroma, axis=0), axis=1)])
    phases = [changes[phase::_BEATS_A_BAR].mean() for phase in range(_BEATS_A_BAR)]
    lines = beats[int(np.argmax(phases)) :: _BEATS_A_BAR]
    return np.column_stack([lines[:-1], lines[1:]])


def _shares(roots: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shares of the twelve roots."""
    counts = np.bincount(roots, minlength=12)
    return counts / max(counts.sum(), 1)
