"""The one exception of this package."""

from __future__ import annotations


class SeparationError(Exception):
    """A separator was asked for something it cannot do; the message is one line for the user."""
