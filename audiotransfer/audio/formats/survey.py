"""What looking through a file tells before anything of it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audiotransfer.audio.decoding.source import Piece


@dataclass(frozen=True)
class Part:
    """A recording within a file: all of it, a link of an Ogg chain, one of several joined mp3s."""

    pieces: tuple[Piece, ...] = ()
    """What of the file libsndfile is to see; nothing: the file itself."""
    held: int | None = None
    """Samples that are there, where counting them takes no decoding."""
    lossy: bool = False
    """A sample count may be a few codec frames off."""
    layout: tuple[str, ...] | None = None
    """The channels' loudspeakers, where the format says it and libsndfile does not."""
    unchecked: bool = False
    """libsndfile does not say where it is damaged, but may print on standard output."""


@dataclass(frozen=True)
class Survey:
    """What a file is, and in which parts libsndfile reads it."""

    path: Path
    name: str
    """Of the format, for messages: "mp3", "MP4 with ALAC"."""
    parts: tuple[Part, ...] = ()
    """None: libsndfile does not read the format."""
    whole: bool = True
    """libsndfile reads all of it as far as one sees; else FFmpeg is asked first."""
    announced: int | None = None
    """Samples that the header promises, where it does."""
    notices: tuple[str, ...] = ()
    """What a user should know of it: that it is unfinished, that it holds several recordings."""
    damage: str = ""
    """What is broken, where that is seen without decoding."""
    parts_first: bool = False
    """Several recordings, of which FFmpeg would not play all, or not as they are."""
    demuxer: str | None = None
    """FFmpeg's name of the format, where its own guess may fail."""
    locked: bool = False
    """Protected or encrypted: a decoder would make noise of it."""
    spare: int = 0
    """Faults that FFmpeg finds where nothing is wrong: tags, indices."""
    odd_order: bool = False
    """More than two channels in an order of their own: PyAV (18) frees memory twice over it."""
