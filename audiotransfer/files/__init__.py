"""The only place that opens audio files: reading, writing, tags. torch is loaded with the first
sample, so that what can be refused by name or header is refused at once.
"""

from audiotransfer.files.ladder import find_ffmpeg
from audiotransfer.files.reading import (
    SUFFIXES,
    AudioInfo,
    Reader,
    find_audio,
    open_audio,
    probe,
    read,
)
from audiotransfer.files.tags import read_tags
from audiotransfer.files.writing import (
    FORMATS,
    Writer,
    check_output,
    check_place,
    default_output,
    write,
    write_bytes,
)

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "AudioInfo",
    "Reader",
    "Writer",
    "check_output",
    "check_place",
    "default_output",
    "find_audio",
    "find_ffmpeg",
    "open_audio",
    "probe",
    "read",
    "read_tags",
    "write",
    "write_bytes",
]
