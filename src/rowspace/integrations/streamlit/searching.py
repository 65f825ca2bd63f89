"""The searches on offer: by meaning, by both, by keyword, and by meaning but not all alike. No Streamlit."""

from __future__ import annotations

from typing import Literal

from rowspace.services import CollectionInfo, Embedder, embedder_name

__all__ = ["MODES", "Mode", "modes_for", "unlike"]

Mode = Literal["vector", "hybrid", "text", "mmr"]

#: What a mode is called on the page.
MODES: dict[Mode, str] = {"vector": "Meaning", "hybrid": "Hybrid", "text": "Keywords", "mmr": "Variety"}


def unlike(collection: CollectionInfo, embedder: Embedder | None, *, empty: bool) -> str | None:
    """Return in a sentence why texts cannot be compared with a collection by meaning; None where they can."""
    name = repr(collection.name)
    if embedder is None:
        return "There is no embedder, so the search is by keyword. Start with --embedder."
    if collection.embedder is None and not empty:
        return f"{name} holds vectors that were loaded as such, so the search is by keyword."
    mine = embedder_name(embedder)
    if collection.embedder not in {None, mine}:
        return f"{name} was filled by the embedder {collection.embedder!r}, this one is {mine!r}: search by keyword."
    return None


def modes_for(reason: str | None) -> list[Mode]:
    """Return the modes on offer, given what `unlike` said."""
    return [*MODES] if reason is None else ["text"]
