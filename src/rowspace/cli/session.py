"""What a command works with while it runs: the database of the settings, a document service, an embedder."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from rowspace.cli.process import unhurried
from rowspace.cli.settings import Settings
from rowspace.errors import CollectionNotFound
from rowspace.integrations._embedders import embedder_of

if TYPE_CHECKING:
    from sqlalchemy import URL

    from rowspace import Database, DocumentService

__all__ = [
    "collection_hint",
    "embedded_url",
    "embedder_for",
    "one_transaction",
    "open_database",
    "place_of",
    "service",
    "settings_of",
]


def settings_of(context: typer.Context) -> Settings:
    """Return the settings of the running command."""
    settings: Settings = context.find_root().obj
    return settings


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """Open the database of the settings. If it is the embedded server, the server stops at the end.

    If a collection is not found, the error suggests a similar name.
    """
    from rowspace import Database

    if settings.database is not None:
        # It belongs to the host program. A URL could not convey its connections' search path or custom creator.
        with _suggestions(settings.database):
            yield settings.database
        return
    given = _given_url(settings)
    with embedded_url(settings) if given is None else nullcontext(given) as url:
        options: dict[str, Any] = {"schema": settings.database_schema, "connect_args": _connect_args(url)}
        with Database.open(url, **options) as database, _suggestions(database):
            yield database


def _given_url(settings: Settings) -> URL | None:
    """Return the URL of the settings, whatever its driver. None means the embedded server."""
    if settings.database_url is None:
        return None
    from rowspace.migrations.urls import migration_url

    return migration_url(settings.database_url.get_secret_value())


@contextmanager
def embedded_url(settings: Settings) -> Iterator[URL]:
    """Start the embedded server of the settings and yield the URL of its database. The server stops at the end."""
    from rowspace.embedded import EmbeddedServer

    server = EmbeddedServer(settings.data_dir)
    try:
        yield server.url
    finally:
        with unhurried():
            server.stop()


def _connect_args(url: URL) -> dict[str, Any]:
    # Without a timeout, a host that does not respond would block the command for minutes.
    # Prepared statements do not survive PgBouncer.
    options = {"connect_timeout": 10, "application_name": "rowspace", "prepare_threshold": None}
    return {key: value for key, value in options.items() if key not in url.query}


def place_of(settings: Settings) -> str:
    """Return a description of where the documents are, without a password."""
    from rowspace.embedded import default_data_dir
    from rowspace.urls import shown

    given = _given_url(settings)
    return f"the embedded PostgreSQL in {settings.data_dir or default_data_dir()}" if given is None else shown(given)


@contextmanager
def service(settings: Settings, embedder: Any = None) -> Iterator[DocumentService]:
    """Open the database of the settings and yield a document service on it."""
    from rowspace import DocumentService

    with open_database(settings) as database:
        yield DocumentService(database, embedder)


@contextmanager
def embedder_for(name: str, processes: int) -> Iterator[Any]:
    """Yield the embedder of that name. With more than one process, each process has its own instance."""
    if processes == 1:
        yield embedder_of(name)
        return
    from rowspace.integrations.embedding import ParallelEmbedder

    with ParallelEmbedder(partial(embedder_of, name), processes=processes) as made:
        yield made


@contextmanager
def _suggestions(database: Database) -> Iterator[None]:
    from rowspace import CollectionRepository

    try:
        yield
    except CollectionNotFound as error:
        with database.begin() as session:
            names = [collection.name for collection in CollectionRepository(session).list()]
        message = f"{error} {collection_hint(str(error), names)}"
        raise CollectionNotFound(message) from error


@contextmanager
def one_transaction(database: Database) -> Iterator[Any]:
    """Yield sessions for a service. They share a transaction, which the end of the block commits or rolls back."""
    from rowspace.integrations._sides import Joined

    with database.begin() as session:
        yield Joined(session)


def collection_hint(message: str, names: Sequence[str]) -> str:
    """Return a suggestion for the misspelled name that stands in quotes in `message`."""
    if not names:
        return "There are no collections yet. `rowspace ingest` creates one, and `rowspace demo` creates an example."
    wanted = message.partition("'")[2].rpartition("'")[0]
    close = difflib.get_close_matches(wanted, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Existing collections: {', '.join(sorted(names))}."
