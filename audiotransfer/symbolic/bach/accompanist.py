"""Networks that set three voices below a melody: as files, and at work whatever their kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Generator, Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.files.weights import load_weights, save_weights
from audiotransfer.symbolic.bach.rolls import RollGenerator, over_windows
from audiotransfer.symbolic.bach.sampling import GibbsSettings, gibbs, mend
from audiotransfer.symbolic.bach.voicewise import VoiceWise

Accompanist = VoiceWise | RollGenerator
KINDS: dict[str, Callable[..., Accompanist]] = {k.kind: k for k in (VoiceWise, RollGenerator)}
_METADATA = "accompanist"


@dataclass(frozen=True)
class Harmony:
    """How boldly a melody is set (0.5 is as calm as the chorales), in how many Gibbs passes."""

    temperature: float = 0.5
    passes: int = GibbsSettings.passes


def harmonise(
    network: Accompanist,
    melody: Tensor,
    phases: Tensor,
    harmony: Harmony,
    generator: Generator,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """Set voices below melodies: int64 [B, T, 4], the melody first and as it was.

    Args:
        melody: MIDI pitches, -1 where it rests, int64 [B, T].
        phases: the place of each step in its beat, int64 [B, T].
        generator: on the CPU.
        progress: is told the share that is done, 0..1.
    """
    if isinstance(network, RollGenerator):
        return over_windows(network, melody, harmony.temperature, generator)
    settings = GibbsSettings(harmony.passes, temperature=harmony.temperature)
    voices = gibbs(network, melody[..., None], phases, settings, generator, progress)
    return mend(network, voices, phases, harmony.temperature, generator)


def save_accompanist(path: Path, network: Accompanist) -> None:
    """Write a network as half-precision safetensors."""
    shape = {"kind": network.kind, **network.shape()}
    save_weights(path, network.state_dict(), shape, _METADATA)


def load_accompanist(path: Path) -> Accompanist:
    """Read what `save_accompanist` wrote. Raises AudioTransferError for anything else."""
    shape, state = load_weights(path, _METADATA)
    try:
        network = KINDS[shape.pop("kind")](**shape)
        network.load_state_dict(state)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no accompanist that this version knows; install it again"
        ) from error
    return network.eval()
