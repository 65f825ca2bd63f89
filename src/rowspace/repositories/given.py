"""What a caller hands over: several rows, keys, ids or conditions, as one would be taken for something else.

And how many of them go at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from inspect import iscoroutinefunction
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from sqlalchemy import ClauseElement, ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession, async_object_session, async_scoped_session
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.sql.elements import SQLCoreOperations
from sqlalchemy.util.concurrency import in_greenlet

from rowspace.errors import ConfigurationError, InvalidRow, InvalidSetting, InvalidText
from rowspace.models import Collection
from rowspace.settings import check_count

__all__ = [
    "AnySession",
    "AsyncAnySession",
    "at_hand",
    "callback",
    "conditions",
    "ids_of",
    "is_text",
    "mapping",
    "session_of",
    "several",
    "size",
]

F = TypeVar("F")
S = TypeVar("S")
G = TypeVar("G", bound=Iterable[Any] | AsyncIterable[Any])

#: What a repository works in; a scoped session is the one of a thread, a task or a request.
AnySession: TypeAlias = Session | scoped_session[Any]
AsyncAnySession: TypeAlias = AsyncSession | async_scoped_session[Any]


def at_hand(collection: Collection) -> Collection:
    """Return a collection whose attributes can be read.

    Raises:
        ConfigurationError: its async session has expired them, and could read them again only where it is awaited.
    """
    state = instance_state(collection)
    if state.expired and async_object_session(collection) is not None and not in_greenlet():
        message = (
            "The session has expired this collection, as it does with its objects at a rollback: get the collection "
            "again, or `await session.refresh(collection)`."
        )
        raise ConfigurationError(message)
    return collection


def session_of(given: Any, kind: type[S]) -> S:
    """Return a session, or what stands for one, such as a scoped session.

    Raises:
        ConfigurationError: it is one of the other side, or what sessions are made by; or it spreads over several
            databases.
    """
    if issubclass(_class_of(given), ShardedSession):
        # SQLAlchemy appends the rows of one to those of another: neither sorted nor counted as one.
        message = "A ShardedSession is of several databases: search each in a Session of its own, and merge the hits."
        raise ConfigurationError(message)
    if not isinstance(given, kind):
        flush = getattr(given, "flush", None)
        if flush is None or iscoroutinefunction(flush) != issubclass(kind, AsyncSession):
            # Not what it is: it may be a URL with a password.
            message = (
                f"Expected a SQLAlchemy {kind.__name__}, got {type(given).__name__}: what is called Async... takes an "
                "AsyncSession, such as `AsyncDatabase.session()` yields, and the others a Session."
            )
            raise ConfigurationError(message)
    return cast("S", given)


def _class_of(session: Any) -> Any:
    """Return the class of the sync session within; of a scoped one, which may have none yet, of those that it makes."""
    if not isinstance(session, scoped_session | async_scoped_session):
        return getattr(session, "sync_session", session).__class__
    # Any other function may make them as well.
    factory: Any = session.session_factory
    made = getattr(factory, "class_", object)
    return getattr(factory, "kw", {}).get("sync_session_class", getattr(made, "sync_session_class", made))


def several(given: G, what: str) -> G:
    """Return what was given, unless it is one of the things and not several.

    Raises:
        ConfigurationError: it is a text, of which each character would be taken for one, a mapping, or not iterable.
    """
    is_iterable = any(hasattr(given, name) for name in ("__iter__", "__aiter__", "__getitem__"))
    if isinstance(given, str | bytes | Mapping) or not is_iterable:
        message = (
            f"Expected {what} as a list or another iterable, got {type(given).__name__} {given!r:.60}: write [...]."
        )
        raise ConfigurationError(message)
    return given


def is_text(value: Any) -> bool:
    """Tell whether a value is text that PostgreSQL can hold; drivers say in different ways, or not, that it is none."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def ids_of(given: Iterable[str]) -> list[str]:
    """Return the ids of documents.

    Raises:
        ConfigurationError: one text in place of several.
        InvalidText: one that cannot be an id, such as a number: some drivers would look for its text, others not.
    """
    ids = list(several(given, "ids"))
    for id_ in ids:
        if not is_text(id_):
            message = f"The id of a document is text without NUL bytes and lone surrogates, got {id_!r:.60}."
            raise InvalidText(message)
    return ids


def conditions(where: Any) -> tuple[ColumnElement[bool], ...]:
    """Return conditions on a model, none for None.

    Raises:
        ConfigurationError: one condition in place of several, or what is none. SQLAlchemy takes `Article.year == 2020`
            for false where Python asks, and no condition would be left.
    """
    if where is None:
        return ()
    if isinstance(where, str | bytes | SQLCoreOperations) or not isinstance(where, Iterable):
        message = f"Expected where as a list of conditions or a filter as a dict, got {where!s:.60}: write [...]."
        raise ConfigurationError(message)
    clauses = tuple(where)
    for clause in clauses:
        if not isinstance(clause, ClauseElement | SQLCoreOperations | bool | np.bool_):
            message = (
                f"Expected conditions on the model in where, such as [Article.year > 2020], got {clause!r:.60}; "
                "a filter is a dict by itself."
            )
            raise ConfigurationError(message)
    return clauses


def mapping(name: str, given: Any) -> dict[str, Any]:
    """Return a mapping of the caller's as a dict.

    Raises:
        InvalidRow: it is none.
    """
    if not isinstance(given, Mapping):
        message = f"{name} is a mapping of keys to values, got {type(given).__name__} {given!r:.60}."
        raise InvalidRow(message)
    return dict(given)


def callback(name: str, given: F) -> F:
    """Return a function of the caller's, or None, before a load is under way that calls it at last.

    Raises:
        ConfigurationError: it cannot be called.
    """
    if given is not None and not callable(given):
        message = f"{name} is a function, such as the append of a list, got {type(given).__name__} {given!r:.60}."
        raise ConfigurationError(message)
    return given


def size(name: str, given: Any) -> int:
    """Return how many go at once, also of NumPy's numbers.

    Raises:
        ConfigurationError: no whole number of at least 1, with which a load would never come to its end, or at once.
    """
    try:
        return check_count(name, given)
    except InvalidSetting as error:
        raise ConfigurationError(str(error)) from None
