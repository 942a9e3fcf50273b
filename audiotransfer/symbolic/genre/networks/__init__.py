"""Networks of genre transfer: the paper's, and one for all genres with its critic."""

from audiotransfer.symbolic.genre.networks.conditional import ConditionalGenerator
from audiotransfer.symbolic.genre.networks.critics import BeatListener, GenreCritic, GenreListener
from audiotransfer.symbolic.genre.networks.paper import PaperCritic, PaperGenerator

__all__ = [
    "BeatListener",
    "ConditionalGenerator",
    "GenreCritic",
    "GenreListener",
    "PaperCritic",
    "PaperGenerator",
]
