"""Choice of a decoder for a file: libsndfile, else FFmpeg, else sphn for AAC."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from audiotransfer.audio.decoding import ffmpeg
from audiotransfer.audio.decoding.libsndfile import SndfileSource
from audiotransfer.audio.decoding.source import Joined, Source, Undecodable
from audiotransfer.audio.formats import flac
from audiotransfer.audio.formats.identify import readable
from audiotransfer.audio.formats.survey import Survey
from audiotransfer.errors import AudioTransferError

EXTRA = "pip install 'audiotransfer[ffmpeg]'"


def find_ffmpeg() -> str | None:
    """The decoder of formats beyond libsndfile's: "PyAV 18.1.0", or the path of the program."""
    return ffmpeg.available()


def open_source(survey: Survey) -> Source:
    """Open a file with the first decoder that can read it.

    Raises AudioTransferError where none can, with the format's name and a remedy.
    """
    reasons = []
    for decoder in _decoders(survey):
        try:
            return decoder(survey)
        except Undecodable as error:
            if str(error):
                reasons.append(str(error))
    raise AudioTransferError(refusal(survey, reasons[-1] if reasons else ""))


def after_damage(survey: Survey, repaired: bool) -> tuple[Source, str] | None:
    """Another decoder for a file in which libsndfile failed, and which part it replaces by silence.

    A flac is repaired, unless it was before; FFmpeg skips damaged parts. None where neither can.
    """
    if survey.locked or len(survey.parts) > 1:
        return None
    if survey.name == "flac" and survey.parts and not repaired:
        repaired_part = flac.repair(survey.path, survey.parts[0].layout)
        if repaired_part is not None and repaired_part[1]:
            part, gaps = repaired_part
            with contextlib.suppress(Undecodable):
                source = SndfileSource(survey.path, part)
                return source, _silent(gaps, source.sample_rate)
    if ffmpeg.available():
        with contextlib.suppress(Undecodable):
            return ffmpeg.FfmpegSource(survey), ""
    return None


def _silent(gaps: list[flac.Gap], rate: int) -> str:
    """Text for the silent gaps of a repaired flac."""
    seconds = sum(end - begin for begin, end in gaps) / rate
    several = f", in {len(gaps)} stretches," if len(gaps) > 1 else ""
    return f"{seconds:.2f} s of silence{several} from {gaps[0][0] / rate:.2f} s on"


def _decoders(survey: Survey) -> Iterator[Callable[[Survey], Source]]:
    """Decoders to try, in order."""
    libsndfile_first = survey.parts_first or (survey.whole and _undamaged(survey))
    if survey.parts and libsndfile_first:
        yield _sndfile
    if not survey.locked and ffmpeg.available():
        yield ffmpeg.FfmpegSource
    if survey.parts and not libsndfile_first:
        yield _sndfile
    if survey.name.startswith(("MP4 with AAC", "AAC (ADTS)")):
        yield _sphn


def _undamaged(survey: Survey) -> bool:
    """Whether FFmpeg finds no fault, for formats in which libsndfile reports none."""
    if not any(part.unchecked for part in survey.parts) or not ffmpeg.available():
        return True
    with contextlib.suppress(Undecodable):
        return not ffmpeg.counted(survey)[1]
    return True


def _sndfile(survey: Survey) -> Source:
    """All parts of the file by libsndfile."""
    sources, reason = [], ""
    for part in survey.parts:
        try:
            sources.append(SndfileSource(survey.path, part))
        except Undecodable as error:
            reason = str(error)
    if not sources:
        raise Undecodable(reason)
    lost = len(survey.parts) - len(sources)
    return sources[0] if len(survey.parts) == 1 else Joined(sources, lost)


def _sphn(survey: Survey) -> Source:
    """AAC frames by sphn."""
    from audiotransfer.audio.decoding.aac import AacSource

    return AacSource(survey.path, survey.name.startswith("AAC"))


def refusal(survey: Survey, reason: str) -> str:
    """One line: the file's format, why it cannot be read, and a remedy."""
    path, name = survey.path, survey.name
    if not name:
        return (
            f"{path} holds no audio that can be read, whatever its name says; readable are"
            f" {readable()}"
        )
    if "without sound" in name:
        return f"{path} holds no audio: it is {name}; name a file with sound in it"
    if survey.locked:
        return f"{path} is {name}: it cannot be decoded; use a copy without protection"
    if reason == "End of file":  # FFmpeg's
        reason = "it is cut off: the file ends too early"
    detail = f" ({reason})" if reason else ""
    if ffmpeg.available() and not ffmpeg.reads(survey):
        return (
            f"{path} is {name} with channels in an order of its own, which needs the program ffmpeg"
            " (https://ffmpeg.org); put it on the PATH, or convert the file to wav or flac"
        )
    if not ffmpeg.available():
        return (
            f"{path} is {name}, which cannot be decoded here{detail}; install FFmpeg for it"
            f" ({EXTRA}), or convert it to wav or flac"
        )
    return (
        f"{path} is {name} and cannot be decoded{detail}; copy or download it again, or convert it"
        " to wav or flac"
    )
