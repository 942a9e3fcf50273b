"""Evaluation of styles: metrics, classifiers, baselines and tables."""

from audiotransfer.evaluation.baselines.audio import (
    MatchedEQ,
    do_nothing,
    inverter_round_trip,
    random_target_clip,
)
from audiotransfer.evaluation.classifiers.audio_classifier import (
    AudioClassifier,
    AudioClassifierSettings,
)
from audiotransfer.evaluation.classifiers.genre import (
    GenreClassifier,
    shipped_genre_classifier,
    style_score,
)
from audiotransfer.evaluation.classifiers.instruments import (
    InstrumentClassifier,
    shipped_instrument_classifier,
)
from audiotransfer.evaluation.metrics.artefacts import artefact_check, artefact_ratio, seam_energy
from audiotransfer.evaluation.metrics.content import (
    centred_chroma,
    content_score,
    onset_correlation,
    onset_f1,
    rescaled_content,
)
from audiotransfer.evaluation.metrics.copy_synthesis import copy_figures, copy_synthesis_figures
from audiotransfer.evaluation.metrics.mel_distance import (
    contrast,
    contrast_ratio,
    distance,
    song_figures,
)
from audiotransfer.evaluation.metrics.separation import global_sdr, museval_sdr, sdr_gain
from audiotransfer.evaluation.report.plots import save_comparison
from audiotransfer.evaluation.report.statistics import (
    Interval,
    bootstrap,
    harmonic,
    markdown_table,
    plain_table,
    rescaled,
    share,
    summary_row,
)

__all__ = [
    "AudioClassifier",
    "AudioClassifierSettings",
    "GenreClassifier",
    "InstrumentClassifier",
    "Interval",
    "MatchedEQ",
    "artefact_check",
    "artefact_ratio",
    "bootstrap",
    "centred_chroma",
    "content_score",
    "contrast",
    "contrast_ratio",
    "copy_figures",
    "copy_synthesis_figures",
    "distance",
    "do_nothing",
    "global_sdr",
    "harmonic",
    "inverter_round_trip",
    "markdown_table",
    "museval_sdr",
    "onset_correlation",
    "onset_f1",
    "plain_table",
    "random_target_clip",
    "rescaled",
    "rescaled_content",
    "save_comparison",
    "sdr_gain",
    "seam_energy",
    "share",
    "shipped_genre_classifier",
    "shipped_instrument_classifier",
    "song_figures",
    "style_score",
    "summary_row",
]
