"""What an audio file holds by its own bytes, and whether all that its header announces is there."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from audiotransfer.errors import AudioTransferError
from audiotransfer.files import mpeg

READS = "wav, flac, ogg, opus, mp3, aiff, m4a and aac"
_LIBSNDFILE = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"caff", b".snd")
_MP3_SLACK = 4096  # bytes: a last frame or two is often missing from sound files that play well


def identify(path: Path) -> str:
    """Name what reads the file, whatever its suffix says: "sndfile", "mp3", "adts" or "mp4".

    Raises AudioTransferError for what is missing, no file, empty or no audio.
    """
    if path.is_dir():
        raise AudioTransferError(f"{path} is a folder, not an audio file; name a file in it")
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise AudioTransferError(
                f"{path} is not a regular file; copy its audio to a file first"
            )
        if size == 0:
            raise AudioTransferError(
                f"{path} is empty (0 bytes); it has to be copied or saved again"
            )
        with path.open("rb") as file:
            head = file.read(12)
            start = mpeg.id3_length(head)
            file.seek(start)
            data = file.read(1 << 17)
    except FileNotFoundError:
        raise AudioTransferError(f"{path} does not exist; check the name") from None
    except OSError as error:
        raise AudioTransferError(f"{path} cannot be read: {error.strerror or error}") from None
    if data[:4] in _LIBSNDFILE:
        return "sndfile"
    if data[4:8] == b"ftyp":
        return "mp4"
    found = mpeg.find(data, whole=start + len(data) >= size)
    if found is None:
        raise AudioTransferError(
            f"{path} holds no audio that can be read, whatever its name says; readable are {READS}"
        )
    return found[1].kind


def check_complete(path: Path, kind: str) -> None:
    """Refuse a file that ends before what its header announces (a broken download or copy)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = mpeg.id3_length(file.read(10))
        file.seek(start)
        magic = file.read(4)
        if magic in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
            _check_chunks(path, file, start, magic, size)
        elif magic == b".snd":
            _check_au(path, file, size)
        elif magic == b"OggS":
            _check_ogg(path, file, size)
    if kind == "mp3":
        found = mpeg.layout(path, start)
        if found and found.announced_bytes:
            there = size - found.start
            if there < found.announced_bytes - max(_MP3_SLACK, found.announced_bytes // 100):
                raise _truncated(path, there, found.announced_bytes)


def _truncated(path: Path, there: int, announced: int) -> AudioTransferError:
    return AudioTransferError(
        f"{path} is truncated: {there} of the {announced} bytes of sound it announces are there; "
        "copy or download it again"
    )


def _check_chunks(path: Path, file: BinaryIO, start: int, magic: bytes, size: int) -> None:
    order = "big" if magic in (b"FORM", b"RIFX") else "little"
    at, long_size = start + 12, None
    while at + 8 <= size:
        file.seek(at)
        name, length = file.read(4), int.from_bytes(file.read(4), order)  # type: ignore[arg-type]
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        if name in (b"data", b"SSND"):
            if magic == b"RF64" and long_size is not None:
                length = long_size
            elif length >= 0xFFFFF000 or 0x7FFFF000 <= length <= 0x7FFFFFFF:
                return  # written to a pipe by a program that did not know the length
            if at + 8 + length > size:
                raise _truncated(path, size - at - 8, length)
            return
        at += 8 + length + (length & 1)
    raise AudioTransferError(f"{path} has a header but no sound in it; copy or download it again")


def _check_au(path: Path, file: BinaryIO, size: int) -> None:
    begin, length = (int.from_bytes(file.read(4), "big") for _ in range(2))
    if length != 0xFFFFFFFF and begin + length > size:  # all ones: the length was not known
        raise _truncated(path, max(0, size - begin), length)


def _check_ogg(path: Path, file: BinaryIO, size: int) -> None:
    start = max(0, size - (1 << 17))  # a page is at most 65307 bytes
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        raise _truncated(path, max(len(page), 0), 27)
    length = 27 + page[26] + sum(page[27 : 27 + page[26]])
    if len(page) < length:
        raise _truncated(path, size, start + at + length)
