"""Feed-forward decoders of universal translation: a code to the sound of one domain, by an iSTFT.

A code of 20 or 43 frames a second says what is played and not where each wave begins. Where a
decoder predicts no phase, its magnitudes get that of the sound that was encoded.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.errors import AudioTransferError
from audiotransfer.training.distances import INAUDIBLE, frame_distance
from audiotransfer.waveform.pair_distances import shorter_windows, window_difference
from vocoder import stft
from vocoder.mel import neighbours_mean, with_contrast
from vocoder.neural.network import ConvNeXtBlock
from vocoder.pitch_layers import KEYS, ChannelNorm, KeyBlock, harmonic_tones, interpolation
from vocoder.spectrogram import SpectrogramSettings

_QUIET = -7.0  # nats: first levels of templates' activations
_GATES = 4  # of each key, such as whether it sounds and whether it begins
_BANDS = 64  # of the envelope of a source's excitation
_ENVELOPE = -8.0  # nats: its first levels
_RESOLUTIONS = (1024,)  # samples of the windows in which sounds are compared too


class Decoder(nn.Module):
    """A code ``[B, size, L]`` to sound of one domain.

    ``reach``: samples on each side that a sample depends on, beyond the code's frames.
    """

    kind: ClassVar[str]
    reach: int
    feed_forward: ClassVar[bool] = True

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments and the ``kind``, as JSON takes them."""
        raise NotImplementedError

    @abstractmethod
    def losses(self, code: Tensor, truth: Tensor, source: Tensor) -> dict[str, Tensor]:
        """Named losses of what is decoded; ``truth`` and the encoded ``source`` are ``[B, T]``."""

    @abstractmethod
    def decode(self, code: Tensor, source: Tensor, strength: float = 1.0) -> Tensor:
        """Sound ``[B, T]`` of a code, as long as the ``source`` that it was encoded from."""


class SpectralDecoder(Decoder):
    """A decoder that predicts the log magnitudes of an STFT, and may predict its phases.

    Losses: ``frame``, the distance of log mel bands that figures report (nats); ``deep``, their
    difference down to the floor; ``wave``, the difference of the sound's own bands by a
    shorter window; ``contrast``, the difference of how far bands stand out of their neighbours
    (root mean square, nats).

    ``contrast`` is the factor by which decoded bands then stand out more (`with_contrast`).
    """

    def __init__(
        self, sample_rate: int, n_fft: int, hop_length: int, contrast: float = 1.0
    ) -> None:
        super().__init__()
        floor = {"sample_rate": sample_rate, "n_fft": n_fft, "hop_length": hop_length}
        self.spectrogram = SpectrogramSettings("stft", **floor)  # type: ignore[arg-type]
        top = min(20000.0, 0.48 * sample_rate)
        self.mel = SpectrogramSettings("mel", f_max=top, **floor)  # type: ignore[arg-type]
        self.compared = shorter_windows(sample_rate, _RESOLUTIONS)
        self.reach = n_fft + hop_length
        self.contrast = contrast
        self.mel_to_bins: Tensor
        between = interpolation(self.spectrogram.centres().double(), self.mel.centres().double())
        self.register_buffer("mel_to_bins", between, persistent=False)

    @abstractmethod
    def predict(self, code: Tensor, source: Tensor) -> tuple[Tensor, Tensor | None]:
        """Log magnitudes ``[B, F, L]``, and angles of the same shape or None for the source's.

        ``source`` ``[B, F, L]`` are the log magnitudes of what was encoded.
        """

    def losses(self, code: Tensor, truth: Tensor, source: Tensor) -> dict[str, Tensor]:
        """``frame``, ``deep`` and ``wave``."""
        with torch.autocast(truth.device.type, enabled=False):
            own = self.spectrogram(source.float())
        levels, angles = self.predict(code, own)
        with torch.autocast(truth.device.type, enabled=False):
            levels = levels.float()
            made = self.mel.logarithm(self.mel.bands(levels.exp()))
            true = self.mel(truth)
            sound = self._sound(levels, angles, source.float())
            terms = {
                "frame": frame_distance(made, true).mean(),
                "deep": (made - true).abs().mean(),
                "wave": window_difference(self.compared, sound, truth),
                "contrast": (_standing_out(made) - _standing_out(true)).abs().mean(),
            }
        return terms

    def decode(self, code: Tensor, source: Tensor, strength: float = 1.0) -> Tensor:
        """As of `Decoder`; in between, levels are between those of source and decoder (dB)."""
        own = self.spectrogram(source)
        levels, angles = self.predict(code, own)
        if self.contrast != 1.0:
            bands = self.mel.logarithm(self.mel.bands(levels.float().exp()))
            change = with_contrast(bands, self.contrast) - bands
            levels = levels.float() + self.mel_to_bins @ change
        if strength != 1.0:
            levels = torch.lerp(own, levels.float(), strength)
            angles = angles if strength > 0.5 else None
        return self._sound(levels.float(), angles, source)

    def _sound(self, levels: Tensor, angles: Tensor | None, source: Tensor) -> Tensor:
        """The sound of log magnitudes with the given angles, or with the source's."""
        length, settings = source.shape[-1], self.spectrogram
        magnitude = levels.clamp(max=9.0).exp()
        if angles is None:
            with torch.no_grad():
                spectrum = settings.spectrum(source)
                unit = spectrum / spectrum.abs().clamp_min(1e-8)
        else:
            unit = torch.polar(torch.ones_like(magnitude), angles.float())
        return stft.inverse(magnitude * unit, length, settings.n_fft, settings.hop_length)


class TemplateDecoder(SpectralDecoder):
    """Learned spectra of each key, and the source's excitation, by the code of a `PitchEncoder`.

    The network predicts how loud each template is; the templates are the domain's own, and begin
    as harmonic tones. Beside them sounds the excitation: the source's spectrum without its
    envelope of 64 bands, with an envelope that the network predicts. Levels, colour and decay are
    the decoder's; of the source there are the places of partials, and phases.

    Args:
        code: channels of the code, for each of 88 keys.
        channels: width.
        spectra: templates of each key.
        dilations: of the blocks, over time.
        contrast: as of `SpectralDecoder`.
    """

    kind = "templates"

    def __init__(
        self,
        code: int = 12,
        channels: int = 48,
        spectra: int = 6,
        dilations: Sequence[int] = (8, 1, 2),
        contrast: float = 1.0,
    ) -> None:
        super().__init__(44100, 2048, 512, contrast)
        self.code, self.channels, self.spectra = code, channels, spectra
        self.dilations = tuple(dilations)
        self.enter = nn.Conv2d(code, channels, 1)
        blocks = [KeyBlock(channels, d) for d in self.dilations]
        for block in blocks:  # those that a start lacks change nothing at first
            assert block.out.bias is not None
            nn.init.zeros_(block.out.bias)
        self.blocks = nn.ModuleList(blocks)
        self.norm = ChannelNorm(channels)
        self.gates = nn.Conv2d(channels, _GATES, 1)
        self.activations = nn.Conv2d(channels + _GATES, 2 * spectra, 1)
        self.to_envelope = nn.Conv2d(channels, 4, 1)
        self.envelope = nn.Conv1d(4 * KEYS, 2 * _BANDS, 1)
        self.templates = nn.Parameter(torch.zeros(spectra, KEYS, self.spectrogram.bins))
        broad = SpectrogramSettings("mel", bins=_BANDS)
        self.band_bins: Tensor
        between = interpolation(self.spectrogram.centres().double(), broad.centres().double())
        self.register_buffer("band_bins", between, persistent=False)
        self.bin_bands: Tensor
        weights = broad.filterbank(torch.device("cpu"))
        self.register_buffer("bin_bands", (weights / weights.sum(0)).T.clone(), persistent=False)
        hop = 2 * self.spectrogram.hop_length
        self.reach += hop * (2 + sum(self.dilations))

    def initialise(self) -> TemplateDecoder:
        """Harmonic templates, dull to bright, at a low level; a faint envelope."""
        assert self.activations.bias is not None and self.envelope.bias is not None
        with torch.no_grad():
            self.templates.copy_(harmonic_tones(self.spectrogram, self.spectra).transpose(0, 1))
        nn.init.normal_(self.activations.weight, std=0.01)
        nn.init.constant_(self.activations.bias, _QUIET)
        nn.init.normal_(self.envelope.weight, std=0.01)
        nn.init.constant_(self.envelope.bias, _ENVELOPE)
        return self

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments and the ``kind``, as JSON takes them."""
        return {
            "kind": self.kind, "code": self.code, "channels": self.channels,
            "spectra": self.spectra, "dilations": list(self.dilations), "contrast": self.contrast,
        }  # fmt: skip

    def predict(self, code: Tensor, source: Tensor) -> tuple[Tensor, None]:
        """Log magnitudes ``[B, 1025, L]``; two frames to one of the code. No angles."""
        x = self.enter(code.unflatten(1, (self.code, KEYS)))
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        gates = self.gates(x).clamp(-6.0, 6.0) / 3
        activations = self.activations(torch.cat([x, gates], 1)).float().unflatten(1, (-1, 2))
        envelope = self.envelope(self.to_envelope(x).flatten(1, 2)).float().unflatten(1, (-1, 2))
        frames = source.shape[-1]
        with torch.autocast(code.device.type, enabled=False):
            levels = _two_frames(activations).flatten(1, 2)[..., :frames]
            spectra = torch.exp(2 * self.templates.float()).flatten(0, 1).T
            power = spectra @ torch.exp(2 * levels.clamp(-14.0, 8.0))
            excited = self.excitation(source) + self.band_bins @ _two_frames(envelope)[..., :frames]
            power = power + torch.exp(2 * excited.clamp(-14.0, 8.0))
            return 0.5 * torch.log(power + 1e-10), None

    @torch.no_grad()
    def excitation(self, source: Tensor) -> Tensor:
        """Log magnitudes ``[B, F, L]`` without their envelope of 64 bands."""
        bands = 0.5 * torch.log(self.bin_bands @ torch.exp(2 * source.float()) + 1e-12)
        return source - self.band_bins @ bands


class ConvNeXtDecoder(SpectralDecoder):
    """ConvNeXt blocks over frames, from any code to magnitudes and phases of an STFT.

    The head is that of Vocos (H. Siuzdak 2024), see `vocoder.neural.network`.

    Args:
        size, hop: of the code; the hop is a multiple of ``hop_length``.
        sample_rate: in Hz.
        width, hidden, blocks: of the network.
        phase: "predicted", or "source" for that of the encoded sound.
    """

    kind = "convnext"

    def __init__(
        self,
        size: int = 64,
        hop: int = 800,
        sample_rate: int = 16000,
        n_fft: int = 800,
        hop_length: int = 200,
        width: int = 320,
        hidden: int = 640,
        blocks: int = 4,
        phase: str = "predicted",
    ) -> None:
        super().__init__(sample_rate, n_fft, hop_length)
        if hop % hop_length:
            raise AudioTransferError(
                f"decoder.hop_length {hop_length} does not divide the code's hop, {hop}"
            )
        if phase not in ("predicted", "source"):
            raise AudioTransferError(f"decoder.phase is {phase!r}; take predicted or source")
        self._shape = {
            "size": size, "hop": hop, "sample_rate": sample_rate, "n_fft": n_fft,
            "hop_length": hop_length, "width": width, "hidden": hidden, "blocks": blocks,
            "phase": phase,
        }  # fmt: skip
        self.repeats, self.phase = hop // hop_length, phase
        self.enter = nn.Conv1d(size, width, 3, padding=1)
        self.body = nn.Sequential(*(ConvNeXtBlock(width, hidden) for _ in range(blocks)))
        self.last = nn.LayerNorm(width)
        bins = self.spectrogram.bins
        self.leave = nn.Linear(width, bins if phase == "source" else 2 * bins)
        self.reach += hop + (3 * blocks + 1) * hop_length

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments and the ``kind``, as JSON takes them."""
        return {"kind": self.kind, **self._shape}

    def predict(self, code: Tensor, source: Tensor) -> tuple[Tensor, Tensor | None]:
        """Log magnitudes and, where they are predicted, angles ``[B, F, L]``."""
        frames = source.shape[-1]
        x = self.enter(code).repeat_interleave(self.repeats, -1)
        x = functional.pad(x, (0, max(0, frames - x.shape[-1])), mode="replicate")[..., :frames]
        x = self.body(x)
        values: Tensor = self.leave(self.last(x.transpose(1, 2))).transpose(1, 2)
        if self.phase == "source":
            return values - 3.0, None
        levels, angles = values.chunk(2, 1)
        return levels - 3.0, angles


def _standing_out(bands: Tensor) -> Tensor:
    """The root mean square difference from their neighbours of audible bands ``[B, F, L]``."""
    above = bands.clamp_min(INAUDIBLE)
    variance = neighbours_mean((above - neighbours_mean(above)).square())
    return (variance + 1e-4).sqrt()


def _two_frames(values: Tensor) -> Tensor:
    """``[B, K, 2, .., L]``, of which the pairs are neighbouring frames, to ``[B, K, .., 2 L]``."""
    return values.movedim(2, -1).flatten(-2)
