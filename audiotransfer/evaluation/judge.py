"""The genre judge: says how much a sound is jazz, by ears that never saw a generator."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
import torchaudio.functional as AF
from torch import Tensor, nn
from torch.nn import functional as F

from audiotransfer.errors import AudioTransferError
from audiotransfer.sound import resample

FLOOR = 1e-5
LEVEL = 0.1
_DECIBEL = 20 / 2.302585
_RANGE_DB = 75.0
_SPREAD_DB = 15.0
_SILENT_DB = -60.0
_WINDOWS_AT_ONCE = 32
_WEIGHTS, _CARD = "judge.safetensors", "judge.json"
_SHIPPED = Path(__file__).parent / "judges" / "genres"


@dataclass(frozen=True)
class JudgeSettings:
    """What the judge hears: rates in Hz, window and hop in samples, its windows in seconds."""

    classes: tuple[str, ...]
    sample_rate: int = 22050
    n_fft: int = 1024
    hop_length: int = 512
    bands: int = 96
    f_min: float = 30.0
    f_max: float = 10_500.0
    seconds: float = 3.0
    width: int = 24

    @property
    def window(self) -> int:
        """Samples of one window."""
        return round(self.seconds * self.sample_rate)

    @property
    def frames(self) -> int:
        """Frames of one window."""
        return self.window // self.hop_length + 1


class LogMel(nn.Module):
    """The judge's own front end: sound [B, T] -> natural log of Slaney mel magnitudes [B, F, L]."""

    hann: Tensor
    filters: Tensor

    def __init__(self, settings: JudgeSettings) -> None:
        super().__init__()
        self.settings = settings
        filters = AF.melscale_fbanks(
            settings.n_fft // 2 + 1, settings.f_min, settings.f_max, settings.bands,
            settings.sample_rate, norm="slaney", mel_scale="slaney",
        )  # fmt: skip
        self.register_buffer("hann", torch.hann_window(settings.n_fft), persistent=False)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        spectrum = torch.stft(
            audio, self.settings.n_fft, self.settings.hop_length, window=self.hann,
            pad_mode="constant", return_complex=True,
        )  # fmt: skip
        magnitude = spectrum.abs().transpose(-1, -2) @ self.filters
        return magnitude.transpose(-1, -2).clamp(min=FLOOR).log()


class JudgeNetwork(nn.Module):
    """Four convolution blocks and a mean over time: features [B, F, L] -> logits [B, classes].

    0.14 M parameters at the default width. Its input is levelled first, so that loudness is no
    cue. ``embed`` gives the penultimate layer [B, 64].
    """

    def __init__(self, settings: JudgeSettings) -> None:
        super().__init__()
        self.settings = settings
        widths = [1, *(settings.width * step for step in (1, 2, 3, 4))]
        self.blocks = nn.Sequential(*(_block(before, after) for before, after in pairwise(widths)))
        self.narrow = nn.Linear(widths[-1] * (settings.bands // 16), 64)
        self.dropout = nn.Dropout(0.3)
        self.out = nn.Linear(64, len(settings.classes))

    def embed(self, features: Tensor) -> Tensor:
        """What the judge heard, before it decides: [B, F, L] -> [B, 64]."""
        pooled = self.blocks(levelled(features)[:, None]).mean(dim=-1)
        return F.relu(self.narrow(self.dropout(pooled.flatten(1))))

    def forward(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.out(self.dropout(self.embed(features))))


def levelled(features: Tensor) -> Tensor:
    """Log-mel windows [B, F, L] in units of 15 dB around their mean, 75 dB deep from their loudest.

    Any gain on the sound cancels.
    """
    top = features.amax(dim=(1, 2), keepdim=True)
    depth = torch.maximum(features, top - _RANGE_DB / _DECIBEL)
    return (depth - depth.mean(dim=(1, 2), keepdim=True)) * (_DECIBEL / _SPREAD_DB)


class Judge:
    """A trained network, how far it can be believed (``report``), and how to ask it."""

    def __init__(self, network: JudgeNetwork, report: dict[str, Any] | None = None) -> None:
        self.network = network.eval()
        self.settings = network.settings
        self.report = report or {}
        self._front_end = LogMel(self.settings)

    @property
    def classes(self) -> tuple[str, ...]:
        """The genres, in the order of the network's outputs."""
        return self.settings.classes

    def probabilities(self, audio: Tensor, sample_rate: int) -> dict[str, float]:
        """Probability of each genre for a sound [C, T], mean over its 3 s windows.

        Windows overlap by half; those 60 dB below the sound's own level do not count; silence gives
        equal shares; a sound shorter than a window is repeated.
        """
        windows = self._windows(audio, sample_rate)
        if len(windows) == 0:
            return dict.fromkeys(self.classes, 1.0 / len(self.classes))
        with torch.no_grad():
            shares = [
                self.network(self._front_end(batch)).softmax(dim=-1)
                for batch in windows.split(_WINDOWS_AT_ONCE)
            ]
        return dict(zip(self.classes, torch.cat(shares).mean(dim=0).tolist(), strict=True))

    def embeddings(self, audio: Tensor, sample_rate: int) -> Tensor:
        """The penultimate layer for each 3 s window of a sound [C, T]: [windows, 64]."""
        windows = self._windows(audio, sample_rate)
        with torch.no_grad():
            parts = [
                self.network.embed(self._front_end(batch))
                for batch in windows.split(_WINDOWS_AT_ONCE)
                if len(batch)
            ]
        return torch.cat(parts) if parts else torch.zeros(0, self.network.out.in_features)

    def save(self, folder: str | Path) -> None:
        """Writes judge.safetensors (float32) and judge.json into a folder, made where missing."""
        from safetensors.torch import save

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        weights = save(state)
        card = {
            "kind": "judge", "version": 1, "settings": asdict(self.settings),
            "sha256": hashlib.sha256(weights).hexdigest(), "report": self.report,
        }  # fmt: skip
        (folder / _WEIGHTS).write_bytes(weights)
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        (folder / _CARD).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Judge:
        """Reads what ``save`` wrote. Raises AudioTransferError on foreign or damaged files."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        folder = Path(folder)
        try:
            card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
            weights = (folder / _WEIGHTS).read_bytes()
            if card["sha256"] != hashlib.sha256(weights).hexdigest():
                raise ValueError(f"{_WEIGHTS} is not the file that {_CARD} describes")
            fields = card["settings"]
            settings = JudgeSettings(**{**fields, "classes": tuple(fields["classes"])})
            network = JudgeNetwork(settings)
            network.load_state_dict(load(weights))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise AudioTransferError(
                f"no judge can be read from {folder}: {error}; train one or name another folder"
            ) from error
        return cls(network, card.get("report"))

    def _windows(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Windows [W, T] of the sound that are not silent, at the judge's rate."""
        signal = heard(audio, sample_rate, self.settings)
        size = self.settings.window
        if len(signal) < size:
            signal = signal.repeat(-(-size // len(signal)))[:size]
        windows = signal.unfold(0, size, size // 2)
        level = windows.square().mean(dim=1).sqrt()
        return windows[level > LEVEL * 10 ** (_SILENT_DB / 20)]


def shipped_judge() -> Path:
    """Folder of the genre judge that comes with the package, for ``Judge.load``."""
    return _SHIPPED


def heard(audio: Tensor, sample_rate: int, settings: JudgeSettings) -> Tensor:
    """A sound [C, T] as the judge hears it: mono, its rate, RMS 0.1: [T]. Silence stays silence."""
    signal = audio.detach().float().cpu().mean(dim=0, keepdim=True)
    if signal.shape[-1] == 0:
        raise AudioTransferError("the judge was given a sound without samples")
    if sample_rate != settings.sample_rate:
        signal = resample(signal, sample_rate, settings.sample_rate)
    rms = signal.square().mean().sqrt()
    return (signal * (LEVEL / rms) if float(rms) > 1e-9 else torch.zeros_like(signal))[0]


def style_score(judge: Judge, audio: Tensor, sample_rate: int, genre: str) -> float:
    """The judge's probability of one genre for a sound [C, T], 0..1 (rescale it for a table)."""
    if genre not in judge.classes:
        raise AudioTransferError(
            f"the judge does not know '{genre}': it knows {', '.join(judge.classes)}"
        )
    return judge.probabilities(audio, sample_rate)[genre]


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
