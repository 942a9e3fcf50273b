"""Generators and discriminators of the research objectives; shipped styles do not use them."""

from audiotransfer.spectral.networks.conditional import ConditionalDiscriminator, ConditionalUNet
from audiotransfer.spectral.networks.discriminators import (
    FullFrequencyDiscriminator,
    PatchDiscriminator,
    PatchGan,
    SpectrogramDiscriminator,
    WholeFrequencyDiscriminator,
)
from audiotransfer.spectral.networks.generators import (
    PaddedUNet,
    ProjectionHeads,
    ResNetGenerator,
    WholeFrequencyGenerator,
)

__all__ = [
    "ConditionalDiscriminator",
    "ConditionalUNet",
    "FullFrequencyDiscriminator",
    "PaddedUNet",
    "PatchDiscriminator",
    "PatchGan",
    "ProjectionHeads",
    "ResNetGenerator",
    "SpectrogramDiscriminator",
    "WholeFrequencyDiscriminator",
    "WholeFrequencyGenerator",
]
