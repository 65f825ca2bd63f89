"""The connection for `st.connection("rowspace", type=RowspaceConnection)`."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Unpack

import streamlit as st
from sqlalchemy.orm import Session
from streamlit.connections import BaseConnection

from rowspace import Database, DocumentService
from rowspace.engine import resolve_url
from rowspace.integrations._embedders import LOCAL, embedder_or_none
from rowspace.services import CollectionInfo, Embedder, SearchHit
from rowspace.services.requests import Query, SearchKeywords

__all__ = ["RowspaceConnection"]

# Seconds before a host that does not answer becomes an error: somebody is looking at the page.
_PATIENCE = 5


class RowspaceConnection(BaseConnection[Database]):
    """A database and an embedder, shared by all sessions of an app; Streamlit keeps and closes it.

    Options come from the keywords of `st.connection`, else from `[connections.<name>]` in `secrets.toml`:

    - `url`: the database; else `ROWSPACE_DATABASE_URL`, else the embedded server.
    - `schema`: the schema of Rowspace's tables.
    - `embedder`: `local`, `none`, or `module:attribute`, an embedder or what makes one; else `ROWSPACE_EMBEDDER`,
      else `local`.
    - anything else goes to `sqlalchemy.create_engine`.
    """

    def _connect(self, **given: Any) -> Database:
        options = {**self._secrets.to_dict(), **{key: value for key, value in given.items() if value is not None}}
        options.pop("type", None)
        self._embedder_name = options.pop("embedder", None) or os.environ.get("ROWSPACE_EMBEDDER") or LOCAL
        return self._open(options)

    def _open(self, options: dict[str, Any]) -> Database:
        url = resolve_url(options.pop("url", None))
        patience = {} if url is None or "connect_timeout" in url.query else {"connect_timeout": _PATIENCE}
        connect_args = {**patience, **options.pop("connect_args", {})}
        return Database.open(url, schema=options.pop("schema", None), connect_args=connect_args, **options)

    @property
    def database(self) -> Database:
        """The open database."""
        return self._instance

    @cached_property
    def embedder(self) -> Embedder | None:
        """The embedder, made when it is first asked for.

        Raises:
            ConfigurationError, MissingExtra: there is none of that name; it is not installed.
        """
        made: Embedder | None = embedder_or_none(self._embedder_name)
        return made

    @property
    def documents(self) -> DocumentService:
        """The service for documents, on this database and with this embedder."""
        return DocumentService(self.database, self.embedder)

    def session(self) -> AbstractContextManager[Session]:
        """Return a context with a session that the caller commits."""
        return self.database.session()

    def begin(self) -> AbstractContextManager[Session]:
        """Return a context with a session that is committed at its end, or rolled back on an error."""
        return self.database.begin()

    def collections(self, *, ttl: float | None = 60) -> list[CollectionInfo]:
        """Return all collections by name, remembered for `ttl` seconds; 0 asks each time, None never again."""
        found: list[CollectionInfo] = self._remembered(_collections, ttl)()
        return found

    def search(
        self, collection: str, query: Query, *, ttl: float | None = 60, **options: Unpack[SearchKeywords]
    ) -> list[SearchHit]:
        """Return the hits of `DocumentService.search`, remembered for `ttl` seconds; 0 asks each time.

        The errors are those of the service; an error is not remembered.
        """
        found: list[SearchHit] = self._remembered(_search, ttl)(collection, query, options)
        return found

    def reset(self) -> None:
        """Close the database; the next use opens it again."""
        self.close()
        super().reset()
        self.__dict__.pop("embedder", None)

    def close(self) -> None:
        """Close the database; Streamlit calls it when it lets go of the connection."""
        if self._raw_instance is not None:
            self._raw_instance.close()

    def _remembered(self, function: Any, ttl: float | None) -> Any:
        def call(*arguments: Any) -> Any:
            return function(self, *arguments)

        # Streamlit keeps a cache a function by its name: one a connection, and one a lifetime.
        call.__qualname__ = f"{function.__qualname__}_{self._connection_instance_id}_{ttl}"
        return call if ttl == 0 else st.cache_data(ttl=ttl, show_spinner=False, max_entries=1_000)(call)


def _collections(connection: RowspaceConnection) -> list[CollectionInfo]:
    return connection.documents.collections()


def _search(connection: RowspaceConnection, collection: str, query: Any, options: dict[str, Any]) -> list[SearchHit]:
    return connection.documents.search(collection, query, **options)
