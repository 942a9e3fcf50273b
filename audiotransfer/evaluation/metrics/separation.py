"""Signal-to-distortion ratios of separated stems."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
from torch import Tensor

from audiotransfer.errors import AudioTransferError

_SMALLEST = 1e-12


def global_sdr(estimate: Tensor, reference: Tensor) -> float:
    """Signal-to-distortion ratio in dB over all channels of [C, T]; NaN for a silent reference."""
    if estimate.shape != reference.shape:
        raise AudioTransferError(
            f"a stem of shape {tuple(estimate.shape)} cannot be compared with its truth of shape "
            f"{tuple(reference.shape)}: give both the same channels and samples"
        )
    truth = reference.detach().cpu().double()
    energy = float(truth.square().sum())
    if energy < _SMALLEST:
        return float("nan")
    error = float((truth - estimate.detach().cpu().double()).square().sum())
    return float(10 * np.log10(energy / max(error, _SMALLEST * energy)))


def sdr_gain(estimate: Tensor, reference: Tensor, mix: Tensor) -> float:
    """SDR improvement: `global_sdr` of a stem minus that of the mix itself, in dB."""
    return global_sdr(estimate, reference) - global_sdr(mix, reference)


def museval_sdr(
    estimates: Mapping[str, Tensor], references: Mapping[str, Tensor], sample_rate: int
) -> dict[str, float]:
    """BSS Eval v4 SDR per stem [C, T] in dB: median over 1 s frames; NaN where all are silent.

    Slow: minutes for a song. Raises AudioTransferError where museval (extra `test`) is missing or
    the stems' names differ.
    """
    if set(estimates) != set(references):
        raise AudioTransferError(
            f"stems {sorted(estimates)} cannot be compared with {sorted(references)}: "
            "names must agree"
        )
    metrics = _museval_metrics()
    names = list(references)
    truth, found = (
        np.stack([stems[name].detach().cpu().double().numpy().T for name in names])
        for stems in (references, estimates)
    )
    sdr = metrics.bss_eval(
        truth, found, window=sample_rate, hop=sample_rate, compute_permutation=False
    )[0]
    return {name: _median(frames) for name, frames in zip(names, sdr, strict=True)}


def _median(frames: np.ndarray) -> float:
    finite = frames[np.isfinite(frames)]
    return float(np.median(finite)) if len(finite) else float("nan")


@lru_cache(maxsize=1)
def _museval_metrics() -> ModuleType:
    # The package's __init__ imports musdb and stempeg, which fail where ffmpeg is not installed;
    # the metric itself needs numpy and scipy only.
    package = importlib.util.find_spec("museval")
    if package is None or package.origin is None:
        raise AudioTransferError("museval is not installed: pip install 'audiotransfer[test]'")
    spec = importlib.util.spec_from_file_location(
        "_museval_metrics", Path(package.origin).with_name("metrics.py")
    )
    if spec is None or spec.loader is None:
        raise AudioTransferError("museval is damaged: pip install --force-reinstall museval")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
