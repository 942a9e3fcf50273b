"""The genre judge: says how much a sound is jazz, by ears that never saw a generator."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.listener import Listener

_JUDGES = Path(__file__).parent / "judges"


class Judge(Listener):
    """A listener whose classes are genres, of which a sound has one."""

    kind = "judge"

    def probabilities(self, audio: Tensor, sample_rate: int) -> dict[str, float]:
        """Probability of each genre for a sound [C, T], mean over its 3 s windows.

        Silence gives equal shares.
        """
        logits = self.logits(audio, sample_rate)
        if len(logits) == 0:
            return dict.fromkeys(self.classes, 1.0 / len(self.classes))
        shares = logits.softmax(dim=-1).mean(dim=0)
        return dict(zip(self.classes, shares.tolist(), strict=True))


def shipped_judge() -> Path:
    """Folder of the genre judge that comes with the package, for ``Judge.load``."""
    return _JUDGES / "genres"


def style_score(judge: Judge, audio: Tensor, sample_rate: int, genre: str) -> float:
    """The judge's probability of one genre for a sound [C, T], 0..1 (rescale it for a table)."""
    if genre not in judge.classes:
        raise AudioTransferError(
            f"the judge does not know '{genre}': it knows {', '.join(judge.classes)}"
        )
    return judge.probabilities(audio, sample_rate)[genre]
