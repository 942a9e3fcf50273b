"""The figures of one transferred song, as every table and every bar names them."""

from __future__ import annotations

from torch import Tensor

from audiotransfer.evaluation.artefacts import artefact_ratio
from audiotransfer.evaluation.content import centred_chroma, onset_correlation, onset_f1
from audiotransfer.evaluation.mel_distance import contrast, contrast_ratio, distance


def song_figures(
    output: Tensor,
    source: Tensor,
    sample_rate: int,
    *,
    truth: Tensor | None = None,
    artefacts: bool = False,
) -> dict[str, float]:
    """All measures of one output [C, T] against its source [C, T] at one sample rate.

    With ``truth`` (the same score played by the target's instruments): ``distance`` in dB to it,
    ``distance ratio`` (1 is doing nothing) and ``contrast ratio``; without, the plain ``contrast``.
    Always ``centred chroma``, ``onset correlation`` and ``onset F1`` to the source; ``artefacts``
    relative to the source's where asked for, since that takes longest.
    """
    figures: dict[str, float] = {}
    if truth is None:
        figures["contrast"] = contrast(output, sample_rate)
    else:
        figures["distance"] = distance(output, truth, sample_rate)
        nothing = distance(source, truth, sample_rate)
        figures["distance ratio"] = figures["distance"] / nothing if nothing > 0 else float("nan")
        figures["contrast ratio"] = contrast_ratio(output, truth, sample_rate)
    figures["centred chroma"] = centred_chroma(output, source, sample_rate)
    figures["onset correlation"] = onset_correlation(output, source, sample_rate)
    figures["onset F1"] = onset_f1(output, source, sample_rate)
    if artefacts:
        figures["artefacts"] = artefact_ratio(output, source, sample_rate)
    return figures
