"""Phase retrieval for streams: real-time iterative spectrogram inversion with look-ahead.

X. Zhu, G. T. Beauregard and L. L. Wyse, "Real-time signal estimation from modified short-time
Fourier transform magnitude spectra", IEEE Trans. Audio, Speech, and Language Processing 15(5),
2007. A frame's phase is improved together with those of a few later frames, against the sound of
the frames before, which do not change any more; then it is added to that sound.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vocoder import stft
from vocoder.base import VocoderError, require_frames, require_shape
from vocoder.griffinlim import impose, linear_magnitude, random_phases
from vocoder.spectrogram import SpectrogramSettings

_LEAST = 1e-3  # of the sum of squared windows, where nothing but the end of a window lies


class RtisiStream:
    """STFT magnitudes, pushed some frames at a time, to sound that is `look_ahead` frames late.

    How the frames are divided among pushes makes no difference. `generator` draws the phases of
    bins in which there was no sound before.
    """

    def __init__(
        self,
        expects: SpectrogramSettings,
        iterations: int = 8,
        look_ahead: int = 3,
        generator: Generator | None = None,
    ) -> None:
        self.expects, self.iterations, self.look_ahead = expects, iterations, look_ahead
        self._generator = generator or torch.Generator().manual_seed(0)
        self._magnitudes: list[Tensor] = []  # of the frames that still change, [N, F] each
        self._frames = torch.empty(0)  # their windowed sounds, [N, K, n_fft]
        self._done = torch.empty(0)  # sum of the frames before, from the first changing one on
        self._weights = torch.empty(0)  # the same of the squared window, [span]
        self._skip = expects.n_fft // 2  # samples before the sound's beginning

    def push(self, magnitude: Tensor) -> Tensor:
        """The next frames [N, F, l] of the magnitude to the next sound [N, t]."""
        sounds = [self._advance(frame) for frame in magnitude.detach().unbind(-1)]
        return torch.cat(sounds, dim=-1) if sounds else magnitude.new_zeros(len(magnitude), 0)

    def finish(self) -> Tensor:
        """The rest of the sound [N, t]: that of all frames pushed, to half a window after."""
        sounds = [self._settle() for _ in range(len(self._magnitudes))]
        if len(self._done):
            rest = self.expects.n_fft - self.expects.hop_length
            sounds.append(self._clip(self._sound()[:, :rest]))
        return torch.cat(sounds, dim=-1) if sounds else torch.zeros(1, 0)

    def _advance(self, magnitude: Tensor) -> Tensor:
        """Takes one frame [N, F]; returns the sound of the frame that is settled by it, if any."""
        n_fft, hop = self.expects.n_fft, self.expects.hop_length
        if not len(self._done):
            span = n_fft + self.look_ahead * hop
            self._window = stft.hann(n_fft, magnitude.device)
            self._done = magnitude.new_zeros(len(magnitude), span)
            self._weights = magnitude.new_zeros(span)
            self._frames = magnitude.new_zeros(len(magnitude), 0, n_fft)
        place = len(self._magnitudes)
        before = self._sound()[:, place * hop : place * hop + n_fft]
        self._magnitudes.append(magnitude)
        spectrum = torch.fft.rfft(before * self._window)
        units = random_phases(spectrum.shape[-1:], self._generator, magnitude.device)
        spectrum = torch.where(spectrum.abs() == 0, units, impose(spectrum)) * magnitude
        first = torch.fft.irfft(spectrum, n=n_fft) * self._window
        self._frames = torch.cat([self._frames, first[:, None]], dim=1)
        if len(self._magnitudes) <= self.look_ahead:
            return magnitude.new_zeros(len(magnitude), 0)
        return self._settle()

    def _settle(self) -> Tensor:
        """Improves the frames that change, and adds the first of them to those that are done."""
        hop, n_fft = self.expects.hop_length, self.expects.n_fft
        target = torch.stack(self._magnitudes, dim=1)
        for _ in range(self.iterations):
            parts = self._sound().unfold(-1, n_fft, hop)[:, : target.shape[1]]
            spectrum = torch.fft.rfft(parts * self._window)
            imposed = impose(spectrum, target)
            self._frames = torch.fft.irfft(imposed, n=n_fft).mul_(self._window)
        self._done[:, :n_fft] += self._frames[:, 0]
        self._weights[:n_fft] += self._window.square()
        sound = self._done[:, :hop] / self._weights[:hop].clamp_min(_LEAST)
        self._done = torch.nn.functional.pad(self._done[:, hop:], (0, hop))
        self._weights = torch.nn.functional.pad(self._weights[hop:], (0, hop))
        self._frames, self._magnitudes = self._frames[:, 1:], self._magnitudes[1:]
        return self._clip(sound)

    def _sound(self) -> Tensor:
        """The sound of all frames so far, from the first one that changes on."""
        hop, n_fft = self.expects.hop_length, self.expects.n_fft
        total, weights = self._done.clone(), self._weights.clone()
        for place in range(self._frames.shape[1]):
            total[:, place * hop : place * hop + n_fft] += self._frames[:, place]
            weights[place * hop : place * hop + n_fft] += self._window.square()
        return total / weights.clamp_min(_LEAST)

    def _clip(self, sound: Tensor) -> Tensor:
        """The part of the next samples that lies after the sound's beginning."""
        skipped = min(self._skip, sound.shape[-1])
        self._skip -= skipped
        return sound[:, skipped:]


class RtisiInverter:
    """A whole "mel" or "stft" spectrogram [.., F, L] through `RtisiStream`, to [.., length].

    `source` is ignored. Raises VocoderError for a "cqt" spectrogram.
    """

    def __init__(
        self, expects: SpectrogramSettings, iterations: int = 8, look_ahead: int = 3
    ) -> None:
        if iterations < 0 or look_ahead < 0:
            raise VocoderError("iterations and look-ahead of rtisi: use 0 or more")
        require_frames(expects, "rtisi")
        self.expects, self.iterations, self.look_ahead = expects, iterations, look_ahead
        self.reach = (2 + look_ahead) * expects.n_fft

    @torch.no_grad()
    def __call__(
        self,
        spectrogram: Tensor,
        length: int,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        require_shape(self.expects, spectrogram, length)
        values = linear_magnitude(self.expects, spectrogram)
        batch = values.shape[:-2]
        if not values.numel() or not length:
            return torch.zeros(*batch, length, device=values.device)
        stream = RtisiStream(self.expects, self.iterations, self.look_ahead, generator)
        flat = values.reshape(-1, *values.shape[-2:])
        sound = torch.cat([stream.push(flat), stream.finish()], dim=-1)
        return sound[:, :length].reshape(*batch, length)
