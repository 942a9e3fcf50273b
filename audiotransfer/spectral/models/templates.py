"""Models whose output is a sum of learned spectral templates, weighted by activations.

The idea is that of non-negative matrix factorisation: a spectrogram's powers are templates times
activations. Here a network predicts the activations from the source, and each style has templates
of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from audiotransfer.spectral.models.base import SpectrogramModel, style_index

#: Log level (nats) of the activations of a new model.
QUIET = -7.0
#: Parameters as 0.1.0 named them, also in what ships, and their present names.
_OLD_PARAMETERS = {"hands": "activations", "heard": "note_logits", "log_spectra": "templates"}
#: 0.1.0 divided templates by this before it saved them; by a power of two, so nothing was rounded.
_OLD_TEMPLATE_SCALE = 16.0


class TemplateModel(SpectrogramModel):
    """A network that predicts, per style, the activation of every spectral template.

    ``activations`` is its last layer. ``templates`` ``[S, ..]`` are the log spectra (nats) of the
    S styles. Those of a new model are all 0: `initialise` sets what training starts from.
    """

    core, margin = 256, 32
    learns_keys: ClassVar[bool] = False
    """Whether training needs the keys that sound, from the score."""
    styles: tuple[str, ...]
    activations: nn.Conv1d | nn.Conv2d
    templates: nn.Parameter

    @abstractmethod
    def parts(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What features ``[B, V, L]`` are synthesised from (see `synthesise`): activations
        ``[B, S, K, L]`` of the templates in the order of `flat_templates`, and gains of the source
        ``[B, S, F, L]``.
        """

    def flat_templates(self) -> Tensor:
        """The templates as ``[S, K, F]``; a view of them."""
        return self.templates

    @abstractmethod
    def initialise(self) -> Self:
        """Sets first templates and low activations, and returns the model."""

    def only(self, style: str) -> Self:
        """The same model for one style alone, as styles ship.

        Raises AudioTransferError for a style that it does not know.
        """
        index = style_index(style, self.styles)
        single = type(self)(**{**self.shape(), "styles": [style]})
        state = self.state_dict()
        for name in ("activations.weight", "activations.bias"):
            state[name] = state[name].unflatten(0, (len(self.styles), -1))[index]
        state["templates"] = state["templates"][index : index + 1]
        single.load_state_dict(state)
        return single

    def load_singles(self, singles: Sequence[Self]) -> None:
        """Loads models of one style each, in this one's order of styles; the opposite of `only`.

        Layers that styles share are the first model's. Raises RuntimeError for another shape.
        """
        states = [single.state_dict() for single in singles]
        own = ("activations.weight", "activations.bias", "templates")
        self.load_state_dict(
            states[0] | {name: torch.cat([s[name] for s in states]) for name in own}
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any, **options: Any
    ) -> None:
        """Loads weights and checkpoints of 0.1.0 as well."""
        for key in [key for key in state_dict if key.startswith(prefix)]:
            layer, dot, parameter = key.removeprefix(prefix).partition(".")
            if layer in _OLD_PARAMETERS:
                value = state_dict.pop(key)
                if layer == "log_spectra":
                    value = value * _OLD_TEMPLATE_SCALE
                state_dict[f"{prefix}{_OLD_PARAMETERS[layer]}{dot}{parameter}"] = value
        super()._load_from_state_dict(state_dict, prefix, *arguments, **options)

    @torch.no_grad()
    def _initialise(self, templates: Tensor, bias: Tensor, shape: Sequence[int]) -> None:
        """Gives every style the same templates, and activations of a constant level.

        ``bias`` is broadcast to the activations' bias, viewed in ``shape``.
        """
        nn.init.zeros_(self.activations.weight)
        assert self.activations.bias is not None
        self.activations.bias.view(*shape).copy_(bias)
        self.templates.copy_(templates[None])


def synthesise(
    activations: Tensor, templates: Tensor, source: Tensor, passthrough: Tensor
) -> Tensor:
    """The log level of templates and source, summed as powers: ``[B, S, F, L]`` (nats).

    Args:
        activations: log levels of the K templates, ``[B, S, K, L]``.
        templates: log spectra, ``[S, K, F]``.
        source: log-level spectrograms, ``[B, F, L]``.
        passthrough: log gains of the source, ``[B, S, F, L]``.
    """
    power = torch.exp(2 * templates.float()).transpose(1, 2) @ torch.exp(
        2 * activations.clamp(-12.0, 8.0)
    )
    kept = torch.exp(2 * (source.float()[:, None] + passthrough).clamp(-12.0, 8.0))
    return torch.log(power + kept + 1e-9) / 2
