"""The main job: a song to stems, stems to their styles, and back to a song; and MIDI files."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from audiotransfer.pipeline.remixing import remix, stem_versions
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

#: Module -> the names that this package hands on.
_MODULES = {
    "batch": ("Outcome", "transfer_many"),
    "cut": ("Cut",),
    "job": ("separate_file", "transfer_file"),
    "options": ("Report", "StemChoice", "StemFormat", "StemReport", "TransferOptions"),
    "planning": ("Plan", "prepare", "resolve_device", "resolve_separator"),
    "progress": ("Progress", "ProgressCallback"),
    "remixing": ("remix", "stem_versions"),
    "scores": ("ScoreOptions", "ScoreReport", "transfer_score", "transfer_scores"),
    "song": ("LoadedStyle", "Song", "load_style", "transfer"),
    "streaming": ("BLOCK", "GRID"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    # Lazy, because the command line imports naming and options before it needs torch.
    if name in _MODULE_OF:
        module = importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
        return globals().setdefault(name, getattr(module, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
