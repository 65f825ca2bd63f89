"""One transaction for Django's ORM and for Rowspace."""

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
    """Yield a SQLAlchemy session on Django's own connection, inside of Django's transaction.

    What it wrote is committed or rolled back with everything else of the enclosing `transaction.atomic()`; the session
    itself commits nothing and closes nothing. The block is an atomic block of its own: an exception that leaves it
    undoes what was done inside, by either ORM. `commit()` flushes; `rollback()` rolls the whole block back at its end,
    and until then no more queries are possible.

    Args:
        using: an alias of `DATABASES`; by default that of the setting `ROWSPACE`.

    Raises:
        ConfigurationError: there is no transaction, or the database is not PostgreSQL on psycopg 3.
        django.core.exceptions.SynchronousOnlyOperation: in async code; use `sync_to_async` or `async_database`.
    """
    alias = alias_of(using)
    wrapper = connections[alias]
    check_backend(wrapper)
    wrapper.ensure_connection()
    if not wrapper.in_atomic_block:
        message = (
            f"A Rowspace session shares Django's transaction on {alias!r}, and there is none. Open one around it: "
            f"with transaction.atomic(using={alias!r}): ..., or set ATOMIC_REQUESTS."
        )
        raise ConfigurationError(message)
    with (
        mapped_errors(),
        transaction.atomic(using=alias),
        borrowed(wrapper) as connection,
        # rollback_only: a commit ends at the session, a rollback goes on to Django's block.
        Session(connection, join_transaction_mode="rollback_only", expire_on_commit=False) as made,
    ):
        # From the start, so that a rollback before the first statement is one too.
        made.connection()
        try:
            yield made
            made.flush()
        except (DBAPIError, StoreUnavailable):
            # Django looks at its connection before the next request uses it.
            wrapper.errors_occurred = True
            raise


def in_transaction(alias: str) -> AbstractContextManager[Any]:
    """Return the context of a transaction: the one at hand, where there is one, else a new one."""
    # A session brings a savepoint: inside of a block a second one would be for nothing.
    return nullcontext() if connections[alias].in_atomic_block else transaction.atomic(using=alias)


class DjangoSessions:
    """Sessions for a service that works in Django's transactions.

    Inside of an atomic block a call of the service is part of that block, outside it is a transaction of its own.

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
