"""The one exception that audiotransfer raises for what a user can put right."""

from __future__ import annotations


class AudioTransferError(Exception):
    """A request that cannot be met. The message is one line: the thing, its value, the way out."""
