"""Mixes the stems of a folder to a song, with gains, mutes, and each stem dry or in a style.

In a stems' folder ``drums.wav`` is the stem as it was separated and ``drums.jazz.wav`` the same in
the style jazz; files of other names are identified by their tag. By default a stem is taken in its
style where it has one. As in a transfer, one gain brings the stems in their styles to the loudness
of the dry song; it is measured without gains and mutes, which therefore keep their full effect.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.reading import find_audio, open_audio, probe_audio
from audiotransfer.audio.tags.tags import Tags
from audiotransfer.audio.true_peak import TruePeakMeter
from audiotransfer.audio.writing import AudioWriter, check_output
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.blocks import MixBlock, StemBlock, TimeQueue
from audiotransfer.pipeline.finishing import (
    LoudnessMeterSink,
    MixFile,
    finish,
    level_for,
    matching_gain,
    write,
)
from audiotransfer.pipeline.naming import is_same_file
from audiotransfer.pipeline.options import check_gain
from audiotransfer.pipeline.output import REST
from audiotransfer.pipeline.own_outputs import DRY_STYLE, mark_tags, read_stem_comment
from audiotransfer.pipeline.reporting import (
    ProgressCallback,
    Report,
    StemReport,
    Tracker,
    decibels,
    finite,
)
from audiotransfer.pipeline.sources import PIECE
from audiotransfer.suggest import suggest

#: The label in a mix's tags, where songs in a style have the style's name.
_LABEL = "mix"


@dataclass(frozen=True)
class _Chosen:
    version: str
    path: Path
    dry: Path | None
    gain_db: float
    muted: bool

    @property
    def gain(self) -> float:
        return 0.0 if self.muted else 10.0 ** (self.gain_db / 20.0)


def stem_versions(folder: str | Path) -> dict[str, dict[str, Path]]:
    """Stem -> version (``dry`` or a style's name) -> file.

    Raises :class:`AudioTransferError` for a folder without stems.
    """
    path = Path(folder)
    if not path.is_dir():
        raise AudioTransferError(
            f"{path} is no folder: give the folder that --stems-out or `separate` wrote"
        )
    versions: dict[str, dict[str, Path]] = {}
    found = find_audio(path)
    for file in found:
        if file.parent != path:
            continue
        stem, version = _named(file)
        known = versions.setdefault(stem, {})
        if version in known:
            raise AudioTransferError(
                f"{file} and {known[version].name} are the same stem: take one of them away"
            )
        known[version] = file
    if not versions:
        hint = f"{found[0].parent}" if found else "the folder that --stems-out or `separate` wrote"
        raise AudioTransferError(f"{path} holds no stems: give {hint}")
    return versions


def remix(
    folder: str | Path,
    output: str | Path,
    *,
    gains_db: Mapping[str, float] | None = None,
    mutes: Collection[str] = (),
    versions: Mapping[str, str] | None = None,
    encoding: Literal["int16", "int24", "float32"] = "int16",
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
) -> Report:
    """Writes the sum of the stems in a folder, at their rate, of the longest one's length; mono
    where all of them are.

    Args:
        gains_db: stem -> dB.
        mutes: stems that are left out.
        versions: stem -> ``dry`` or the style to take it in.

    Raises :class:`AudioTransferError` in one line, with nothing written.
    """
    started = time.monotonic()
    path = Path(output)
    chosen = _choose(stem_versions(folder), gains_db or {}, mutes, versions or {})
    if any(is_same_file(path, stem) for stem in _paths(chosen)):
        raise AudioTransferError(f"{path} is one of the stems: give another output")
    rate, channels, frames = _common(chosen)
    check_output(path, overwrite, sample_rate=rate, channels=channels, encoding=encoding)
    tracker = Tracker(progress)
    tracker.begin("transfer", frames)
    plain = all(stem.version == DRY_STYLE for stem in chosen.values())
    untouched = plain and all(stem.gain == 1.0 for stem in chosen.values())
    before = LoudnessMeter(rate, channels)
    peak = TruePeakMeter(channels)
    after = LoudnessMeter(rate, channels)
    with ExitStack() as stack:
        sink = stack.enter_context(
            AudioWriter(
                path,
                rate,
                channels,
                encoding=encoding,
                tags=mark_tags(Tags(), _LABEL),
                overwrite=overwrite,
            )
        )
        mix = stack.enter_context(MixFile(path.parent, rate, channels))
        stems = _metered(_read(chosen, channels), before, peak, after, tracker)
        mix.fill(_mix(stems, [stem.gain for stem in chosen.values()], changed=not untouched))
        level = level_for(
            max(peak.samples()),
            peak.peak(),
            changed=mix.changed,
            encoding=encoding,
            suffix=path.suffix.lower(),
        )
        gain = level.gain
        if not plain:
            gain *= matching_gain(after.integrated(), before.integrated())
        meter = LoudnessMeterSink(sink, rate, channels)
        write(finish(mix, gain, None, level.ceiling, tracker), meter)
        length = mix.frames
    return Report(
        input=os.fspath(folder),
        output=os.fspath(path),
        seconds=length / rate,
        sample_rate=rate,
        channels=channels,
        frames=length,
        loudness_in=finite(before.integrated()),
        loudness_out=finite(meter.loudness),
        true_peak_in=decibels(peak.peak()),
        true_peak_out=decibels(meter.true_peak),
        separator="none",
        stems={name: _report(stem) for name, stem in chosen.items()},
        notices=[level.notice] if level.notice else [],
        wall_seconds=time.monotonic() - started,
    )


def _choose(
    there: Mapping[str, Mapping[str, Path]],
    gains_db: Mapping[str, float],
    mutes: Collection[str],
    versions: Mapping[str, str],
) -> dict[str, _Chosen]:
    for stem in (*gains_db, *mutes, *versions):
        if stem not in there:
            raise AudioTransferError(
                f"unknown stem {stem!r}: {suggest(stem, there, count=2, cutoff=0.5)}"
            )
    _check_sum(there, mutes)
    if all(stem in mutes for stem in there):
        raise AudioTransferError(f"every stem is muted ({', '.join(there)}): leave one of them in")
    chosen = {}
    for stem, known in there.items():
        styled = [version for version in known if version != DRY_STYLE]
        if stem in versions:
            version = versions[stem]
            if version not in known:
                hint = suggest(version, known, count=2, cutoff=0.5)
                raise AudioTransferError(f"stem {stem} has no version {version!r}: {hint}")
        elif len(styled) > 1:
            raise AudioTransferError(
                f"stem {stem} is there as {', '.join(styled)}: say which, as"
                f" {stem}={styled[0]} or {stem}={DRY_STYLE}"
            )
        else:
            version = styled[0] if styled else DRY_STYLE
        gain = check_gain(stem, gains_db.get(stem, 0.0))
        chosen[stem] = _Chosen(version, known[version], known.get(DRY_STYLE), gain, stem in mutes)
    return chosen


def _named(file: Path) -> tuple[str, str]:
    """Stem and version: by the file's name, or, where that begins with something else, by its tag,
    as long as the name still contains the stem's.
    """
    stem, _, style = file.stem.partition(".")
    tagged = read_stem_comment(file)
    if tagged is not None and tagged[0] != stem and tagged[0] in file.stem:
        return tagged
    return stem, style or DRY_STYLE


def _check_sum(there: Collection[str], mutes: Collection[str]) -> None:
    """Refuses stems that would be mixed twice: ``no_vocals`` is the sum of all but ``vocals``."""
    unmuted = [stem for stem in there if stem not in mutes]
    for stem in unmuted:
        one = stem.removeprefix(REST)
        twice = [other for other in unmuted if other not in (stem, one)]
        if one != stem and one in there and twice:
            raise AudioTransferError(
                f"{stem} holds {', '.join(twice)} already: leave it out (--mute {stem}), or them"
                f" (--mute {','.join(twice)})"
            )


def _common(chosen: Mapping[str, _Chosen]) -> tuple[int, int, int]:
    """Rate, greatest channel count (at most 2) and greatest length of all files."""
    infos = {path: probe_audio(path) for path in _paths(chosen)}
    first = next(iter(infos))
    for path, info in infos.items():
        if info.sample_rate != infos[first].sample_rate:
            raise AudioTransferError(
                f"{path} has {info.sample_rate} Hz and {first.name} {infos[first].sample_rate}:"
                " stems must share one rate"
            )
    return (
        infos[first].sample_rate,
        min(2, max(info.channels for info in infos.values())),
        max(info.frames for info in infos.values()),
    )


def _paths(chosen: Mapping[str, _Chosen]) -> list[Path]:
    return list(
        dict.fromkeys(path for stem in chosen.values() for path in (stem.path, stem.dry) if path)
    )


def _read(chosen: Mapping[str, _Chosen], channels: int) -> Iterator[StemBlock]:
    """Reads all files side by side: stems ``[S, C, t]`` dry and in the chosen version, and as the
    song the sum of the dry ones. Shorter files end in silence.
    """
    with ExitStack() as stack:
        readers = {
            path: stack.enter_context(open_audio(path)).blocks(PIECE) for path in _paths(chosen)
        }
        queues = {path: TimeQueue() for path in readers}
        while True:
            for path, queue in queues.items():
                while queue.length < PIECE and (piece := next(readers[path], None)) is not None:
                    queue.push(piece if piece.shape[0] == channels else to_stereo(piece))
            length = min(PIECE, max(queue.length for queue in queues.values()))
            if not length:
                return
            pieces = {path: _taken(queue, channels, length) for path, queue in queues.items()}
            dry = torch.stack([pieces[stem.dry or stem.path] for stem in chosen.values()])
            wet = torch.stack([pieces[stem.path] for stem in chosen.values()])
            yield StemBlock(dry.sum(0), dry, wet)


def _taken(queue: TimeQueue, channels: int, length: int) -> Tensor:
    if not queue.length:
        return torch.zeros(channels, length)
    piece = queue.take(min(length, queue.length))
    return functional.pad(piece, (0, length - piece.shape[-1]))


def _metered(
    blocks: Iterator[StemBlock],
    before: LoudnessMeter,
    peak: TruePeakMeter,
    after: LoudnessMeter,
    tracker: Tracker,
) -> Iterator[StemBlock]:
    """Measures the dry song, and the sum of the chosen versions without gains."""
    for block in blocks:
        before.push(block.native)
        peak.push(block.native)
        after.push(block.wet.sum(0))
        yield block
        tracker.advance(block.native.shape[-1])


def _mix(
    blocks: Iterator[StemBlock], gains: Sequence[float], *, changed: bool
) -> Iterator[MixBlock]:
    """Sums the chosen versions with their linear gains."""
    for block in blocks:
        gained = [stem * gain for stem, gain in zip(block.wet, gains, strict=True)]
        yield MixBlock(torch.stack(gained).sum(0), changed)


def _report(stem: _Chosen) -> StemReport:
    files_ = (os.fspath(stem.path),)
    if stem.muted:
        return StemReport("mute", files=files_)
    if stem.version == DRY_STYLE:
        return StemReport("keep", gain_db=stem.gain_db, files=files_)
    return StemReport("style", stem.version, gain_db=stem.gain_db, files=files_)
