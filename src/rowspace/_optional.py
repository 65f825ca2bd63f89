"""The one sentence for an optional dependency that is not installed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from rowspace.errors import MissingExtra

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Import and return `module`.

    Raises:
        MissingExtra: it is not installed; the message names the extra that brings it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # A module that is there but lacks one of its own imports is a different fault.
        if error.name is None or module.partition(".")[0] != error.name.partition(".")[0]:
            raise
        message = f"{module!r} is not installed. It comes with: pip install 'rowspace[{extra}]'"
        raise MissingExtra(message, name=error.name) from error
