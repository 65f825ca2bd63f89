"""Imports of optional dependencies, with one error for those that are not installed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from rowspace.errors import MissingExtra

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Import and return `module`.

    Raises:
        MissingExtra: it is not installed; the message names the extra that contains it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # If the module is installed but one of its own imports is missing, that is a different error.
        if error.name is None or module.partition(".")[0] != error.name.partition(".")[0]:
            raise
        message = f"{module!r} is not installed. Install it with: pip install 'rowspace[{extra}]'"
        raise MissingExtra(message, name=error.name) from error
