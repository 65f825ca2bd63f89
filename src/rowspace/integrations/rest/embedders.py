"""The embedder of a server, by its name in the settings."""

from __future__ import annotations

from rowspace.integrations import _embedders
from rowspace.services import Embedder

__all__ = ["embedder_of"]


def embedder_of(name: str) -> Embedder | None:
    """Return the embedder of a name: `local`, `none`, or `package.module:name`, an embedder or what makes one.

    Raises:
        ConfigurationError: there is nothing of that name, or it is no embedder.
        MissingExtra: it is the local one, and the extra `local` is not installed.
    """
    if name == "none":
        return None
    made: Embedder = _embedders.embedder_of(name)
    return made
