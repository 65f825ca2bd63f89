"""Errors of statements that go to the driver without SQLAlchemy, as SQLAlchemy raises those of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from rowspace.errors import sqlstate_of

__all__ = ["as_sqlalchemy"]

_KINDS: dict[str, type[exc.DBAPIError]] = {
    kind.__name__: kind
    for kind in (
        exc.DataError,
        exc.IntegrityError,
        exc.InternalError,
        exc.NotSupportedError,
        exc.OperationalError,
        exc.ProgrammingError,
    )
}


@contextmanager
def as_sqlalchemy(statement: str) -> Iterator[None]:
    """Raise a driver's error in the SQLAlchemy class of its name, as an `OperationalError` for a timeout.

    asyncpg's errors have no such names: they are a `DBAPIError`, as they are to SQLAlchemy.
    """
    try:
        yield
    except exc.DBAPIError:
        raise
    except Exception as error:
        if sqlstate_of(error) is None:
            raise
        names = [base.__name__ for base in type(error).__mro__]
        kind = next((_KINDS[name] for name in names if name in _KINDS), exc.DBAPIError)
        raise kind(statement, None, error) from error
