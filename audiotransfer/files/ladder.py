"""Which decoder reads a file: libsndfile, else FFmpeg, else what is left of our own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from audiotransfer.errors import AudioTransferError
from audiotransfer.files import ffmpeg
from audiotransfer.files.joining import Joined
from audiotransfer.files.kinds import READS
from audiotransfer.files.sndfile import SndfileSource
from audiotransfer.files.source import Source, Undecodable
from audiotransfer.files.survey import Survey

EXTRA = "pip install 'audiotransfer[ffmpeg]'"


def decoder() -> str:
    """What reads the kinds of files that libsndfile does not, for people: "PyAV 18.1.0"."""
    return ffmpeg.available() or ""


def open_source(survey: Survey) -> Source:
    """The first decoder that can read the file.

    Raises AudioTransferError where none can, with the format's name and the way out.
    """
    reasons = []
    for rung in _rungs(survey):
        try:
            return rung(survey)
        except Undecodable as error:
            if str(error):
                reasons.append(str(error))
    raise AudioTransferError(refusal(survey, reasons[-1] if reasons else ""))


def after_damage(survey: Survey) -> Source | None:
    """What reads on where libsndfile gave up in the middle: FFmpeg skips what is damaged."""
    if survey.demuxer == "" or not ffmpeg.available():
        return None
    with contextlib.suppress(Undecodable):
        return ffmpeg.FfmpegSource(survey)
    return None


def _rungs(survey: Survey) -> Iterator[Callable[[Survey], Source]]:
    if survey.parts and survey.whole:
        yield _sndfile
    if survey.demuxer != "" and ffmpeg.available():
        yield ffmpeg.FfmpegSource
    if survey.parts and not survey.whole:
        yield _sndfile
    if survey.name.startswith(("MP4 with AAC", "AAC (ADTS)")):
        yield _sphn


def _sndfile(survey: Survey) -> Source:
    with contextlib.ExitStack() as opened:
        sources = []
        for part in survey.parts:
            sources.append(SndfileSource(survey.path, part))
            opened.callback(sources[-1].close)
        opened.pop_all()
    return sources[0] if len(sources) == 1 else Joined(sources)


def _sphn(survey: Survey) -> Source:
    from audiotransfer.files.fallback import AacSource

    return AacSource(survey.path, survey.name.startswith("AAC"))


def refusal(survey: Survey, reason: str) -> str:
    """One line: what the file is, why it cannot be read, and the way out."""
    path, name = survey.path, survey.name
    if not name:
        return (
            f"{path} holds no audio that can be read, whatever its name says; readable are {READS}"
        )
    if "without sound" in name:
        return f"{path} holds no audio: it is {name}; name a file with sound in it"
    if "DRM" in name or "encrypted" in name:
        return f"{path} is {name}: it cannot be decoded; use a copy without protection"
    said = f" ({reason})" if reason else ""
    if not ffmpeg.available():
        return (
            f"{path} is {name}, which cannot be decoded here{said}; install FFmpeg for it"
            f" ({EXTRA}), or convert it to wav or flac"
        )
    return (
        f"{path} is {name} and cannot be decoded{said}; copy or download it again, or convert it"
        " to wav or flac"
    )
