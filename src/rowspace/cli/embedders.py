"""The embedder of a command: the local one, or what a name of the form `module:attribute` says."""

from __future__ import annotations

from functools import partial
from typing import Any

from rowspace.integrations._embedders import embedder_of as named_embedder

__all__ = ["embedder_of"]


def embedder_of(name: str, *, processes: int = 1) -> Any:
    """Return the embedder of a name; with more than one process, each has an instance of its own.

    Args:
        name: `local`, or `module:attribute`: an embedder, or a class or function that returns one.
        processes: how many embed at the same time.

    Raises:
        ConfigurationError: there is no such module or attribute, or it is no embedder.
        MissingExtra: it is the local one, and the extra `local` is not installed.
    """
    if processes == 1:
        return named_embedder(name)
    from rowspace.integrations.embedding import ParallelEmbedder

    return ParallelEmbedder(partial(named_embedder, name), processes=processes)
