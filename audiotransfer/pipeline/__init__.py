"""The main job: a song to stems, stems to their styles, and back to a song; and MIDI files."""

from audiotransfer.pipeline.batch import Outcome, transfer_many
from audiotransfer.pipeline.cut import Cut
from audiotransfer.pipeline.job import separate_file, transfer_file
from audiotransfer.pipeline.options import (
    Report,
    StemChoice,
    StemFormat,
    StemReport,
    TransferOptions,
)
from audiotransfer.pipeline.planning import Plan, prepare, resolve_device, resolve_separator
from audiotransfer.pipeline.progress import Progress, ProgressCallback
from audiotransfer.pipeline.remix import remix, stem_versions
from audiotransfer.pipeline.scores import (
    ScoreOptions,
    ScoreReport,
    transfer_score,
    transfer_scores,
)
from audiotransfer.pipeline.song import LoadedStyle, Song, load_style, transfer
from audiotransfer.pipeline.streaming import BLOCK, GRID

__all__ = [
    "BLOCK",
    "GRID",
    "Cut",
    "LoadedStyle",
    "Outcome",
    "Plan",
    "Progress",
    "ProgressCallback",
    "Report",
    "ScoreOptions",
    "ScoreReport",
    "Song",
    "StemChoice",
    "StemFormat",
    "StemReport",
    "TransferOptions",
    "load_style",
    "prepare",
    "remix",
    "resolve_device",
    "resolve_separator",
    "separate_file",
    "stem_versions",
    "transfer",
    "transfer_file",
    "transfer_many",
    "transfer_score",
    "transfer_scores",
]
