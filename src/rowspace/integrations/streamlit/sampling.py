"""What a page shows of a collection, from a sample if it is large."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import Session

from rowspace.integrations.streamlit.filters import MOST_VALUES, Facet, choice, keys_of, numeric, range_of
from rowspace.integrations.streamlit.projection import placed, plane_of, point, scaled
from rowspace.models import Document
from rowspace.projection import Axes
from rowspace.repositories import BrowseRepository, CollectionRepository, DocumentRepository
from rowspace.services.embedding import check_embedder, embed_query

__all__ = ["COUNTED", "facets", "map_of", "marks_of", "size_of"]

#: How many documents are inspected to find the metadata keys.
_LOOKED_AT = 200
#: In larger collections, values are counted in a sample of about this size.
COUNTED = 20_000


def size_of(session: Session, name: str) -> int:
    """Return the number of documents in a collection. Costs a pass over its primary key."""
    return DocumentRepository(session, CollectionRepository(session).get(name)).count()


def facets(session: Session, name: str, size: int) -> list[Facet]:
    """Return the facets of a collection. In a large one, values are counted in a sample.

    Args:
        session: a SQLAlchemy session.
        name: the collection.
        size: its approximate number of documents.
    """
    browse = BrowseRepository(session, CollectionRepository(session).get(name))
    where = _share(size, COUNTED)
    rows = browse.scroll(_LOOKED_AT, where=_share(size, _LOOKED_AT * 5)).items
    made = []
    for key, seen in keys_of(row.meta for row in rows).items():
        if numeric(seen):
            made.append(range_of(key, browse.stats(key, where=where)))
        else:
            counts = browse.facets(key, where=where, limit=MOST_VALUES)[key]
            made.append(choice(key, seen, counts, of=size, every=_every(size, COUNTED)))
    return [facet for facet in made if facet is not None]


def map_of(session: Session, name: str, size: int, most: int) -> tuple[Axes | None, list[dict[str, Any]]]:
    """Return the plane of a sample of a collection and its points, or no plane for fewer than two documents.

    Args:
        session: a SQLAlchemy session.
        name: the collection.
        size: its approximate number of documents.
        most: the maximum size of the sample.
    """
    collection = CollectionRepository(session).get(name)
    browse = BrowseRepository(session, collection)
    rows = browse.scroll(most, where=_share(size, most), with_embedding=True).items
    if len(rows) < 2:
        return None, []
    vectors = scaled((row.embedding for row in rows), collection.distance)
    plane = plane_of(vectors)
    at = placed(plane, vectors)
    return plane, [point(row.id, row.content, row.meta, xy) for row, xy in zip(rows, at, strict=True)]


def marks_of(session: Session, name: str, plane: Axes, text: str, *, k: int, embedder: Any) -> list[dict[str, Any]]:
    """Return the points of a query and its hits, best first, on a plane.

    Raises:
        EmbedderMismatch, ConfigurationError: another embedder filled the collection, or there is none.
    """
    collection = CollectionRepository(session).get(name)
    check_embedder(collection, embedder)
    query = embed_query(embedder, text)
    hits = DocumentRepository(session, collection).nearest(query, k, with_embedding=True)
    vectors = scaled([query, *(hit.entity.embedding for hit in hits)], collection.distance)
    first, *others = placed(plane, vectors)
    rows = zip(enumerate(hits, 1), others, strict=True)
    marks = [point(h.entity.id, h.entity.content, h.entity.meta, xy, what="hit", rank=r) for (r, h), xy in rows]
    return [point("the query", text, {}, first, what="query", rank=0), *marks]


def _share(size: int, most: int) -> list[ColumnElement[bool]] | None:
    """Return a condition that selects about `most` of `size` documents, always the same ones; None selects all."""
    every = _every(size, most)
    # By a hash of the id. The first ids could be the oldest documents, or those of a single file.
    return None if every <= 1 else [func.hashtext(Document.id) % every == 0]


def _every(size: int, most: int) -> int:
    """Return the interval n for which every n-th of `size` documents gives at most `most` documents."""
    return max(1, -(-size // most))
