"""Networks of the unpaired objectives: generators, critics and what measures content."""

from audiotransfer.spectral.networks.conditional import ConditionalCritic, ConditionalUNet
from audiotransfer.spectral.networks.discriminators import PatchGan, PictureCritic
from audiotransfer.spectral.networks.generators import PaddedUNet, ProjectionHeads, ResNetGenerator
from audiotransfer.spectral.networks.whole_frequency import (
    WholeFrequencyCritic,
    WholeFrequencyGenerator,
)

__all__ = [
    "ConditionalCritic",
    "ConditionalUNet",
    "PaddedUNet",
    "PatchGan",
    "PictureCritic",
    "ProjectionHeads",
    "ResNetGenerator",
    "WholeFrequencyCritic",
    "WholeFrequencyGenerator",
]
