"""The main job: a song to stems, each stem to its style, and back to a song; MIDI files too."""

from audiotransfer.files import Cut
from audiotransfer.pipeline.audio_transfer import separate_file, transfer_file, transfer_song
from audiotransfer.pipeline.batch import Outcome, transfer_many
from audiotransfer.pipeline.blocks import BLOCK, GRID
from audiotransfer.pipeline.midi_transfer import (
    MidiOptions,
    MidiReport,
    transfer_midi,
    transfer_midi_files,
)
from audiotransfer.pipeline.options import StemChoice, StemFormat, TransferOptions
from audiotransfer.pipeline.output import Output
from audiotransfer.pipeline.plan import Plan, prepare, resolve_device, resolve_separator
from audiotransfer.pipeline.remix import remix, stem_versions
from audiotransfer.pipeline.reporting import Progress, ProgressCallback, Report, StemReport
from audiotransfer.pipeline.song import LoadedStyle, Song, load_style, transfer

__all__ = [
    "BLOCK",
    "GRID",
    "Cut",
    "LoadedStyle",
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
