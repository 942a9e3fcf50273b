"""A stem through its generator: picture, overlapped tiles, and back to sound."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.generator import STEMS, Generator, fold
from vocoder import Inverter, Picture, SourceInverter, create

#: Frames that a tile owns, and those on each side that it shares with its neighbours.
CORE, MARGIN = 128, 16
_TILES_AT_ONCE = 8
#: Griffin-Lim iterations from the source's phase; more changed the distance by less than 1 %.
_POLISH = 4


class SpectralTransfer:
    """Repaints one stem's log-mel picture with a generator and turns it back into sound.

    ``(stem [C, T], strength) -> [C, T]`` at 44.1 kHz, for stems of songs near RMS 0.1. The
    picture is cut into tiles of 160 frames that overlap by 32 and are cross-faded. ``strength``
    scales the change of level (in dB) of every cell: 0 returns the stem, 1 is the whole change.
    Tiles lie on a grid of 65536 samples: a block that starts on the grid, with ``context`` on
    both sides, sounds as it does in the whole song.
    """

    context = 2 * 65536 - 2048

    def __init__(
        self, generator: nn.Module, picture: Picture, inverter: Inverter, stem: str, device: str
    ) -> None:
        if stem not in STEMS:
            raise AudioTransferError(f"no generator knows the stem {stem!r}; {', '.join(STEMS)} do")
        self.device = torch.device(device)
        self.generator = generator.to(self.device).eval()
        self.picture = picture
        self.inverter = inverter
        self.stem = STEMS.index(stem)

    @torch.no_grad()
    def __call__(
        self,
        stem: Tensor,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Tensor:
        """Transfers one block."""
        length = stem.shape[-1]
        if strength == 0.0 or length == 0 or not bool(stem.any()):
            return stem
        sound = stem.to(self.device, torch.float32)
        source = self.picture.stereo(sound)
        change = strength * (self._repaint(source, progress) - source)
        return self._invert(sound, source, change, generator).to(stem.device, stem.dtype)

    def _invert(
        self, sound: Tensor, source: Tensor, change: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        length = sound.shape[-1]
        if isinstance(self.inverter, SourceInverter):
            return self.inverter(source + change, length, source=sound, generator=generator)
        # Inverters without the source's phase see each channel's own picture, so that what was
        # left stays left.
        return self.inverter(self.picture(sound) + change, length, generator=generator)

    def _repaint(self, source: Tensor, progress: Callable[[float], None] | None) -> Tensor:
        """``[F, L] -> [F, L]`` by cross-faded tiles."""
        frames = source.shape[-1]
        count = -(-frames // CORE)
        padded = functional.pad(
            source[None], (MARGIN, MARGIN + count * CORE - frames), mode="replicate"
        )[0]
        size = CORE + 2 * MARGIN
        tiles = padded.unfold(-1, size, CORE).movedim(1, 0)
        # Rises over the shared frames and falls as the neighbour rises: the sum is always one.
        ramp = (torch.arange(2 * MARGIN, device=source.device) + 0.5) / (2 * MARGIN)
        fade = torch.ones(size, device=source.device)
        fade[: 2 * MARGIN], fade[-2 * MARGIN :] = ramp, ramp.flip(0)
        total = torch.zeros_like(padded)
        weight = torch.zeros(padded.shape[-1], device=source.device)
        for first in range(0, count, _TILES_AT_ONCE):
            batch = tiles[first : first + _TILES_AT_ONCE].contiguous()
            index = torch.full((len(batch),), self.stem, device=source.device)
            for offset, tile in enumerate(self.generator(batch, index), start=first):
                total[:, offset * CORE : offset * CORE + size] += tile * fade
                weight[offset * CORE : offset * CORE + size] += fade
            if progress is not None:
                progress(min(1.0, (first + len(batch)) / count))
        return (total / weight.clamp_min(1e-6))[:, MARGIN : MARGIN + frames]


def save_generator(path: Path, generator: Generator, about: Mapping[str, Any]) -> None:
    """Writes a generator with folded norms as half-precision safetensors."""
    from safetensors.torch import save_file

    state = {key: value.half().contiguous() for key, value in generator.state_dict().items()}
    shape = {"bins": generator.bins, "channels": list(generator.channels), **about}
    save_file(state, str(path), metadata={"generator": json.dumps(shape)})


def load_generator(path: Path) -> Generator:
    """Reads what :func:`save_generator` wrote. Raises AudioTransferError for anything else."""
    try:
        with safe_open(str(path), framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("generator", "{}"))
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise AudioTransferError(
            f"weights {path} cannot be read ({error}); install the style again"
        ) from error
    try:
        generator = Generator(about["bins"], about["channels"])
        fold(generator)
        generator.load_state_dict(state)
    except (AudioTransferError, KeyError, IndexError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no generator that this version knows; install the style again"
        ) from error
    return generator


def load(
    folder: Path, entry: Mapping[str, Any], stem: str, device: str, vocoder: str
) -> SpectralTransfer:
    """The transfer of one stem as a style's card describes it.

    ``vocoder`` is ``source`` (also what ``auto`` takes), or any other inverter's name.
    """
    picture = Picture.from_dict(dict(entry["picture"]))
    if vocoder in ("auto", "source"):
        inverter = create("source", picture, iterations=_POLISH)
    else:
        inverter = create(vocoder, picture)
    generator = load_generator(Path(folder) / str(entry["weights"]))
    return SpectralTransfer(generator, picture, inverter, stem, device)
