"""A synthetic singing voice: a glottal source through the formants of changing vowels.

Source-filter model: G. Fant, Acoustic Theory of Speech Production, 1960; vowels' formants after
G. Peterson and H. Barney, "Control methods used in a study of the vowels", JASA 24, 1952.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, signal

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Sound = NDArray[np.float32]

#: Values of pitch and loudness a second; samples between spectra at the base rate.
FRAMES, HOP = 200, 256
_BASE_RATE = 22050  # Hz, of which the voices' tilts are the poles
#: Formants (Hz) of the vowels a, e, i, o, u, schwa and ae of a man's voice.
_VOWELS = np.array([
    (730, 1090, 2440, 3400), (530, 1840, 2480, 3500), (270, 2290, 3010, 3600),
    (570, 840, 2410, 3300), (300, 870, 2240, 3200), (500, 1400, 2400, 3300),
    (660, 1720, 2410, 3400),
])  # fmt: skip
_BANDWIDTHS = np.array([80.0, 100.0, 140.0, 200.0])
_LEVELS = np.array([1.0, 0.6, 0.35, 0.25])


@dataclass(frozen=True)
class VoiceType:
    """A voice: length of its vocal tract and source, range (MIDI pitches) and habits.

    ``formants`` multiplies a man's. ``tilt`` is the coefficient of the one-pole low-pass of the
    source (0 bright, .95 soft), ``breath`` the level of its noise. ``vibrato`` is a half-width in
    semitones.
    """

    name: str
    low: int
    high: int
    formants: float
    tilt: float
    breath: float
    vibrato: float


VOICES = (
    VoiceType("bass", 40, 62, 0.92, 0.82, 0.03, 0.25),
    VoiceType("baritone", 43, 66, 1.0, 0.75, 0.05, 0.3),
    VoiceType("tenor", 48, 72, 1.04, 0.65, 0.05, 0.35),
    VoiceType("rock", 48, 74, 1.06, 0.3, 0.12, 0.15),
    VoiceType("alto", 53, 76, 1.14, 0.75, 0.06, 0.35),
    VoiceType("soprano", 58, 84, 1.2, 0.72, 0.05, 0.55),
    VoiceType("airy", 53, 80, 1.16, 0.9, 0.28, 0.12),
    VoiceType("child", 57, 81, 1.32, 0.7, 0.08, 0.08),
)
#: Voices that sing low, and two that are lower or harsher than singing usually is.
LOW_VOICES = (
    *VOICES[:2],
    VoiceType("deep", 36, 58, 0.88, 0.5, 0.06, 0.15),
    VoiceType("harsh", 42, 67, 0.96, 0.25, 0.15, 0.1),
)


def voice_for(notes: Rows, random: Generator, low: float = 0.0) -> tuple[VoiceType, int]:
    """A voice type and the octaves (semitones) that bring notes ``[N, 3]`` into its range.

    The share ``low`` are of the low types.
    """
    types = LOW_VOICES if low and random.random() < low else VOICES
    voice = types[int(random.integers(len(types)))]
    middle = float(np.median(notes[:, 2]))
    aim = (voice.low + voice.high) / 2 + random.normal(0, 2)
    return voice, 12 * round((aim - middle) / 12)


def sing(
    notes: Rows, seconds: float, sample_rate: int, voice: VoiceType, random: Generator
) -> Sound:
    """Sings notes ``[N, 3]`` (start s, end s, MIDI pitch), one after the other: ``[T]``.

    Pitches glide between notes that follow each other, are reached from below after rests, tremble
    and, when held, have vibrato. Consonants come just before onsets.
    """
    total = round(seconds * sample_rate)
    frames = int(seconds * FRAMES) + 2
    pitch, loudness = (
        pitch_curve(notes, frames, voice, random),
        loudness_curve(notes, frames, random),
    )
    time = np.arange(total) / sample_rate * FRAMES
    curve = np.interp(time, np.arange(frames), pitch)
    hertz = 440.0 * 2 ** ((curve - 69) / 12)
    source = _glottal(hertz / sample_rate, voice.tilt ** (_BASE_RATE / sample_rate))
    envelope = np.interp(time, np.arange(frames), loudness)
    breath = voice.breath * random.uniform(0.5, 1.5) * random.standard_normal(total)
    voiced = (source + breath * 0.3) * envelope
    vowels = _vowels(notes, total // _hop(sample_rate) + 2, sample_rate, voice, random)
    sound = filtered(voiced, _resonances(vowels, sample_rate), sample_rate)
    sound /= np.abs(sound).max() + 1e-9
    _add_consonants(sound, notes, sample_rate, random)
    result: Sound = sound.astype(np.float32)
    return result


def _hop(sample_rate: int) -> int:
    return round(HOP * sample_rate / _BASE_RATE)


def _smooth_noise(frames: int, hertz: float, random: Generator) -> Rows:
    """Noise of standard deviation 1 below a frequency."""
    noise = ndimage.gaussian_filter1d(random.standard_normal(frames), FRAMES / (2 * np.pi * hertz))
    scaled: Rows = noise / (noise.std() + 1e-9)
    return scaled


def pitch_curve(notes: Rows, frames: int, voice: VoiceType, random: Generator) -> Rows:
    """MIDI pitch ``[frames]``, 200 a second, of a voice that sings notes ``[N, 3]``."""
    pitch = np.full(frames, notes[0, 2])
    edges = np.round(notes[:, :2] * FRAMES).astype(int)
    for number, (start, _) in enumerate(edges):
        pitch[max(0, start) :] = notes[number, 2]
    glide = random.uniform(0.03, 0.12)
    stretch = np.arange(frames) / FRAMES
    scoops = random.uniform(0, 0.7)
    rate, width = random.uniform(4.6, 6.6), voice.vibrato * random.uniform(0.3, 1.5)
    for number, (start, end, target) in enumerate(notes):
        rested = number == 0 or start - notes[number - 1, 1] > 0.25
        if rested:
            step = -random.uniform(0.5, 3.0) if random.random() < scoops else 0.0
        else:
            step = notes[number - 1, 2] - target
        held = end - start
        length = min(glide * random.uniform(0.6, 1.6), 0.4 * held)
        inside = (stretch >= start - length * 0.4) & (stretch < end)
        local = stretch[inside] - start
        # Half of the way is done a little after the onset.
        way = 1 / (1 + np.exp(-(local - 0.15 * length) / (0.16 * length + 1e-3)))
        begins = local < 0
        pitch[inside] = np.where(begins, target, pitch[inside])
        pitch[inside] += step * (1 - way)
        if held > 0.35:
            grown = np.clip((local - 0.18) / 0.35, 0, 1) * width
            phase = 2 * np.pi * rate * local + random.uniform(0, 2 * np.pi)
            pitch[inside] += grown * np.sin(phase)
        if random.random() < 0.3:  # falls off at the end
            pitch[inside] -= random.uniform(0.2, 1.5) * np.clip((local - held + 0.08) / 0.08, 0, 1)
    pitch += 0.07 * random.uniform(0.5, 2.0) * _smooth_noise(frames, 3.0, random)
    pitch += 0.03 * _smooth_noise(frames, 25.0, random)
    return pitch


def loudness_curve(notes: Rows, frames: int, random: Generator) -> Rows:
    """Amplitude ``[frames]``, 200 a second, of a voice that sings notes ``[N, 3]``."""
    loudness = np.zeros(frames)
    for start, end, _ in notes:
        first, last = max(0, round(start * FRAMES)), min(frames, round(end * FRAMES))
        if last <= first:
            continue
        count = last - first
        here = np.full(count, random.uniform(0.65, 1.0))
        here *= 1 - random.uniform(0, 0.35) * np.linspace(0, 1, count)
        rise = min(count, max(1, round(random.uniform(0.015, 0.06) * FRAMES)))
        fall = min(count, max(1, round(random.uniform(0.03, 0.12) * FRAMES)))
        here[:rise] *= np.linspace(0.15, 1, rise)
        here[-fall:] *= np.linspace(1, 0.1, fall)
        loudness[first:last] = here
    shimmer = 1 + 0.06 * _smooth_noise(frames, 8.0, random)
    smoothed: Rows = np.clip(ndimage.uniform_filter1d(loudness, 3) * shimmer, 0, None)
    return smoothed


def _glottal(step: Rows, tilt: float) -> Rows:
    """A band-limited sawtooth of so many cycles a sample, low-passed."""
    source: Rows = signal.lfilter([1 - tilt], [1, -tilt], _sawtooth(step))
    source /= source.std() + 1e-9
    return source


def pulses(step: Rows) -> Rows:
    """Band-limited pulses of so many cycles a sample, whose harmonics are equally strong."""
    source: Rows = np.diff(_sawtooth(step), prepend=0.0)
    source /= source.std() + 1e-9
    return source


def _sawtooth(step: Rows) -> Rows:
    """A sawtooth of so many cycles a sample, band-limited by polyBLEP."""
    phase = np.cumsum(step) % 1.0
    saw: Rows = 2 * phase - 1
    rise, fall = phase / step, (phase - 1) / step
    saw -= np.where(phase < step, 2 * rise - rise**2 - 1, 0)
    saw -= np.where(phase > 1 - step, fall**2 + 2 * fall + 1, 0)
    return saw


def _vowels(
    notes: Rows, frames: int, sample_rate: int, voice: VoiceType, random: Generator
) -> Rows:
    """Formants ``[frames, 4]`` in Hz: one vowel a note, changed within 60 ms, now and then two."""
    formants = np.tile(_VOWELS[0].astype(np.float64), (frames, 1))
    hop = _hop(sample_rate)
    place = np.arange(frames) * hop / sample_rate
    vowel = int(random.integers(len(_VOWELS)))
    for start, end, _ in notes:
        if random.random() < 0.75:
            vowel = int(random.integers(len(_VOWELS)))
        formants[place >= start - 0.03] = _VOWELS[vowel]
        if random.random() < 0.2:
            other = int(random.integers(len(_VOWELS)))
            formants[place >= start + 0.6 * (end - start)] = _VOWELS[other]
    width = 0.03 * sample_rate / hop
    moved: Rows = ndimage.gaussian_filter1d(formants, width, axis=0)
    return moved * voice.formants * (1 + 0.03 * random.standard_normal(4))


def _resonances(formants: Rows, sample_rate: int) -> Rows:
    """Amplitudes ``[bins, F]`` of resonances at formants ``[F, 4]`` in Hz: 513 at 22 050 Hz."""
    hertz = np.fft.rfftfreq(4 * _hop(sample_rate), 1 / sample_rate)[:, None]
    gain = np.full((len(hertz), len(formants)), 0.02)
    for number in range(4):
        centre = formants[:, number][None]
        gain += _LEVELS[number] / (1 + ((hertz - centre) / (_BANDWIDTHS[number] * 0.7)) ** 2)
    if sample_rate > _BASE_RATE:
        # The tract resonates about every 1000 Hz above the fourth formant, too.
        for number in range(1, 6):
            centre = formants[:, 3][None] + 1000.0 * number
            gain += 0.2 / number / (1 + ((hertz - centre) / 250.0) ** 2)
    return gain


def filtered(sound: Rows, gains: Rows, sample_rate: int) -> Rows:
    """Sound ``[T]`` times amplitudes ``[bins, F]`` of frames of 12 ms, by its spectrum."""
    hop = _hop(sample_rate)
    window = signal.windows.hann(4 * hop, sym=False)
    transform = signal.ShortTimeFFT(window, hop, sample_rate)
    spectrum = transform.stft(sound)
    place = np.clip(np.round(transform.t(len(sound)) * sample_rate / hop).astype(int), 0,
                    gains.shape[1] - 1)  # fmt: skip
    changed: Rows = transform.istft(spectrum * gains[:, place], k1=len(sound))
    return changed


def _add_consonants(sound: Rows, notes: Rows, sample_rate: int, random: Generator) -> None:
    share, level = random.uniform(0.4, 0.9), random.uniform(0.05, 0.3)
    for start, _, _ in notes:
        if random.random() > share:
            continue
        fricative = random.random() < 0.5
        length = random.uniform(0.05, 0.13) if fricative else random.uniform(0.008, 0.025)
        first = round((start - length * random.uniform(0.6, 1.0)) * sample_rate)
        count = round(length * sample_rate)
        if first < 0 or first + count > len(sound):
            continue
        low = random.uniform(1500, 5000 * sample_rate / _BASE_RATE)
        high = min(0.98 * sample_rate / 2, low * random.uniform(1.4, 3))
        band = signal.butter(2, (low, high), "band", fs=sample_rate, output="sos")
        noise = signal.sosfilt(band, random.standard_normal(count))
        noise *= signal.windows.hann(count) if fricative else np.exp(-np.linspace(0, 5, count))
        # The voice stops or grows weak while the mouth is closed.
        sound[first : first + count] *= random.uniform(0.05, 0.5)
        sound[first : first + count] += level * noise / (noise.std() + 1e-9) * 0.5
