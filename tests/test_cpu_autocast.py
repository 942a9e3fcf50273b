"""Convolutions that read uninitialised memory under CPU autocast, unless kept in float32."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from audiotransfer.training import TrainerSettings, devices
from audiotransfer.training.devices import NarrowInFloat32
from audiotransfer.training.settings import Precision

_STEP = """
import torch
from separation.embedded.objective import SeparatorObjective
from audiotransfer.training import TrainerSettings, devices
from audiotransfer.training.devices import NarrowInFloat32
from audiotransfer.training.settings import Precision

torch.manual_seed(0)
for network in ("unet", "dense"):
    objective = SeparatorObjective(network)
    stems = 0.1 * torch.randn(2, 4, 2, 13230)
    with torch.autocast("cpu", dtype=torch.bfloat16), NarrowInFloat32():
        turn = next(objective.turns({"stems": stems}, 0, None))
    loss = sum(turn.terms.values())
    slopes = torch.autograd.grad(loss, list(objective.separator.parameters()))
    assert loss.isfinite() and all(slope.isfinite().all() for slope in slopes), network
"""


def _made(transposed: bool, kernel: int, stride: int, width: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(kernel)
    weight = torch.randn(16, 16, kernel, kernel, generator=generator).requires_grad_()
    source = torch.randn(2, 16, 24, width, generator=generator).requires_grad_()
    convolution = functional.conv_transpose2d if transposed else functional.conv2d
    made = convolution(source, weight, None, stride, (kernel - 1) // 2)
    return [made, *torch.autograd.grad(made.float().square().sum(), (source, weight))]


@pytest.mark.parametrize(
    ("transposed", "kernel", "width"),
    [(False, 3, 1), (False, 3, 2), (False, 4, 2), (False, 4, 3), (False, 5, 1), (False, 5, 2)]
    + [(True, kernel, 1) for kernel in (3, 4, 5)],
)
def test_a_strided_convolution_to_one_column_is_exact(
    transposed: bool, kernel: int, width: int
) -> None:
    """Outputs and gradients, under autocast, are those of float32 to the bit."""
    exact = _made(transposed, kernel, 2, width)
    with torch.autocast("cpu", dtype=torch.bfloat16), NarrowInFloat32():
        kept = _made(transposed, kernel, 2, width)
    for one, other in zip(kept, exact, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("stride", "width"), [(1, 1), (1, 8), (2, 8)])
def test_all_others_stay_in_half_precision(stride: int, width: int) -> None:
    for transposed in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16), NarrowInFloat32():
            made, *_ = _made(transposed, 3, stride, width)
        assert made.dtype == torch.bfloat16
    with NarrowInFloat32():
        assert _made(False, 3, 2, 1)[0].dtype == torch.float32


def test_a_separator_steps_whatever_was_in_memory_before() -> None:
    """0x7F in every fresh byte is the greatest bfloat16, of which hardly a sum is finite."""
    done = subprocess.run(
        [sys.executable, "-c", _STEP],
        env=os.environ | {"MALLOC_PERTURB_": "128"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("asked", "device", "native", "used"),
    [
        ("bf16-mixed", "cpu", True, "bf16-mixed"),
        ("bf16-mixed", "cpu", False, "32-true"),
        ("bf16-mixed", "cuda", False, "bf16-mixed"),
        ("32-true", "cpu", False, "32-true"),
    ],
)
def test_no_processor_emulates_half_precision(
    asked: Precision, device: str, native: bool, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast to bfloat16 without instructions for it is twenty times slower than float32."""
    monkeypatch.setattr(devices, "_computes_in_bfloat16", lambda: native)
    assert devices.usable_precision(asked, torch.device(device)) == used


def test_a_training_takes_the_precision_that_its_processor_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for native in (True, False):
        monkeypatch.setattr(devices, "_computes_in_bfloat16", lambda native=native: native)
        fabric = devices.launch(TrainerSettings(steps=1, precision="bf16-mixed"))
        with fabric.autocast():
            made = torch.ones(2, 2) @ torch.ones(2, 2)
        assert made.dtype == (torch.bfloat16 if native else torch.float32)
