"""The only place that opens audio files: reading, writing, tags. torch is loaded with the first
sample, so that what can be refused by name or header is refused at once.
"""

from audiotransfer.files.naming import (
    FoundSongs,
    SongFile,
    clashes,
    find_songs,
    is_dir,
    making,
    name_outputs,
    names_folder,
)
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
from audiotransfer.files.temporaries import clear_own, clear_stale, temporary
from audiotransfer.files.writing import (
    FORMATS,
    Writer,
    check_output,
    check_place,
    write,
    write_bytes,
)

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "AudioInfo",
    "FoundSongs",
    "Reader",
    "SongFile",
    "Writer",
    "check_output",
    "check_place",
    "clashes",
    "clear_own",
    "clear_stale",
    "find_audio",
    "find_songs",
    "is_dir",
    "making",
    "name_outputs",
    "names_folder",
    "open_audio",
    "probe",
    "read",
    "read_tags",
    "temporary",
    "write",
    "write_bytes",
]
