"""Measures, baselines, judges and tables: what tells a style from an equaliser."""

from audiotransfer.evaluation.artefacts import artefact_check, artefact_ratio, seam_energy
from audiotransfer.evaluation.baselines import (
    MatchedEQ,
    do_nothing,
    inverter_round_trip,
    random_target_clip,
)
from audiotransfer.evaluation.content import (
    centred_chroma,
    content_score,
    onset_correlation,
    onset_f1,
    rescaled_content,
)
from audiotransfer.evaluation.copy_synthesis import copy_figures, copy_synthesis_figures
from audiotransfer.evaluation.judge import Judge, shipped_judge, style_score
from audiotransfer.evaluation.listener import Listener, ListenerSettings
from audiotransfer.evaluation.measures import song_figures
from audiotransfer.evaluation.mel_distance import contrast, contrast_ratio, distance
from audiotransfer.evaluation.page import Pair, write_page
from audiotransfer.evaluation.pictures import save_comparison
from audiotransfer.evaluation.separation import global_sdr, museval_sdr, sdr_gain
from audiotransfer.evaluation.statistics import Interval, bootstrap, harmonic, rescaled, share
from audiotransfer.evaluation.table import markdown_table, plain_table, summary_row
from audiotransfer.evaluation.tagger import Tagger, shipped_tagger

__all__ = [
    "Interval",
    "Judge",
    "Listener",
    "ListenerSettings",
    "MatchedEQ",
    "Pair",
    "Tagger",
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
    "shipped_judge",
    "shipped_tagger",
    "song_figures",
    "style_score",
    "summary_row",
    "write_page",
]
