"""What a caller hands over as several: rows, keys, ids. One text or one mapping is iterable too, and never meant."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, TypeVar

from rowspace.errors import ConfigurationError

__all__ = ["several"]

G = TypeVar("G", bound=Iterable[Any] | AsyncIterable[Any])


def several(given: G, what: str) -> G:
    """Return what was given, unless it is one of the things and not several.

    Raises:
        ConfigurationError: it is a text, of which each character would be taken for one, or a mapping.
    """
    if isinstance(given, str | bytes | Mapping):
        message = (
            f"Expected {what} as a list or another iterable, got {type(given).__name__} {given!r:.60}: write [...]."
        )
        raise ConfigurationError(message)
    return given
