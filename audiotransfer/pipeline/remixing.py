"""Stems back to a song, with gains, mutes, and each stem dry or in a style.

In a stems' folder ``drums.wav`` is the stem as it was separated and ``drums.jazz.wav`` the same in
the style jazz; files of other names are known by the tag that they were written with. Left to
itself a stem is taken in its style where it has one. As in a transfer, one gain brings the stems in
their styles to the loudness of the dry song; it is found without gains and mutes, which are
therefore heard as asked for.
"""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Collection, Iterator, Mapping
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
from audiotransfer.pipeline.finishing import Listener, MixFile, finish, level_for, matching_gain
from audiotransfer.pipeline.naming import is_same_file
from audiotransfer.pipeline.options import Report, StemReport, check_gain, decibels, finite
from audiotransfer.pipeline.own_outputs import DRY_STYLE, mark_tags, read_stem_comment
from audiotransfer.pipeline.progress import ProgressCallback, Tracker
from audiotransfer.pipeline.sources import PIECE
from audiotransfer.pipeline.stem_files import REST
from audiotransfer.pipeline.streaming import TimeQueue

#: What a mix is marked with where songs in a style have its name.
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
        mutes: stems that fall silent.
        versions: stem -> ``dry`` or the style that it is wanted in.

    Raises :class:`AudioTransferError` in one line, with nothing written.
    """
    started = time.monotonic()
    path = Path(output)
    chosen = _choose(stem_versions(folder), gains_db or {}, mutes, versions or {})
    stems = (file for stem in chosen.values() for file in (stem.path, stem.dry) if file)
    if any(is_same_file(path, stem) for stem in stems):
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
        for pieces in _aligned(chosen, channels):
            dry = _sum(pieces[stem.dry or stem.path] for stem in chosen.values())
            before.push(dry)
            peak.push(dry)
            after.push(_sum(pieces[stem.path] for stem in chosen.values()))
            mix.write(_sum(pieces[stem.path] * stem.gain for stem in chosen.values()))
            tracker.advance(dry.shape[-1])
        level = level_for(
            max(peak.samples()),
            peak.peak(),
            changed=not untouched,
            encoding=encoding,
            suffix=path.suffix.lower(),
        )
        gain = level.gain
        if not plain:
            gain *= matching_gain(after.integrated(), before.integrated())
        listener = Listener(sink, rate, channels)
        finish(mix, gain, None, level.ceiling, listener, tracker)
        length = mix.frames
    return Report(
        input=os.fspath(folder),
        output=os.fspath(path),
        seconds=length / rate,
        sample_rate=rate,
        channels=channels,
        frames=length,
        loudness_in=finite(before.integrated()),
        loudness_out=finite(listener.loudness),
        true_peak_in=decibels(peak.peak()),
        true_peak_out=decibels(listener.true_peak),
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
            raise AudioTransferError(f"unknown stem {stem!r}: {_hint(stem, there)}")
    _check_sum(there, mutes)
    if all(stem in mutes for stem in there):
        raise AudioTransferError(f"every stem is muted ({', '.join(there)}): leave one of them in")
    chosen = {}
    for stem, known in there.items():
        styled = [version for version in known if version != DRY_STYLE]
        if stem in versions:
            version = versions[stem]
            if version not in known:
                raise AudioTransferError(
                    f"stem {stem} has no version {version!r}: {_hint(version, known)}"
                )
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
    """Stem and version: by the name, or, where it begins with something else, by the tag that the
    file was written with, as long as the name still holds the stem's.
    """
    stem, _, style = file.stem.partition(".")
    told = read_stem_comment(file)
    if told is not None and told[0] != stem and told[0] in file.stem:
        return told
    return stem, style or DRY_STYLE


def _check_sum(there: Collection[str], mutes: Collection[str]) -> None:
    """Refuses what would be heard twice: beside ``vocals``, ``no_vocals`` is all others' sum."""
    heard = [stem for stem in there if stem not in mutes]
    for stem in heard:
        one = stem.removeprefix(REST)
        twice = [other for other in heard if other not in (stem, one)]
        if one != stem and one in there and twice:
            raise AudioTransferError(
                f"{stem} holds {', '.join(twice)} already: leave it out (--mute {stem}), or them"
                f" (--mute {','.join(twice)})"
            )


def _hint(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=2, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"


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


def _aligned(chosen: Mapping[str, _Chosen], channels: int) -> Iterator[dict[Path, Tensor]]:
    """All files side by side, ``[C, t]`` each; the shorter ones end in silence."""
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
            yield {path: _taken(queue, channels, length) for path, queue in queues.items()}


def _taken(queue: TimeQueue, channels: int, length: int) -> Tensor:
    if not queue.length:
        return torch.zeros(channels, length)
    piece = queue.take(min(length, queue.length))
    return functional.pad(piece, (0, length - piece.shape[-1]))


def _sum(pieces: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(pieces)).sum(0)


def _report(stem: _Chosen) -> StemReport:
    files_ = (os.fspath(stem.path),)
    if stem.muted:
        return StemReport("mute", files=files_)
    if stem.version == DRY_STYLE:
        return StemReport("keep", gain_db=stem.gain_db, files=files_)
    return StemReport("style", stem.version, gain_db=stem.gain_db, files=files_)
