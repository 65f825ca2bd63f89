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

# Seconds to wait for a host that does not respond. Short, because someone is waiting for the page.
_PATIENCE = 5


class RowspaceConnection(BaseConnection[Database]):
    """A database and an embedder that all sessions of an app share. Streamlit keeps it and closes it.

    Options come from the keyword arguments of `st.connection`, then from `[connections.<name>]` in `secrets.toml`:

    - `url`: the database; by default `ROWSPACE_DATABASE_URL`, otherwise the embedded server.
    - `schema`: the schema of Rowspace's tables.
    - `embedder`: `local`, `none`, or `module:attribute`, which names an embedder or a factory; by default
      `ROWSPACE_EMBEDDER`, otherwise `local`.
    - other options go to `sqlalchemy.create_engine`.
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
        """The embedder, created on first use.

        Raises:
            ConfigurationError, MissingExtra: the embedder does not exist, or is not installed.
        """
        made: Embedder | None = embedder_or_none(self._embedder_name)
        return made

    @property
    def documents(self) -> DocumentService:
        """The document service on this database, with this embedder."""
        return DocumentService(self.database, self.embedder)

    def session(self) -> AbstractContextManager[Session]:
        """Return a context with a session. The caller commits."""
        return self.database.session()

    def begin(self) -> AbstractContextManager[Session]:
        """Return a context with a session that commits at the end, or rolls back on an error."""
        return self.database.begin()

    def collections(self, *, ttl: float | None = 60) -> list[CollectionInfo]:
        """Return all collections by name, cached for `ttl` seconds; 0 disables the cache, None keeps it forever."""
        found: list[CollectionInfo] = self._remembered(_collections, ttl)()
        return found

    def search(
        self, collection: str, query: Query, *, ttl: float | None = 60, **options: Unpack[SearchKeywords]
    ) -> list[SearchHit]:
        """Return the hits of `DocumentService.search`, cached for `ttl` seconds; 0 disables the cache.

        It raises the errors of the service. Errors are not cached.
        """
        found: list[SearchHit] = self._remembered(_search, ttl)(collection, query, options)
        return found

    def reset(self) -> None:
        """Close the database. The next use opens it again."""
        self.close()
        super().reset()
        self.__dict__.pop("embedder", None)

    def close(self) -> None:
        """Close the database. Streamlit calls this when it discards the connection."""
        if self._raw_instance is not None:
            self._raw_instance.close()

    def _remembered(self, function: Any, ttl: float | None) -> Any:
        def call(*arguments: Any) -> Any:
            return function(self, *arguments)

        # Streamlit caches per function name, so create one name for each connection and lifetime.
        call.__qualname__ = f"{function.__qualname__}_{self._connection_instance_id}_{ttl}"
        return call if ttl == 0 else st.cache_data(ttl=ttl, show_spinner=False, max_entries=1_000)(call)


def _collections(connection: RowspaceConnection) -> list[CollectionInfo]:
    return connection.documents.collections()


def _search(connection: RowspaceConnection, collection: str, query: Any, options: dict[str, Any]) -> list[SearchHit]:
    return connection.documents.search(collection, query, **options)
