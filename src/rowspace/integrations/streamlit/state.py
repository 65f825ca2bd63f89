"""What pages ask for: the connection, and what is remembered for a while of a collection."""

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

#: The key of the collection that was chosen, in the session's state.
CHOSEN = "collection"
#: The key of the one to choose next: where a file went.
NEXT = "collection_loaded"

#: Seconds for which counts and samples hold: a page is asked again at each click.
_TTL = 120

_LOG = logging.getLogger("rowspace.ui")


class _Connection(RowspaceConnection):
    """The connection of the application, on the database that it was started with where that is open already."""

    def _open(self, options: dict[str, Any]) -> Database:
        given: Database | None = current().database
        return super()._open(options) if given is None else given

    def close(self) -> None:
        """Close what was opened here."""
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
    """Show an error as one sentence, with a way to try again where that may help; details go to the log alone."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 -- whatever happens on a page ends here, and not on the page
        if is_explained(error):
            st.error(quoted(sentence_of(error)), icon=":material/error:")
        else:
            _LOG.exception("A page failed")
            st.error(f"This page failed, which is a fault of Rowspace ({type(error).__name__}). The terminal has more.")
        if isinstance(error, StoreUnavailable | SchemaNotReady):
            st.button("Try again", icon=":material/refresh:")


def chosen() -> CollectionInfo:
    """Return the collection that was chosen, as it is now; without any, show what to do and end the page."""
    found = {one.name: one for one in connection().collections(ttl=0)}
    name = st.session_state.get(CHOSEN)
    if name not in found:
        st.info(
            "There is no collection yet. Load a file on the page **Load**, or run `rowspace demo` for a collection of "
            "some 5,000 texts.",
            icon=":material/inbox:",
        )
        st.stop()
    return found[name]


def size(collection: str) -> int:
    """Return how many documents a collection has, as of some seconds ago."""
    return int(_size(connection(), collection))


def why_not(collection: CollectionInfo) -> str | None:
    """Return why texts cannot be compared with a collection by meaning; None where they can."""
    return searching.unlike(collection, connection().embedder, empty=size(collection.name) == 0)


def facets(collection: str) -> list[Facet]:
    """Return what a collection can be filtered by, as of a while ago."""
    found: list[Facet] = _facets(connection(), collection, size(collection))
    return found


def hits(collection: str, request: SearchRequest) -> list[SearchHit]:
    """Return the hits of a search, as of some seconds ago."""
    found: list[SearchHit] = _hits(connection(), collection, request)
    return found


def map_of(collection: str, most: int) -> tuple[Axes | None, list[dict[str, Any]]]:
    """Return the plane of a sample of a collection and its points, as of a while ago."""
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
    """Return the service that answers questions, with the model of the options."""
    service: AnswerService = _answers(connection(), current().model)
    return service


#: In the key of what is remembered, a connection is what tells it from any other.
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
    """Forget what is remembered of collections, as one was changed."""
    for remembered in (_size, _facets, _hits, _map):
        remembered.clear()
