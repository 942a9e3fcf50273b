"""Networks of the unpaired objectives: generators, discriminators and what measures content."""

from audiotransfer.spectral.networks.conditional import ConditionalDiscriminator, ConditionalUNet
from audiotransfer.spectral.networks.discriminators import PatchGan, SpectrogramDiscriminator
from audiotransfer.spectral.networks.generators import PaddedUNet, ProjectionHeads, ResNetGenerator
from audiotransfer.spectral.networks.whole_frequency import (
    WholeFrequencyDiscriminator,
    WholeFrequencyGenerator,
)

__all__ = [
    "ConditionalDiscriminator",
    "ConditionalUNet",
    "PaddedUNet",
    "PatchGan",
    "ProjectionHeads",
    "ResNetGenerator",
    "SpectrogramDiscriminator",
    "WholeFrequencyDiscriminator",
    "WholeFrequencyGenerator",
]
