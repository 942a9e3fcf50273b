"""Random and mutated audio files through the reader and the job at strength 0, against FFmpeg.

    python tests/benchmarks/fuzz_audio.py --random 1000 --mutated 1000

Files of every kind are made, then cut, overwritten, spliced, joined, and given garbage in front,
within and behind. Each is decoded by FFmpeg (PyAV) and transferred with strength 0. Counted are:

- tracebacks and crashes of a decoder (files run in a process of their own): none are allowed;
- silent losses: played shorter than by FFmpeg without a notice: none are allowed;
- refusals of what FFmpeg plays: 2 % of the files at most.

`--keep FOLDER` keeps the files that fell through.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np
import soundfile

from audiotransfer.audio.reading import open_audio

RATE = 44100
SLACK = 0.06  # s: encoders' delay and padding, which FFmpeg leaves in the end of MP4 and Opus
SECONDS = 1.2

SNDFILE = [  # suffix, format, subtype, channels
    ("wav", "WAV", "PCM_16", 2),
    ("wav", "WAV", "PCM_24", 1),
    ("wav", "WAV", "FLOAT", 2),
    ("wav", "WAV", "IMA_ADPCM", 1),
    ("wav", "WAVEX", "PCM_16", 6),
    ("rf64", "RF64", "PCM_16", 2),
    ("w64", "W64", "PCM_16", 2),
    ("aiff", "AIFF", "PCM_16", 2),
    ("aif", "AIFF", "PCM_24", 6),
    ("au", "AU", "PCM_16", 2),
    ("caf", "CAF", "PCM_16", 2),
    ("caf", "CAF", "ALAC_16", 2),
    ("flac", "FLAC", "PCM_16", 2),
    ("flac", "FLAC", "PCM_24", 1),
    ("ogg", "OGG", "VORBIS", 2),
    ("ogg", "OGG", "VORBIS", 6),
    ("opus", "OGG", "OPUS", 2),
    ("mp3", "MP3", "MPEG_LAYER_III", 2),
    ("mp3", "MP3", "MPEG_LAYER_III", 1),
]
FFMPEG = [  # suffix, container, codec, sample format, channels
    ("m4a", "ipod", "aac", "fltp", 2),
    ("m4a", "ipod", "alac", "s16p", 2),
    ("aac", "adts", "aac", "fltp", 2),
    ("mka", "matroska", "aac", "fltp", 2),
    ("mka", "matroska", "flac", "s16", 2),
    ("webm", "webm", "libopus", "flt", 2),
    ("wma", "asf", "wmav2", "fltp", 2),
    ("ac3", "ac3", "ac3", "fltp", 2),
    ("mp2", "mp2", "mp2", "s16", 2),
    ("tta", "tta", "tta", "s16", 2),
    ("wv", "wv", "wavpack", "s16p", 2),
    ("oga", "ogg", "flac", "s16", 2),
    ("mp3", "mp3", "libmp3lame", "fltp", 2),
]


DAMAGE = (
    "cut",
    "bits",
    "header",
    "length",
    "garbage before",
    "garbage within",
    "garbage behind",
    "zeros",
    "hole",
    "joined",
    "spliced",
)
COLUMNS = (
    "files",
    "FFmpeg plays",
    "played",
    "refused, FFmpeg plays",
    "silent losses",
    "longer than FFmpeg's",
    "noise played",
    "refused otherwise",
    "tracebacks",
)


@dataclass
class Result:
    """What became of one file."""

    seconds: float | None  # None: refused
    line: str  # the refusal, or the notices
    by_ffmpeg: float  # s; 0: not played
    trouble: str = ""  # a traceback, or a death


def noise(channels: int, rng: np.random.Generator) -> np.ndarray:
    count = round(SECONDS * RATE)
    time_ = np.arange(count)[:, None] / RATE
    tones = np.sin(2 * np.pi * 220 * (1 + np.arange(channels)) * time_)
    return (0.2 * tones + 0.02 * rng.standard_normal((count, channels))).astype(np.float32)


def encode(path: Path, container: str, codec: str, kind: str, audio: np.ndarray) -> None:
    """Write audio [T, C] by FFmpeg."""
    layout = {1: "mono", 2: "stereo"}[audio.shape[1]]
    with av.open(str(path), "w", format=container) as out:
        rate = 48000 if codec == "libopus" else RATE
        stream = out.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 128_000
        stream.codec_context.open()
        size = stream.codec_context.frame_size or 1024
        for start in range(0, len(audio), size):
            block = audio[start : start + size]
            if kind.startswith("s16"):
                block = (block * 32767).astype(np.int16)
            block = block.T if kind.endswith("p") else block.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), kind, layout)
            frame.sample_rate, frame.pts = rate, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def seeds(folder: Path, rng: np.random.Generator) -> list[Path]:
    """A file of every kind."""
    made = []
    for number, (suffix, form, subtype, channels) in enumerate(SNDFILE):
        path = folder / f"s{number}.{suffix}"
        soundfile.write(path, noise(channels, rng), RATE if subtype != "OPUS" else 48000, subtype, format=form)  # fmt: skip  # noqa: E501
        made.append(path)
    for number, (suffix, container, codec, kind, channels) in enumerate(FFMPEG):
        path = folder / f"f{number}.{suffix}"
        try:
            encode(path, container, codec, kind, noise(channels, rng))
            made.append(path)
        except (av.error.FFmpegError, ValueError, KeyError) as error:
            print(f"not made: {suffix} {codec} ({error})", file=sys.stderr)
    bare = folder / "bare.mp3"
    data = made[17].read_bytes()
    bare.write_bytes(data[len(data) // 8 :])  # without its index
    return [*made, bare]


def mutate(data: bytes, others: list[bytes], rng: np.random.Generator) -> tuple[str, bytes]:
    """Damage of one of the kinds that files come to."""
    size = len(data)
    at, to = sorted(int(n) for n in rng.integers(0, size, 2))
    some = int(rng.integers(1, 5000))
    changed = bytearray(data)
    kind = str(rng.choice(DAMAGE))
    if kind == "cut":
        return kind, data[: max(1, at)]
    if kind in ("bits", "header"):
        span = size if kind == "bits" else min(size, 200)
        for place in rng.integers(0, span, int(rng.integers(1, 30 if kind == "bits" else 4))):
            changed[place] ^= 1 << int(rng.integers(8))
        return kind, bytes(changed)
    if kind == "garbage before":
        return kind, rng.bytes(some) + data
    if kind == "garbage within":
        return kind, data[:at] + rng.bytes(some) + data[at:]
    if kind == "garbage behind":
        return kind, data + rng.bytes(some)
    if kind == "zeros":
        changed[at : at + some] = bytes(len(changed[at : at + some]))
        return kind, bytes(changed)
    if kind == "hole":
        return kind, data[:at] + data[min(to, at + some) :]
    if kind == "joined":
        return kind, data + data
    if kind == "spliced":
        other = others[int(rng.integers(len(others)))]
        return kind, data[:at] + other[len(other) // 2 :]
    place = int(rng.integers(0, min(size, 200)))
    changed[place : place + 4] = bytes(4) if rng.random() < 0.5 else b"\xff" * 4
    return kind, bytes(changed)


def by_ffmpeg(path: Path) -> float:
    """Seconds that FFmpeg decodes; 0 where it plays nothing."""
    seconds = 0.0
    try:
        with av.open(f"file:{path}") as container:
            stream = container.streams.best("audio")
            for packet in container.demux(stream) if stream else ():
                try:
                    for frame in packet.decode():
                        seconds += frame.samples / frame.sample_rate
                except (av.error.FFmpegError, ValueError):
                    continue
    except (av.error.FFmpegError, ValueError, OSError):
        pass
    return seconds


def work(orders: Connection, folder: str, transfer: bool) -> None:
    """A process of its own: takes paths, gives results."""
    import torch

    from audiotransfer.errors import AudioTransferError
    from audiotransfer.pipeline import Output, TransferOptions, prepare, transfer_song
    from audiotransfer.pipeline.sources import FileSource

    torch.set_num_threads(1)
    av.logging.set_level(None)
    options = TransferOptions(style="jazz", separator="none", strength=0.0, overwrite=True)
    plan = prepare(options) if transfer else None
    while True:
        path = orders.recv()
        output = Path(folder) / "out.wav"
        try:
            if plan is not None:
                report = transfer_song(FileSource(path), plan, Output.file(output, options))
                with soundfile.SoundFile(output) as out:
                    assert out.frames == report.frames, "written and reported differ"
                ours, line = report.seconds, "; ".join(report.notices)
            else:
                with open_audio(path) as reader:
                    count = sum(block.shape[1] for block in reader.blocks(1 << 16))
                    ours, line = count / reader.sample_rate, "; ".join(reader.notices)
            result = Result(ours, line, 0.0)
        except AudioTransferError as error:
            result = Result(None, str(error), 0.0, "" if "\n" not in str(error) else str(error))
        except Exception:  # what this script looks for
            result = Result(None, "", 0.0, traceback.format_exc())
        orders.send(result)
        result.by_ffmpeg = by_ffmpeg(path)
        orders.send(result)


class Worker:
    """The process that is worked in, and the next one when it dies."""

    def __init__(self, folder: Path, transfer: bool) -> None:
        self._folder, self._transfer = folder, transfer
        self._begin()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        arguments = (there, str(self._folder), self._transfer)
        self._process = context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        there.close()

    def run(self, path: Path) -> Result:
        self._here.send(path)
        ours: Result | None = None
        try:
            ours = self._here.recv()
            return self._here.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            self._begin()
            if ours is not None:  # the reference died, not the program
                ours.by_ffmpeg = 0.0
                return ours
            return Result(None, "", 0.0, f"died with {code}")


def inputs(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path]]:
    rng = np.random.default_rng(args.seed)
    paths = seeds(folder, rng)
    made = [path.read_bytes() for path in paths]
    suffixes = [path.suffix for path in paths]
    for number in range(args.random):
        path = folder / f"random-{number}{suffixes[number % len(suffixes)]}"
        path.write_bytes(rng.bytes(int(rng.choice([200, 5000, 60_000, 200_000]))))
        yield "random", path
    for number in range(args.mutated):
        which = number % len(made)
        kind, data = mutate(made[which], made, rng)
        path = folder / f"mutated-{number}{suffixes[which]}"
        path.write_bytes(data)
        yield kind, path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--random", type=int, default=1000)
    parser.add_argument("--mutated", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader-only", action="store_true", help="leave the job out")
    parser.add_argument("--keep", type=Path, help="a folder for the files that fell through")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        worker = Worker(Path(place), not args.reader_only)
        for kind, path in inputs(args, Path(place)):
            result = worker.run(path)
            counts = table[kind]
            counts["files"] += 1
            counts["FFmpeg plays"] += result.by_ffmpeg > 0
            counts["played"] += result.seconds is not None
            fell = ""
            if result.trouble:
                fell = "tracebacks"
            elif result.seconds is None:
                fell = "refused, FFmpeg plays" if result.by_ffmpeg > 0 else ""
                if kind == "random" and "holds no audio" not in result.line:
                    fell = "refused otherwise"
            elif kind == "random":
                fell = "noise played"
            elif result.seconds < result.by_ffmpeg - SLACK and not result.line:
                fell = "silent losses"
            elif result.seconds > result.by_ffmpeg + SLACK and not result.line:
                fell = "longer than FFmpeg's"
            if fell:
                counts[fell] += 1
                about = result.trouble.strip().splitlines()[-1] if result.trouble else result.line
                ours = "-" if result.seconds is None else f"{result.seconds:.3f}"
                print(f"{fell}: {kind} {path.name} {ours} s, FFmpeg {result.by_ffmpeg:.3f} s: "
                      f"{about.replace(str(path), path.name)}")  # fmt: skip
                if args.keep:
                    shutil.copy(path, args.keep / f"{kind.replace(' ', '-')}-{path.name}")
            path.unlink()
    return report(table, time.monotonic() - begun)


def report(table: dict[str, collections.Counter[str]], seconds: float) -> int:
    print("\n" + "kind".ljust(16) + "".join(column.rjust(23) for column in COLUMNS))
    total: collections.Counter[str] = collections.Counter()
    for kind, counts in table.items():
        print(kind.ljust(16) + "".join(str(counts[column]).rjust(23) for column in COLUMNS))
        total += counts
    print("all".ljust(16) + "".join(str(total[column]).rjust(23) for column in COLUMNS))
    refused = total["refused, FFmpeg plays"] - max(0, total["played"] - total["FFmpeg plays"])
    share = max(0, refused) / max(1, total["FFmpeg plays"])
    print(f"\n{seconds:.0f} s; refused of what FFmpeg plays, less what it does not: {share:.1%}")
    bad = sum(total[name] for name in ("silent losses", *COLUMNS[6:]))
    return int(bool(bad) or share > 0.02)


if __name__ == "__main__":
    sys.exit(main())
