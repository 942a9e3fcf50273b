"""Matches the sound of a band to the song it replaces: level, tone, width, room, balance of parts.

All of a match but the room is linear and without memory beyond a filter, so that parts that are
matched one by one add up to the matched band.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from audiotransfer.audio.levels import active_power
from audiotransfer.audio.loudness import k_weighting
from audiotransfer.audio.sound_profile import BANDS, HOP_SECONDS, RATE, silences
from audiotransfer.effects.effects import TAPS, equalise
from audiotransfer.effects.gain_curve import SILENT_DB, GainCurve
from audiotransfer.pipeline.blocks import BLOCK, in_blocks, window_start

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.audio.reverberation import RoomEstimate
    from audiotransfer.audio.sound_profile import SoundProfile
    from audiotransfer.synthesis.room import Room

_WINDOW_SECONDS = 2.0  # of levels in songs without bars
_LOUDER_DB = 6.0  # a bar's gain above the song's mean one
_ROUNDS = 4
_TONE, _TONE_DB = 0.5, 4.0  # share and limit of the difference of spectra that is made up for
_TONE_OCTAVES = 0.5  # standard deviation of the smoothing
_TONE_POINTS = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 12500.0)  # Hz
_WIDTH, _WIDTH_DB = 0.5, (-9.0, 3.0)
_BALANCE, _BALANCE_DB = 0.5, 3.0
_ABSENT = 1e-3  # power of a stem relative to the song below which the song does not have it
_ROOM_SECONDS, _ROOM_DB = (0.3, 2.2), (-22.0, -7.0)
_SURE_DECAYS, _SURE_SPREAD = 12, 2.0


@dataclass(frozen=True)
class SoundMatch:
    """What brings a band to the sound of a song: equaliser points (Hz, dB), gain of the side
    signal, gain over time.
    """

    tone: tuple[tuple[float, float], ...]
    width: float
    level: GainCurve

    def __call__(self, sound: Tensor, start: int = 0) -> Tensor:
        """Sound ``[2, T]`` of the band, or of a part of it, from sample ``start`` of the song on.

        Right but for `CONTEXT` samples at both ends.
        """
        shaped = equalise(sound, self.tone) if self.tone else sound
        if self.width != 1.0:
            mid = shaped.mean(0, keepdim=True)
            shaped = mid + self.width * (shaped - mid)
        return self.level(shaped, start)

    def words(self) -> str:
        """Tone and width in words, such as ``tone -2.1 dB at 63 Hz, +1.0 dB at 4000 Hz``."""
        ends = sorted(self.tone, key=lambda point: point[1])
        found = [f"{db:+.1f} dB at {hertz:.0f} Hz" for hertz, db in {*ends[:1], *ends[-1:]}]
        tone = f"tone {', '.join(sorted(found))}" if found else ""
        width = f"width {20 * np.log10(self.width):+.1f} dB" if self.width != 1.0 else ""
        return ", ".join(part for part in (tone, width) if part)

    def blocks(self, pieces: Iterable[Tensor], total: int, block: int = BLOCK) -> Iterator[Tensor]:
        """The matched sound in blocks, of pieces ``[2, t]`` that are ``total`` samples in all."""

        def process(number: int, window: Tensor) -> Tensor:
            return self(window, window_start(number, block, CONTEXT, 1))

        return in_blocks(pieces, total, process, context=CONTEXT, block=block)


#: Samples of context that a match needs on each side.
CONTEXT = TAPS // 2 + 1
NO_MATCH = SoundMatch((), 1.0, GainCurve(np.zeros(0), np.zeros(0)))


def match_sound(
    source: SoundProfile, band: SoundProfile, bar_lines: NDArray[np.float64]
) -> SoundMatch:
    """The match of a band, as it is rendered, to what it replaces of a song.

    ``source`` are the song's replaced stems: without those that are kept, so that the band's level
    is right beside them. ``bar_lines`` are in seconds.
    """
    tone = matched_tone(source.spectrum, band.spectrum)
    width = matched_width(source, band)
    curve = matched_level(source.levels, band.levels, bar_lines)
    # The curve is for the band after its other changes.
    change = _level_change(band, tone, width)
    level = GainCurve(curve.seconds, np.where(curve.db <= SILENT_DB, curve.db, curve.db - change))
    return SoundMatch(tone, width, level)


def match_tone_and_width(reference: SoundProfile, stem: SoundProfile) -> SoundMatch:
    """The match of a stem's tone and width to those of a reference's, at the stem's own level."""
    tone = matched_tone(reference.spectrum, stem.spectrum)
    width = matched_width(reference, stem)
    level = GainCurve(np.zeros(1), np.array([-_level_change(stem, tone, width)]))
    return SoundMatch(tone, width, level)


def matched_level(
    source: NDArray[np.float64], band: NDArray[np.float64], bar_lines: NDArray[np.float64]
) -> GainCurve:
    """The gain over time with which a band has a song's level in each bar.

    ``source`` and ``band`` are powers ``[L]`` as in `SoundProfile`. Gains change slowly, from bar
    to bar, and are at most 6 dB above the song's mean gain, so that a band that plays little is not
    blown up; downwards they go as far as the song. Silences of the song are silent.
    """
    count = max(len(source), len(band))
    source = np.pad(source, (0, count - len(source)))
    band = np.pad(band, (0, count - len(band)))
    times = np.asarray((np.arange(count) + 0.5) * HOP_SECONDS, dtype=np.float64)
    mean = active_power(source)
    if not count or mean <= 0.0 or active_power(band) <= 0.0:
        return NO_MATCH.level
    edges = _windows(bar_lines, count * HOP_SECONDS)
    index = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)
    silent = _silent(source)
    size = np.maximum(np.bincount(index, ~silent, len(edges) - 1), 1)

    def by_window(power: NDArray[np.float64]) -> NDArray[np.float64]:
        sums: NDArray[np.float64] = np.bincount(index, power * ~silent, len(edges) - 1) / size
        return sums

    wanted, played = by_window(source), by_window(band)
    usual = 10.0 * np.log10(mean / active_power(band))
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = 10.0 * np.log10(wanted / played)
    sounding = (played > 1e-5 * active_power(band)) & (wanted > 1e-6 * mean)
    windows = np.arange(len(played))
    if not sounding.any():
        return NO_MATCH.level
    # Where the band rests its gain does not matter.
    gains = _smoothed(np.interp(windows, windows[sounding], gains[sounding]))
    gains = np.minimum(gains, usual + _LOUDER_DB)
    target = played * 10.0 ** (gains / 10.0)
    centres = (edges[:-1] + edges[1:]) / 2
    knots = gains.copy()
    for _ in range(_ROUNDS):  # a line in dB through a window has another mean than its middle
        now = by_window(band * 10.0 ** (_line(times, centres, knots, edges) / 10.0))
        error = 10.0 * np.log10((target + 1e-15) / (now + 1e-15))
        knots += np.where(sounding, np.clip(error, -3.0, 3.0), 0.0)
    db: NDArray[np.float64] = np.where(silent, SILENT_DB, _line(times, centres, knots, edges))
    return GainCurve(times, db)


def matched_tone(
    source: NDArray[np.float64], band: NDArray[np.float64]
) -> tuple[tuple[float, float], ...]:
    """Equaliser points (Hz, dB) that move a band's spectrum towards a song's.

    ``source`` and ``band`` are powers in `BANDS`. Half of the difference is made up for, smoothed
    over about an octave, and not more than 4 dB, so that instruments keep their character.
    """
    if not source.any() or not band.any():
        return ()
    floor = 1e-8
    difference = 10.0 * np.log10((source / source.sum() + floor) / (band / band.sum() + floor))
    octaves = np.log2(BANDS)
    places = np.log2(np.array(_TONE_POINTS))[:, None]
    weights = np.exp(-0.5 * ((octaves - places) / _TONE_OCTAVES) ** 2)
    smooth = weights @ difference / weights.sum(axis=1)
    middle = smooth[(np.array(_TONE_POINTS) >= 200) & (np.array(_TONE_POINTS) <= 5000)].mean()
    gains = np.clip(_TONE * (smooth - middle), -_TONE_DB, _TONE_DB)
    return tuple(zip(_TONE_POINTS, gains.round(2).tolist(), strict=True))


def matched_width(source: SoundProfile, band: SoundProfile) -> float:
    """Gain of the side signal that moves a band's width half of the way to a song's."""
    if min(source.mid, band.mid) <= 0.0 or band.side <= 1e-9 * band.mid:
        return 1.0
    ratio = (source.side / source.mid + 1e-6) / (band.side / band.mid)
    return float(10.0 ** (np.clip(_WIDTH * 10.0 * np.log10(ratio), *_WIDTH_DB) / 20.0))


def matched_room(room: Room, estimate: RoomEstimate | None) -> Room:
    """The room of a song's recording as estimated, within limits; else the band's own ``room``.

    Of an estimate from few or contradictory decays half is taken.
    """
    if estimate is None:
        return room
    sure = estimate.decays >= _SURE_DECAYS and estimate.spread <= _SURE_SPREAD
    share = 1.0 if sure else 0.5
    seconds = float(np.clip(estimate.decay_seconds, *_ROOM_SECONDS))
    level = float(np.clip(estimate.level_db, *_ROOM_DB))
    return replace(
        room,
        decay_seconds=room.decay_seconds * (seconds / room.decay_seconds) ** share,
        level_db=room.level_db + share * (level - room.level_db),
        brightness=room.brightness + share * (estimate.brightness - room.brightness),
    )


def part_gains(
    source: Mapping[str, SoundProfile], parts: Mapping[str, SoundProfile], stems: Mapping[str, str]
) -> dict[str, float]:
    """Gains in dB of a band's parts that move its balance half of the way to the song's.

    ``source`` are the song's stems, ``parts`` the band's, ``stems`` says which stem each part
    replaces. What the song or the band does not have changes nothing; 3 dB at most.
    """
    ours: dict[str, float] = {}
    for name, profile in parts.items():
        ours[stems[name]] = ours.get(stems[name], 0.0) + profile.active
    theirs = {name: source[name].active for name in ours if name in source}
    total = sum(theirs.values())
    shared = [name for name in theirs if theirs[name] > _ABSENT * total and ours[name] > 0.0]
    if len(shared) < 2:
        return dict.fromkeys(parts, 0.0)
    ratios = {name: 10.0 * np.log10(theirs[name] / ours[name]) for name in shared}
    middle = 10.0 * np.log10(total / sum(ours[name] for name in shared))
    gains = {
        name: float(np.clip(_BALANCE * (ratio - middle), -_BALANCE_DB, _BALANCE_DB))
        for name, ratio in ratios.items()
    }
    return {name: gains.get(stems[name], 0.0) for name in parts}


def _windows(bar_lines: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Edges in seconds of the windows that levels are matched in: bars, of a second or more."""
    lines = [0.0]
    usual = np.asarray(bar_lines, dtype=np.float64)
    if len(usual) < 2:
        usual = np.arange(0.0, seconds, _WINDOW_SECONDS)
    else:  # before the first bar and after the last the song may go on
        length = float(np.median(np.diff(usual)))
        before = np.arange(usual[0], 0.0, -length)[:0:-1]
        usual = np.concatenate([before, usual, np.arange(usual[-1] + length, seconds, length)])
    for line in usual:
        if line - lines[-1] >= _WINDOW_SECONDS / 2 and seconds - line >= _WINDOW_SECONDS / 2:
            lines.append(float(line))
    return np.array([*lines, max(seconds, HOP_SECONDS)])


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean of three neighbours; straight lines remain."""
    if len(values) < 3:
        return values
    padded = np.pad(values, 1, mode="reflect", reflect_type="odd")
    smooth: NDArray[np.float64] = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return smooth


def _line(
    times: NDArray[np.float64],
    centres: NDArray[np.float64],
    knots: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The line in dB through the middles of windows; a fade goes on to the ends of the song."""
    x, y = centres, knots
    if len(knots) > 1:
        first = knots[0] + min(0.0, (knots[0] - knots[1]) / 2)
        last = knots[-1] + min(0.0, (knots[-1] - knots[-2]) / 2)
        x, y = np.array([edges[0], *centres, edges[-1]]), np.array([first, *knots, last])
    values: NDArray[np.float64] = np.interp(times, x, y)
    return np.maximum(values, SILENT_DB + 1.0)


def _silent(levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Silences, less one hop at each end for the ramps."""
    from scipy.ndimage import binary_erosion

    inner: NDArray[np.bool_] = binary_erosion(silences(levels), np.ones(3), border_value=1)
    return inner


def _level_change(
    sound: SoundProfile, tone: tuple[tuple[float, float], ...], width: float
) -> float:
    """Change in dB of a sound's level by an equaliser and a gain of its side signal."""
    total = sound.mid + sound.side
    narrowed = (sound.mid + width**2 * sound.side) / total if total else 1.0
    return float(10.0 * np.log10(max(narrowed, 1e-9)) + _loudness_change(sound.spectrum, tone))


def _loudness_change(spectrum: NDArray[np.float64], tone: tuple[tuple[float, float], ...]) -> float:
    """Change in dB of the K-weighted level of a spectrum by an equaliser."""
    if not tone or not spectrum.any():
        return 0.0
    from scipy.signal import sosfreqz

    weights = np.abs(sosfreqz(k_weighting(RATE), BANDS, fs=RATE)[1]) ** 2
    hertz, db = np.array(tone).T
    power = weights * spectrum
    return float(
        10.0 * np.log10((power * 10.0 ** (np.interp(BANDS, hertz, db) / 10)).sum() / power.sum())
    )
