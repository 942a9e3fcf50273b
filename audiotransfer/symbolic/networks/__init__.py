"""Networks of genre transfer: the paper's, and one for all genres with its critic."""

from audiotransfer.symbolic.networks.conditional import ConditionalGenerator
from audiotransfer.symbolic.networks.critics import BeatListener, GenreCritic, GenreListener
from audiotransfer.symbolic.networks.paper import PaperCritic, PaperGenerator

__all__ = [
    "BeatListener",
    "ConditionalGenerator",
    "GenreCritic",
    "GenreListener",
    "PaperCritic",
    "PaperGenerator",
]
