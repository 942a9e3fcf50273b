"""What networks that make sound from a mel spectrogram are conditioned on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import signal
from torch import Tensor

from vocoder.base import VocoderError
from vocoder.spectrogram import SpectrogramSettings
from vocoder.wavenet.network import between_frames, delayed

LOUDEST = 8.0
"""Root of the summed squares of a frame's bands, to which the loudest frame is brought: the sound
of music then stays within full scale."""
EMPHASIS, RAISED = 0.85, 2.0
"""Share of the sample before that is subtracted, and the gain after it: what the network makes is
quieter by far at the bottom, so that the noise of its samples lies below the music."""
ATTENUATION_DB = -18.0
"""Least level of training examples below the common one."""
_MIDDLE, _SPREAD = -4.0, 3.0  # nats, of the bands of music at that level


@dataclass(frozen=True)
class Conditions:
    """Conditions of sounds at one common level.

    ``levels`` are log bands ``[N, F, L]`` with mean about 0 and spread about 1; ``gain`` ``[N, 1]``
    brings a sound to the common level; ``audible`` ``[N, L]`` is 0 in frames that are all silent.
    """

    levels: Tensor
    gain: Tensor
    audible: Tensor

    def envelope(self, hop_length: int, length: int) -> Tensor:
        """What takes made sounds back to their level, and silences what was silent: [N, length]."""
        return between_frames(self.audible[:, None], hop_length, length)[:, 0] / self.gain


def conditions_of(
    expects: SpectrogramSettings, spectrogram: Tensor, attenuation: Tensor | float = 1.0
) -> Conditions:
    """Conditions of mel spectrograms ``[N, F, L]``; `attenuation` lowers the common level."""
    bands = expects.magnitude(spectrogram)
    energy = bands.square().sum(1)
    loudest = energy.amax(-1, keepdim=True).sqrt()
    gain = torch.where(loudest > 0, LOUDEST / loudest.clamp_min(1e-30), 1.0) * attenuation
    levels = expects.logarithm(bands * gain[..., None])
    # The frames beside one that is audible reach into it.
    audible = torch.nn.functional.max_pool1d((energy > 0).float()[:, None], 3, 1, 1)[:, 0]
    return Conditions((levels - _MIDDLE) / _SPREAD, gain, audible)


def require_mel(expects: SpectrogramSettings, who: str) -> None:
    """Raise VocoderError unless the spectrogram is a "mel" one."""
    if expects.kind != "mel":
        raise VocoderError(f"{who} was made for mel spectrograms, not {expects.kind}: use pghi")


@torch.no_grad()
def training_example(
    expects: SpectrogramSettings, sound: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Conditions ``[B, F, L]`` and sounds ``[B, T]`` with emphasis, at random levels."""
    with torch.autocast(sound.device.type, enabled=False):
        device = sound.device if generator is None else generator.device
        drawn = torch.rand(len(sound), 1, generator=generator, device=device)
        lowered = (10 ** (ATTENUATION_DB * drawn / 20)).to(sound.device)
        given = conditions_of(expects, expects(sound.float()), lowered)
        return given.levels, emphasised(sound * given.gain).clamp(-1, 1)


def emphasised(sound: Tensor) -> Tensor:
    """Sound ``[.., T]`` with its lower frequencies reduced."""
    return (sound - EMPHASIS * delayed(sound)) * RAISED


def restored(sound: Tensor) -> Tensor:
    """The inverse of `emphasised`, on the CPU."""
    made = signal.lfilter([1.0 / RAISED], [1.0, -EMPHASIS], sound.double().cpu().numpy(), axis=-1)
    return torch.from_numpy(made).float()
