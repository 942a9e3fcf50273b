"""Style transfer of songs (separation, transfer of each stem, mixing) and of MIDI files."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiotransfer.pipeline.audio_transfer import separate_file, transfer_file, transfer_song
    from audiotransfer.pipeline.batch import Outcome, transfer_many
    from audiotransfer.pipeline.blocks import BLOCK
    from audiotransfer.pipeline.cover_options import CoverOptions
    from audiotransfer.pipeline.cut import Cut
    from audiotransfer.pipeline.midi_options import MidiExtras, MidiOptions
    from audiotransfer.pipeline.midi_transfer import (
        MidiReport,
        transfer_midi,
        transfer_midi_files,
    )
    from audiotransfer.pipeline.options import StemChoice, StemFormat, TransferOptions
    from audiotransfer.pipeline.output import Output
    from audiotransfer.pipeline.plan import Plan, prepare, resolve_device, resolve_separator
    from audiotransfer.pipeline.remixing import remix, stem_versions
    from audiotransfer.pipeline.reporting import Progress, ProgressCallback, Report, StemReport
    from audiotransfer.pipeline.song import LoadedStyle, Song, TransferredSong, load_style, transfer
    from separation import GRID

__all__ = [
    "BLOCK",
    "GRID",
    "CoverOptions",
    "Cut",
    "LoadedStyle",
    "MidiExtras",
    "MidiOptions",
    "MidiReport",
    "Outcome",
    "Output",
    "Plan",
    "Progress",
    "ProgressCallback",
    "Report",
    "Song",
    "StemChoice",
    "StemFormat",
    "StemReport",
    "TransferOptions",
    "TransferredSong",
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
    "transfer_midi",
    "transfer_midi_files",
    "transfer_song",
]

#: Module -> the names that this package exports.
_MODULES = {
    "audio_transfer": ("separate_file", "transfer_file", "transfer_song"),
    "batch": ("Outcome", "transfer_many"),
    "blocks": ("BLOCK", "GRID"),
    "cover_options": ("CoverOptions",),
    "cut": ("Cut",),
    "midi_options": ("MidiExtras", "MidiOptions"),
    "midi_transfer": ("MidiReport", "transfer_midi", "transfer_midi_files"),
    "options": ("StemChoice", "StemFormat", "TransferOptions"),
    "output": ("Output",),
    "plan": ("Plan", "prepare", "resolve_device", "resolve_separator"),
    "remixing": ("remix", "stem_versions"),
    "reporting": ("Progress", "ProgressCallback", "Report", "StemReport"),
    "song": ("LoadedStyle", "Song", "TransferredSong", "load_style", "transfer"),
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
