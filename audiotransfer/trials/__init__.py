"""Styles on trial: the whole command on songs never trained on, beside the baselines."""

from audiotransfer.trials.field import Field, gather
from audiotransfer.trials.judging import judge_for, known_as
from audiotransfer.trials.measuring import (
    TARGETS,
    TRUTH,
    Heard,
    Jury,
    Show,
    Trial,
    measure,
    said,
)
from audiotransfer.trials.scores.pieces import Piece, Pieces, gather_pieces, genre_of, of_scores
from audiotransfer.trials.scores.trial import ScoreTrial, try_style
from audiotransfer.trials.songs import (
    TrialSong,
    is_prepared,
    is_rendered,
    prepared_songs,
    recorded_songs,
    rendered_songs,
)
from audiotransfer.trials.systems import (
    EQUALISER,
    EQUALISER_FILE,
    NOTHING,
    RANDOM,
    ROUND_TRIP,
    STYLE,
    WRONG,
    System,
    another_style,
    equaliser_for,
    fit_equaliser,
    systems,
)

__all__ = [
    "EQUALISER",
    "EQUALISER_FILE",
    "NOTHING",
    "RANDOM",
    "ROUND_TRIP",
    "STYLE",
    "TARGETS",
    "TRUTH",
    "WRONG",
    "Field",
    "Heard",
    "Jury",
    "Piece",
    "Pieces",
    "ScoreTrial",
    "Show",
    "System",
    "Trial",
    "TrialSong",
    "another_style",
    "equaliser_for",
    "fit_equaliser",
    "gather",
    "gather_pieces",
    "genre_of",
    "is_prepared",
    "is_rendered",
    "judge_for",
    "known_as",
    "measure",
    "of_scores",
    "prepared_songs",
    "recorded_songs",
    "rendered_songs",
    "said",
    "systems",
    "try_style",
]
