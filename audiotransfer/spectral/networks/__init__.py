"""Networks of the unpaired objectives: generators, critics and what measures content."""

from audiotransfer.spectral.networks.conditional_critic import ConditionalCritic
from audiotransfer.spectral.networks.conditional_unet import ConditionalUNet
from audiotransfer.spectral.networks.cycle_critics import PatchGan, PictureCritic
from audiotransfer.spectral.networks.heads import ProjectionHeads
from audiotransfer.spectral.networks.levels import from_unit, to_unit
from audiotransfer.spectral.networks.padded_unet import PaddedUNet
from audiotransfer.spectral.networks.painter import Painter
from audiotransfer.spectral.networks.resnet import ResNetGenerator
from audiotransfer.spectral.networks.whole_frequency import (
    WholeFrequencyCritic,
    WholeFrequencyGenerator,
)

__all__ = [
    "ConditionalCritic",
    "ConditionalUNet",
    "PaddedUNet",
    "Painter",
    "PatchGan",
    "PictureCritic",
    "ProjectionHeads",
    "ResNetGenerator",
    "WholeFrequencyCritic",
    "WholeFrequencyGenerator",
    "from_unit",
    "to_unit",
]
