"""The available search modes: by meaning, by keyword, both, or by meaning with variety. No Streamlit."""

from __future__ import annotations

from typing import Literal

from rowspace.services import CollectionInfo, Embedder, embedder_name

__all__ = ["MODES", "Mode", "modes_for", "unlike"]

Mode = Literal["vector", "hybrid", "text", "mmr"]

#: The labels of the modes on the page.
MODES: dict[Mode, str] = {"vector": "Meaning", "hybrid": "Hybrid", "text": "Keywords", "mmr": "Variety"}


def unlike(collection: CollectionInfo, embedder: Embedder | None, *, empty: bool) -> str | None:
    """Return the reason, as a sentence, why a collection cannot be searched by meaning, or None if it can."""
    name = repr(collection.name)
    if embedder is None:
        return "There is no embedder, so search by keyword, or start the application with --embedder."
    if collection.embedder is None and not empty:
        return f"The vectors of {name} were imported, so the embedder is unknown. Search by keyword."
    mine = embedder_name(embedder)
    if collection.embedder not in {None, mine}:
        return (
            f"{name} was filled by the embedder {collection.embedder!r}, but this one is {mine!r}. Search by keyword."
        )
    return None


def modes_for(reason: str | None) -> list[Mode]:
    """Return the available modes, given the result of `unlike`."""
    return [*MODES] if reason is None else ["text"]
