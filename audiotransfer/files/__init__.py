"""The only place that opens audio files: reading, writing, tags. torch is loaded with the first
sample, so that what can be refused by name or header is refused at once.
"""

from audiotransfer.files.cut import Cut
from audiotransfer.files.id3 import Picture
from audiotransfer.files.ladder import find_ffmpeg
from audiotransfer.files.naming import (
    FoundSongs,
    SongFile,
    clashes,
    find_songs,
    is_dir,
    is_same,
    making,
    name_outputs,
    names_folder,
)
from audiotransfer.files.own import DRY, marked, read_stem_comment, stem_comment
from audiotransfer.files.patterns import check_pattern, fill_pattern, has_field
from audiotransfer.files.reading import (
    SUFFIXES,
    AudioInfo,
    Reader,
    find_audio,
    open_audio,
    probe,
    read,
)
from audiotransfer.files.tag_reading import read_tags
from audiotransfer.files.tags import Tags
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
    "DRY",
    "FORMATS",
    "SUFFIXES",
    "AudioInfo",
    "Cut",
    "FoundSongs",
    "Picture",
    "Reader",
    "SongFile",
    "Tags",
    "Writer",
    "check_output",
    "check_pattern",
    "check_place",
    "clashes",
    "clear_own",
    "clear_stale",
    "fill_pattern",
    "find_audio",
    "find_ffmpeg",
    "find_songs",
    "has_field",
    "is_dir",
    "is_same",
    "making",
    "marked",
    "name_outputs",
    "names_folder",
    "open_audio",
    "probe",
    "read",
    "read_stem_comment",
    "read_tags",
    "stem_comment",
    "temporary",
    "write",
    "write_bytes",
]
