"""Figures of spectrograms: source, output and truth, one above the other on one scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.metrics.signals import (
    HOP_LENGTH,
    SAMPLE_RATE,
    Signal,
    decibels,
    mono,
    stft_magnitude,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RANGE_DB = 70.0
WIDTH = 11.0
"""Inches of 110 pixels, of a plot where nothing else was asked for."""
# Twice the metrics' window: resolves single partials at the low end of the logarithmic axis.
_N_FFT = 4096
_ROWS = 320
_LOWEST_HZ, _HIGHEST_HZ = 40.0, 18_000.0
_MARKS_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_WIDEST = 1600
_FRAMES = 4096  # transformed at a time: the complex spectra of a whole song would take gigabytes


def save_comparison(
    path: str | Path,
    sounds: Mapping[str, Tensor],
    sample_rate: int,
    *,
    title: str = "",
    start: float = 0.0,
    seconds: float | None = None,
    below: Callable[[Axes], None] | None = None,
    width: float = WIDTH,
) -> None:
    """Writes a PNG with one spectrogram for each named sound [C, T], in the order given.

    All share the time axis (seconds), a logarithmic frequency axis (40 Hz to 18 kHz) and one colour
    scale over the 70 dB below the loudest point of any; each sound is scaled to RMS 0.1 first.
    ``start`` and ``seconds`` choose an excerpt; ``below`` draws what stands below it, on the same
    time axis; ``width`` is that of the plot in inches of 110 pixels.
    Raises AudioTransferError where there is no sound, or none in the excerpt.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure = comparison_figure(
        sounds, sample_rate, title=title, start=start, seconds=seconds, below=below, width=width
    )
    canvas = FigureCanvasAgg(figure)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.draw()
    # A palette of 256 colours suffices and takes a third of the bytes.
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(256).save(
        path, format="PNG", optimize=True
    )


def comparison_figure(
    sounds: Mapping[str, Tensor],
    sample_rate: int,
    *,
    title: str = "",
    start: float = 0.0,
    seconds: float | None = None,
    below: Callable[[Axes], None] | None = None,
    width: float = WIDTH,
) -> Figure:
    """The figure that `save_comparison` writes, with the same errors."""
    if not sounds:
        raise AudioTransferError("no spectrograms of zero sounds: give at least one")
    first = round(start * sample_rate)
    last = None if seconds is None else first + round(seconds * sample_rate)
    spectrograms = {}
    for name, audio in sounds.items():
        if audio[..., first:last].shape[-1] == 0:
            raise AudioTransferError(
                f"'{name}' lasts {audio.shape[-1] / sample_rate:.1f} s and has nothing from "
                f"{start:.1f} s on: choose an earlier start"
            )
        spectrograms[name] = _log_frequency(mono(audio[..., first:last], sample_rate))
    return _drawn(spectrograms, title, start, below, width)


def _drawn(
    spectrograms: Mapping[str, Signal],
    title: str,
    start: float,
    below: Callable[[Axes], None] | None,
    width: float,
) -> Figure:
    from matplotlib.figure import Figure

    top = max(float(spectrogram.max()) for spectrogram in spectrograms.values())
    count = len(spectrograms) + (below is not None)
    figure = Figure(figsize=(width, 0.9 + 2.5 * count), dpi=110, layout="constrained")
    rows: Any = figure.subplots(count, 1, sharex=True, squeeze=False)
    image: Any = None
    for axes, (name, spectrogram) in zip(rows[:, 0], spectrograms.items(), strict=below is None):
        end = start + spectrogram.shape[1] * HOP_LENGTH / SAMPLE_RATE
        image = axes.imshow(
            _narrowed(spectrogram) - top, origin="lower", aspect="auto", cmap="magma",
            extent=(start, end, -0.5, _ROWS - 0.5), vmin=-RANGE_DB, vmax=0.0,
            interpolation="nearest",
        )  # fmt: skip
        _label(axes, name)
    if below is not None:
        below(rows[-1, 0])
    rows[-1, 0].set_xlabel("time (s)")
    if title:
        figure.suptitle(title, fontsize=13)
    bar = figure.colorbar(image, ax=list(rows[: len(spectrograms), 0]), pad=0.01, fraction=0.03)
    bar.set_label("level below the loudest (dB)")
    return figure


def _label(axes: Axes, name: str) -> None:
    axes.set_title(name, loc="left", fontsize=11)
    axes.set_ylabel("frequency (Hz)")
    places = np.interp(np.log(_MARKS_HZ), np.log(_row_frequencies()), np.arange(_ROWS))
    texts = [f"{mark // 1000}k" if mark >= 1000 else str(mark) for mark in _MARKS_HZ]
    axes.set_yticks(places, texts, fontsize=9)


def _row_frequencies() -> Signal:
    return np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _ROWS, dtype=np.float32)


def _log_frequency(signal: Signal) -> Signal:
    """Levels in dB on a logarithmic frequency axis [rows, L].

    Interpolated where rows are denser than bins, else the loudest bin of each row.
    """
    around = _N_FFT // HOP_LENGTH  # frames that share samples with the next piece's first
    total = max(len(signal), _N_FFT) // HOP_LENGTH + 1
    pieces = []
    for first in range(0, total, _FRAMES):
        before = min(first, around)
        begin, end = first - before, first + _FRAMES + around
        rows = _rows(signal[begin * HOP_LENGTH : end * HOP_LENGTH])
        pieces.append(rows[:, before : before + min(_FRAMES, total - first)])
    return np.concatenate(pieces, axis=1)


def _rows(signal: Signal) -> Signal:
    spectrum = stft_magnitude(signal, _N_FFT, HOP_LENGTH)
    places = _row_frequencies() * (_N_FFT / SAMPLE_RATE)
    lower = places.astype(int)
    share = (places - lower)[:, None]
    rows = (1 - share) * spectrum[lower] + share * spectrum[lower + 1]
    for row in np.flatnonzero(np.diff(places, append=np.inf) > 1)[:-1]:
        rows[row] = spectrum[lower[row] : max(lower[row] + 1, lower[row + 1])].max(axis=0)
    return decibels(rows)


def _narrowed(spectrogram: Signal) -> Signal:
    """At most 1600 columns: the maximum of each group, so that attacks stay sharp."""
    step = -(-spectrogram.shape[1] // _WIDEST)
    if step == 1:
        return spectrogram
    padded = np.pad(spectrogram, ((0, 0), (0, -spectrogram.shape[1] % step)), mode="edge")
    narrowed: Signal = padded.reshape(len(spectrogram), -1, step).max(axis=-1)
    return narrowed
