"""First weights of a translator out of a spectral style's network of notes.

Both work on the same keys. The first half of the style's residual blocks becomes the encoder, the
rest and its templates become the decoder; the code between them are the principal components of
what flows there. Where there is little time to train, this is what the training starts from.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.note_templates import NoteTemplateModel
from audiotransfer.waveform.decoders import TemplateDecoder
from audiotransfer.waveform.encoders import PitchEncoder
from vocoder.mel import corrected
from vocoder.pitch_layers import harmonic_tones

_CORRECTIONS = 4  # of harmonic tones towards the bands of the style's templates
_QUIETEST = 1e-9  # band that is corrected, as a share of its template's greatest


@torch.no_grad()
def start_from_notes(
    encoder: PitchEncoder,
    decoders: Iterable[TemplateDecoder],
    model: NoteTemplateModel,
    sounds: Tensor,
) -> None:
    """Sets encoder and decoders to the layers of a network of notes of one style.

    The code's components are those of ``sounds`` ``[B, T]``. Raises AudioTransferError where the
    sizes differ.
    """
    count = len(encoder.dilations)
    for name in ("enter", "fine", "to_keys"):
        _copy(getattr(encoder, name), getattr(model, name))
    for own, given in zip(encoder.blocks, model.blocks, strict=False):
        _copy(own, given)
    mean, axes = _components(encoder.keys(sounds), encoder.code)
    assert encoder.to_code.bias is not None
    encoder.to_code.weight.copy_(axes.T[:, :, None, None])
    encoder.to_code.bias.copy_(-(axes.T @ mean))
    for decoder in decoders:
        dilations = encoder.dilations + decoder.dilations
        if dilations[: len(model.dilations)] != model.dilations:
            raise AudioTransferError(
                f"encoder and decoder have the dilations {encoder.dilations} and"
                f" {decoder.dilations}, the style's network {model.dilations}: begin them so"
            )
        assert decoder.enter.bias is not None
        decoder.enter.weight.copy_(axes[:, :, None, None])
        decoder.enter.bias.copy_(mean)
        for own, given in zip(decoder.blocks, list(model.blocks)[count:], strict=False):
            _copy(own, given)
        _copy(decoder.norm, model.norm)
        _copy(decoder.gates, model.note_logits)
        used = 2 * decoder.spectra
        assert decoder.activations.bias is not None and model.activations.bias is not None
        decoder.activations.weight.copy_(model.activations.weight[:used])
        decoder.activations.bias.copy_(model.activations.bias[:used])
        decoder.templates.copy_(_bins_of(model, decoder).transpose(0, 1))


def _copy(own: nn.Module, given: nn.Module) -> None:
    try:
        own.load_state_dict(given.state_dict())
    except RuntimeError as error:
        raise AudioTransferError(
            f"the style's network of notes has other sizes ({str(error).splitlines()[-1].strip()});"
            " set those of encoder and decoder as there"
        ) from error


def _components(keys: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean ``[C]`` and principal axes ``[C, count]`` of features ``[B, C, 88, L]``."""
    flat = keys.movedim(1, 0).flatten(1).double()
    mean = flat.mean(1)
    covariance = torch.cov(flat)
    axes = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :count]
    return mean.float(), axes.float()


def _bins_of(model: NoteTemplateModel, decoder: TemplateDecoder) -> Tensor:
    """Log spectra ``[88, spectra, bins]`` of an STFT that have the bands of the style's templates.

    Harmonic tones, corrected band by band, so that partials stay narrow.
    """
    weights = model.spectrogram.filterbank(torch.device("cpu"))
    target = model.templates[0].exp()
    spectra = harmonic_tones(decoder.spectrogram, decoder.spectra).exp()
    spectra = corrected(spectra, target, weights, _CORRECTIONS, _QUIETEST)
    peak = target.amax(-1, keepdim=True)
    return spectra.clamp_min(1e-8 * peak).log()
