"""The setting `ROWSPACE`: the database, and the embedder that converts texts to vectors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import django
from django.conf import ENVIRONMENT_VARIABLE, settings
from django.db import DEFAULT_DB_ALIAS
from django.utils.module_loading import import_string

from rowspace.errors import ConfigurationError
from rowspace.integrations._embedders import embedder_from
from rowspace.services import Embedder

__all__ = ["alias_of", "embedder", "parallel_embedder", "problems"]

_KEYS = ("DATABASE", "EMBEDDER")


def alias_of(using: str | None = None) -> str:
    """Return the given alias, or that of the setting `ROWSPACE["DATABASE"]`, or `default`."""
    return using or _given().get("DATABASE") or DEFAULT_DB_ALIAS


def embedder() -> Embedder | None:
    """Return the embedder of the setting `ROWSPACE["EMBEDDER"]`, created once, or None without one.

    The setting is a dotted path to a class or a function that returns an embedder, or to an embedder itself.

    Raises:
        ConfigurationError: the path cannot be imported, or is not an embedder.
    """
    path = _given().get("EMBEDDER")
    return None if path is None else _made(path)


def parallel_embedder(processes: int) -> Any:
    """Return a `ParallelEmbedder` with this number of processes, each with an embedder of `ROWSPACE["EMBEDDER"]`.

    Raises:
        ConfigurationError: the setting is missing, or its path cannot be imported.
    """
    from rowspace.integrations.embedding import ParallelEmbedder

    path = _given().get("EMBEDDER")
    if path is None:
        message = "ROWSPACE['EMBEDDER'] is not set, so the processes have no embedder. Set it, or omit --processes."
        raise ConfigurationError(message)
    return ParallelEmbedder(partial(_in_process, path), processes=processes)


def problems() -> list[str]:
    """Return a sentence for each error in the setting."""
    given = getattr(settings, "ROWSPACE", {})
    if not isinstance(given, Mapping):
        return [f"ROWSPACE must be a dict with the keys {', '.join(_KEYS)}, got {type(given).__name__}."]
    found = [f"ROWSPACE has no key {key!r}; its keys are {', '.join(_KEYS)}." for key in given if key not in _KEYS]
    if alias_of() not in settings.DATABASES:
        found.append(f"ROWSPACE['DATABASE'] is {alias_of()!r}, which is not in DATABASES.")
    return found


def _given() -> Mapping[str, Any]:
    given = getattr(settings, "ROWSPACE", {})
    return given if isinstance(given, Mapping) else {}


def _in_process(path: str) -> Embedder:
    """Return the embedder at a path, in a worker process where Django has not been set up."""
    if ENVIRONMENT_VARIABLE in os.environ:
        django.setup()
    return _made(path)


@lru_cache
def _made(path: str) -> Embedder:
    try:
        found: Any = import_string(path)
    except ImportError as error:
        message = f"ROWSPACE['EMBEDDER'] is {path!r}, which cannot be imported: {error}"
        raise ConfigurationError(message) from error
    made: Embedder = embedder_from(found, f"ROWSPACE['EMBEDDER'], {path!r},")
    return made
