"""The state that pages share: the connection, and cached data about collections."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import streamlit as st

from rowspace import Database
from rowspace.errors import SchemaNotReady, StoreUnavailable
from rowspace.integrations._explained import is_explained, sentence_of
from rowspace.integrations.rag import AnswerService
from rowspace.integrations.streamlit import sampling, searching
from rowspace.integrations.streamlit.cards import quoted
from rowspace.integrations.streamlit.connection import RowspaceConnection
from rowspace.integrations.streamlit.filters import Facet
from rowspace.integrations.streamlit.options import current
from rowspace.projection import Axes
from rowspace.services import CollectionInfo, SearchHit, SearchRequest

__all__ = [
    "CHOSEN",
    "NEXT",
    "answers",
    "chosen",
    "connection",
    "explained",
    "facets",
    "forget",
    "hits",
    "map_of",
    "marks",
    "size",
    "why_not",
]

#: The key of the chosen collection in the session's state.
CHOSEN = "collection"
#: The key of the collection to choose next, into which a file was loaded.
NEXT = "collection_loaded"

#: How many seconds samples stay cached. Each click runs the page again.
_TTL = 120

_LOG = logging.getLogger("rowspace.ui")


class _Connection(RowspaceConnection):
    """The connection of the application, on a database that is already open if one was passed."""

    def _open(self, options: dict[str, Any]) -> Database:
        given: Database | None = current().database
        return super()._open(options) if given is None else given

    def close(self) -> None:
        """Close the database, unless it was passed."""
        if current().database is None:
            super().close()


def connection() -> RowspaceConnection:
    """Return the connection of the application."""
    options = current()
    return st.connection(
        "rowspace", type=_Connection, url=options.url, schema=options.schema, embedder=options.embedder
    )


@contextmanager
def explained() -> Iterator[None]:
    """Show an error as one sentence, and a retry button if that may help. Details go only to the log."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 -- any failure of a page ends here, not on the page
        if is_explained(error):
            st.error(quoted(sentence_of(error)), icon=":material/error:")
        else:
            _LOG.exception("A page failed")
            st.error(f"This page failed because of an error in Rowspace ({type(error).__name__}). See the terminal.")
        if isinstance(error, StoreUnavailable | SchemaNotReady):
            st.button("Try again", icon=":material/refresh:")


def chosen() -> CollectionInfo:
    """Return the current state of the chosen collection. If there is none, show what to do and end the page."""
    found = {one.name: one for one in connection().collections(ttl=0)}
    name = st.session_state.get(CHOSEN)
    if name not in found:
        st.info(
            "There is no collection yet. Load a file on the page **Load**, or run `rowspace demo` to create a "
            "collection of about 5,500 texts.",
            icon=":material/inbox:",
        )
        st.stop()
    return found[name]


def size(collection: str) -> int:
    """Return the number of documents in a collection, cached for some seconds."""
    return int(_size(connection(), collection))


def why_not(collection: CollectionInfo) -> str | None:
    """Return the reason why a collection cannot be searched by meaning, or None if it can."""
    return searching.unlike(collection, connection().embedder, empty=size(collection.name) == 0)


def facets(collection: str) -> list[Facet]:
    """Return the facets of a collection, cached for a while."""
    found: list[Facet] = _facets(connection(), collection, size(collection))
    return found


def hits(collection: str, request: SearchRequest) -> list[SearchHit]:
    """Return the hits of a search, cached for some seconds."""
    found: list[SearchHit] = _hits(connection(), collection, request)
    return found


def map_of(collection: str, most: int) -> tuple[Axes | None, list[dict[str, Any]]]:
    """Return the plane of a sample of a collection and its points, cached for a while."""
    found: tuple[Axes | None, list[dict[str, Any]]] = _map(connection(), collection, size(collection), most)
    return found


def marks(collection: str, text: str, k: int, most: int) -> list[dict[str, Any]]:
    """Return the points of a query and its hits on the map of a collection."""
    plane, _ = map_of(collection, most)
    if plane is None or not text:
        return []
    with connection().begin() as session:
        return sampling.marks_of(session, collection, plane, text, k=k, embedder=connection().embedder)


def answers() -> AnswerService:
    """Return the answer service, with the model of the options."""
    service: AnswerService = _answers(connection(), current().model)
    return service


#: In cache keys, a connection is represented by its instance id.
_KEYS: Any = {_Connection: attrgetter("_connection_instance_id")}


@st.cache_data(ttl=30, show_spinner=False, max_entries=100, hash_funcs=_KEYS)
def _size(connection: RowspaceConnection, collection: str) -> int:
    with connection.begin() as session:
        return sampling.size_of(session, collection)


@st.cache_data(ttl=_TTL, show_spinner=False, max_entries=100, hash_funcs=_KEYS)
def _facets(connection: RowspaceConnection, collection: str, size: int) -> list[Facet]:
    with connection.begin() as session:
        return sampling.facets(session, collection, size)


@st.cache_data(ttl=30, show_spinner=False, max_entries=200, hash_funcs=_KEYS)
def _hits(connection: RowspaceConnection, collection: str, request: SearchRequest) -> list[SearchHit]:
    return connection.documents.search(collection, request)


@st.cache_data(ttl=_TTL, show_spinner=False, max_entries=20, hash_funcs=_KEYS)
def _map(connection: RowspaceConnection, collection: str, size: int, most: int) -> Any:
    with connection.begin() as session:
        return sampling.map_of(session, collection, size, most)


@st.cache_resource(show_spinner=False, max_entries=10, hash_funcs=_KEYS)
def _answers(connection: RowspaceConnection, model: str | None) -> AnswerService:
    return AnswerService(connection.database, connection.embedder, model=model)


def forget() -> None:
    """Clear the cached data about collections, because one has changed."""
    for remembered in (_size, _facets, _hits, _map):
        remembered.clear()
