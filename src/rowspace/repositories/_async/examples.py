"""Fetch the embeddings of rows by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import RowNotFound, mapped_errors
from rowspace.repositories.subjects import Subject
from rowspace.statements.examples import embeddings_of

__all__ = ["fetch_embeddings", "find_embeddings"]


async def find_embeddings(
    session: AsyncSession, subject: Subject[Any], keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], Any]:
    """Return the embeddings of the existing rows by key, in one statement; None for a row without one."""
    if not keys:
        return {}
    with mapped_errors():
        rows = await session.execute(embeddings_of(subject.target, keys))
        return {tuple(key): embedding for *key, embedding in rows}


async def fetch_embeddings(
    session: AsyncSession, subject: Subject[Any], keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], Any]:
    """Return the embeddings of rows by their keys, in one statement, and in one more for each that is not found.

    Raises:
        RowNotFound: there is no row of a key, or it has no embedding.
    """
    found = await find_embeddings(session, subject, keys)
    for key in keys:
        if key not in found:
            # A key that only the server considers equal, such as a UUID as text or a citext in another case.
            found |= zip([key], (await find_embeddings(session, subject, [key])).values(), strict=False)
        if found.get(key) is None:
            shown = repr(key[0] if len(key) == 1 else key)
            message = f"{subject.name} has no row {shown}" if key not in found else f"The row {shown} has no embedding"
            raise RowNotFound(message[0].upper() + message[1:] + ".")
    return found
