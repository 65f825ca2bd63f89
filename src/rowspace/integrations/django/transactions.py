"""One transaction for Django's ORM and Rowspace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from django.db import connections, transaction
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from rowspace.errors import ConfigurationError, StoreUnavailable, mapped_errors
from rowspace.integrations.django.borrowing import borrowed
from rowspace.integrations.django.conf import alias_of, embedder
from rowspace.integrations.django.databases import check_backend
from rowspace.services import DocumentService, Embedder

__all__ = ["DjangoSessions", "document_service", "in_transaction", "session"]


@contextmanager
def session(using: str | None = None) -> Iterator[Session]:
    """Yield a SQLAlchemy session on Django's connection, in Django's transaction.

    Its writes are committed or rolled back with the enclosing `transaction.atomic()`. The session itself neither
    commits nor closes anything. The block is a nested atomic block: an exception that leaves it undoes the changes
    made in it through either ORM. `commit()` flushes. `rollback()` marks the block for rollback at its end, and until
    then allows no more queries.

    Args:
        using: an alias of `DATABASES`; by default that of the setting `ROWSPACE`.

    Raises:
        ConfigurationError: there is no transaction, or the database is not PostgreSQL on psycopg 3.
        django.core.exceptions.SynchronousOnlyOperation: the caller is async; use `sync_to_async` or `async_database`.
    """
    alias = alias_of(using)
    wrapper = connections[alias]
    check_backend(wrapper)
    wrapper.ensure_connection()
    if not wrapper.in_atomic_block:
        message = (
            f"A Rowspace session needs a Django transaction on {alias!r}, but none is open. Open one: "
            f"with transaction.atomic(using={alias!r}): ..., or set ATOMIC_REQUESTS."
        )
        raise ConfigurationError(message)
    with (
        mapped_errors(),
        transaction.atomic(using=alias),
        borrowed(wrapper) as connection,
        # rollback_only: a commit affects only the session, but a rollback reaches Django's block.
        Session(connection, join_transaction_mode="rollback_only", expire_on_commit=False) as made,
    ):
        # Begin now, so that a rollback before the first statement takes effect too.
        made.connection()
        try:
            yield made
            made.flush()
        except (DBAPIError, StoreUnavailable):
            # Makes Django check its connection before the next request uses it.
            wrapper.errors_occurred = True
            raise


def in_transaction(alias: str) -> AbstractContextManager[Any]:
    """Return the context of a transaction: a new one, unless one is open."""
    # A session adds a savepoint, so a second one inside a block would be redundant.
    return nullcontext() if connections[alias].in_atomic_block else transaction.atomic(using=alias)


class DjangoSessions:
    """Sessions for a service that works in Django's transactions.

    Inside an atomic block, a call of the service is part of that block. Outside, it is a transaction of its own.

    Args:
        using: an alias of `DATABASES`; by default that of the setting `ROWSPACE`.
    """

    def __init__(self, using: str | None = None) -> None:
        self._using = using

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Yield a session inside of an atomic block."""
        alias = alias_of(self._using)
        with in_transaction(alias), session(alias) as made:
            yield made


def document_service(using: str | None = None, *, embed: Embedder | None = None) -> DocumentService:
    """Return a `DocumentService` in Django's transactions, with `embed` or the embedder of the setting `ROWSPACE`."""
    return DocumentService(DjangoSessions(using), embed if embed is not None else embedder())
