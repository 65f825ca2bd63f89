"""Checks of arguments: sizes, and sequences for which a single value would be misunderstood."""

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

#: The sessions that a repository accepts; a scoped session stands for the one of a thread, a task or a request.
AnySession: TypeAlias = Session | scoped_session[Any]
AsyncAnySession: TypeAlias = AsyncSession | async_scoped_session[Any]


def at_hand(collection: Collection) -> Collection:
    """Return a collection whose attributes can be read.

    Raises:
        ConfigurationError: they have expired, and its async session can refresh them only with `await`.
    """
    state = instance_state(collection)
    if state.expired and async_object_session(collection) is not None and not in_greenlet():
        message = (
            "The session has expired this collection, as a rollback does with all objects. Get the collection again, "
            "or call `await session.refresh(collection)`."
        )
        raise ConfigurationError(message)
    return collection


def session_of(given: Any, kind: type[S]) -> S:
    """Return a session, or a stand-in for one such as a scoped session.

    Raises:
        ConfigurationError: it is async instead of sync or the reverse, a session factory, or a sharded session.
    """
    if issubclass(_class_of(given), ShardedSession):
        # SQLAlchemy concatenates the rows of the databases, without sorting them or applying k to all of them.
        message = "A ShardedSession has several databases. Search each in its own Session, and merge the hits."
        raise ConfigurationError(message)
    if not isinstance(given, kind):
        flush = getattr(given, "flush", None)
        if flush is None or iscoroutinefunction(flush) != issubclass(kind, AsyncSession):
            # Only the name of its type: the value could be a URL with a password.
            message = (
                f"Expected a SQLAlchemy {kind.__name__}, got {type(given).__name__}. Classes called Async... need an "
                "AsyncSession, as from `AsyncDatabase.session()`; the others need a Session."
            )
            raise ConfigurationError(message)
    return cast("S", given)


def _class_of(session: Any) -> Any:
    """Return the class of the sync session inside; for a scoped session, the class of those it creates."""
    if not isinstance(session, scoped_session | async_scoped_session):
        return getattr(session, "sync_session", session).__class__
    # Any other function can create sessions too.
    factory: Any = session.session_factory
    made = getattr(factory, "class_", object)
    return getattr(factory, "kw", {}).get("sync_session_class", getattr(made, "sync_session_class", made))


def several(given: G, what: str) -> G:
    """Return the argument, if it is several values and not a single one.

    Raises:
        ConfigurationError: it is a string, whose characters would be treated as the values, a mapping, or not iterable.
    """
    is_iterable = any(hasattr(given, name) for name in ("__iter__", "__aiter__", "__getitem__"))
    if isinstance(given, str | bytes | Mapping) or not is_iterable:
        message = (
            f"Expected {what} as a list or another iterable, got {type(given).__name__} {given!r:.60}. Write [...]."
        )
        raise ConfigurationError(message)
    return given


def is_text(value: Any) -> bool:
    """Return whether a value is text that PostgreSQL can store; drivers differ in how they refuse others."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def ids_of(given: Iterable[str]) -> list[str]:
    """Return the ids of documents, checked.

    Raises:
        ConfigurationError: a single string instead of several ids.
        InvalidText: one cannot be an id, such as a number, which only some drivers would convert to text.
    """
    ids = list(several(given, "ids"))
    for id_ in ids:
        if not is_text(id_):
            message = f"The id of a document must be text without NUL bytes and lone surrogates, got {id_!r:.60}."
            raise InvalidText(message)
    return ids


def conditions(where: Any) -> tuple[ColumnElement[bool], ...]:
    """Return conditions on a model as a tuple, empty for None.

    Raises:
        ConfigurationError: a single condition instead of a sequence, or something that is not a condition. Python would
            evaluate `Article.year == 2020` as false, and no condition would remain.
    """
    if where is None:
        return ()
    if isinstance(where, str | bytes | SQLCoreOperations) or not isinstance(where, Iterable):
        message = f"Expected where as a list of conditions or a filter as a dict, got {where!s:.60}. Write [...]."
        raise ConfigurationError(message)
    clauses = tuple(where)
    for clause in clauses:
        if not isinstance(clause, ClauseElement | SQLCoreOperations | bool | np.bool_):
            message = (
                f"Expected conditions on the model in where, such as [Article.year > 2020], got {clause!r:.60}. "
                "Pass a filter as a dict, without a list."
            )
            raise ConfigurationError(message)
    return clauses


def mapping(name: str, given: Any) -> dict[str, Any]:
    """Return a mapping as a dict.

    Raises:
        InvalidRow: it is not a mapping.
    """
    if not isinstance(given, Mapping):
        message = f"{name} must be a mapping of keys to values, got {type(given).__name__} {given!r:.60}."
        raise InvalidRow(message)
    return dict(given)


def callback(name: str, given: F) -> F:
    """Return a callback or None, checked before the load that will call it starts.

    Raises:
        ConfigurationError: it is not callable.
    """
    if given is not None and not callable(given):
        message = f"{name} must be a function, such as list.append, got {type(given).__name__} {given!r:.60}."
        raise ConfigurationError(message)
    return given


def size(name: str, given: Any) -> int:
    """Return a batch or chunk size as an int, also from one of NumPy's integers.

    Raises:
        ConfigurationError: it is not an integer of at least 1.
    """
    try:
        return check_count(name, given)
    except InvalidSetting as error:
        raise ConfigurationError(str(error)) from None
