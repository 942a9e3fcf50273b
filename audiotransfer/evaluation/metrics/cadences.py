"""Cadences of four-part pieces: their kind at the ends of phrases, and the last chord."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from audiotransfer.symbolic.accompaniment.cadences import (
    AUTHENTIC,
    DECEPTIVE,
    HALF,
    PLAGAL,
    TRIADS,
    Phrasing,
)
from audiotransfer.symbolic.accompaniment.chorales import BEAT, Voices
from audiotransfer.symbolic.accompaniment.phrases import PhraseEnd

OTHER = "other"
CADENCES = (AUTHENTIC, HALF, PLAGAL, DECEPTIVE, OTHER)
_SPAN = 2  # steps of which a chord is read
# Of a chord's reading, per sounding step: foreign notes, the root in the bass, a missing third and
# a minor seventh.
_OUTSIDE_CHORD, _IN_BASS, _NO_THIRD, _SEVENTH = -0.6, 0.8, -0.3, 0.5


def chord_at(voices: Voices) -> tuple[int, str]:
    """Root and triad ("M", "m", "d") that fit the notes of a few steps [T, V] best."""
    classes = np.bincount(voices[voices >= 0] % 12, minlength=12).astype(float)
    bass = int(voices[0][voices[0] >= 0].min(initial=128)) % 12
    scores = {}
    for root in range(12):
        for kind, tones in TRIADS.items():
            inside = sum(classes[(root + tone) % 12] for tone in tones)
            missing = classes[(root + tones[1]) % 12] == 0
            scores[root, kind] = (
                inside
                + _OUTSIDE_CHORD * (classes.sum() - inside)
                + len(voices) * (_IN_BASS * (root == bass) + _NO_THIRD * missing)
                + _SEVENTH * classes[(root + 10) % 12]
            )
    return max(scores, key=lambda chord: scores[chord])


def cadence_at(voices: Voices, end: PhraseEnd, tonic: int, minor: bool) -> str:
    """The kind of cadence at the end of a phrase of four voices [T, 4], one of `CADENCES`.

    Authentic: a major triad a fifth above the last chord, or a diminished one a semitone below it;
    half: the last chord is the key's dominant; plagal: a triad a fourth above; deceptive: from the
    dominant to the sixth degree. The last chord is looked for at each beat of the last note, from
    its end, since chorales often move while the melody holds.
    """
    for step in reversed(range(end.start, end.end - 1, BEAT)):
        if step < _SPAN:
            continue
        kind = _kind(chord_at(voices[step - _SPAN : step]), chord_at(voices[step : step + _SPAN]),
                     tonic, minor)  # fmt: skip
        if kind != OTHER:
            return kind
    return OTHER


def _kind(before: tuple[int, str], last: tuple[int, str], tonic: int, minor: bool) -> str:
    above = (before[0] - last[0]) % 12
    if (above, before[1]) in ((7, "M"), (11, "d")):
        return AUTHENTIC
    if (last[0] - tonic) % 12 == 7 and last[1] == "M":
        return HALF
    if above == 5 and last[1] != "d":
        return PLAGAL
    sixth = (tonic + (8 if minor else 9)) % 12
    if before == ((tonic + 7) % 12, "M") and last[0] == sixth:
        return DECEPTIVE
    return OTHER


def ends_on_tonic(voices: Voices, tonic: int) -> bool:
    """Whether the last chord is a triad on the tonic in root position."""
    sounding = voices[(voices >= 0).all(1)]
    if not len(sounding):
        return False
    root, kind = chord_at(sounding[-_SPAN:])
    return root == tonic and kind != "d" and int(sounding[-1].min()) % 12 == tonic


def cadence_figures(
    pieces: Sequence[Voices], phrasings: Sequence[Phrasing]
) -> dict[str, float | int]:
    """Shares of kinds of cadence within pieces, of last chords on the tonic, and of major ones
    among these where the key is minor ("Picardy"); NaN without any.
    """
    counted: Counter[str] = Counter()
    tonics, major = [], []
    for voices, phrasing in zip(pieces, phrasings, strict=True):
        inner = [end for end in phrasing.ends if not end.last]
        counted.update(cadence_at(voices, e, phrasing.tonic, phrasing.minor) for e in inner)
        tonics.append(ends_on_tonic(voices, phrasing.tonic))
        if tonics[-1] and phrasing.minor:
            major.append(chord_at(voices[(voices >= 0).all(1)][-_SPAN:])[1] == "M")
    count = sum(counted.values())
    shares = {kind: counted[kind] / count if count else float("nan") for kind in CADENCES}
    return {
        "phrase ends": count,
        **shares,
        "last on tonic": float(np.mean(tonics)) if tonics else float("nan"),
        "Picardy": float(np.mean(major)) if major else float("nan"),
    }
