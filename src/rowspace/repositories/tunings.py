"""What is known of the tunings of models' indexes, so that a search does not ask for them each time."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from rowspace.repositories.transactions import own_session
from rowspace.tuning import Tuning

__all__ = ["Tunings", "forget", "is_measuring", "known", "measuring", "remember"]

#: The tunings of a table's indexes, by column and distance.
Tunings = Mapping[tuple[str, str], Tuning]

#: After this a process asks again: another one may have tuned the index.
_SECONDS = 60.0

#: Tables that are kept for each pool: with a schema for each tenant there may be any number.
_KEPT = 1_024

#: Where it is kept in `Session.info` which transaction has tuned an index.
_KEY = "rowspace_tuned"

# By pool: the engines that `execution_options` makes share it.
_known: WeakKeyDictionary[Any, dict[tuple[str, str | None], tuple[float, Tunings]]] = WeakKeyDictionary()


def known(bind: Connection | AsyncConnection, table: tuple[str, str | None]) -> Tunings | None:
    """Return the tunings of a table's indexes, None where they were not asked for within the last minute."""
    until, tunings = _known.get(bind.engine.pool, {}).get(table, (0.0, None))
    return tunings if monotonic() < until else None


def remember(bind: Connection | AsyncConnection, table: tuple[str, str | None], tunings: Tunings) -> None:
    """Keep the tunings of a table's indexes for a minute."""
    kept = _known.setdefault(bind.engine.pool, {})
    if len(kept) >= _KEPT:
        kept.clear()
    kept[table] = monotonic() + _SECONDS, tunings


def measuring(session: Any) -> None:
    """Note that the transaction of a session has tuned an index."""
    session.info[_KEY] = _transaction(session)


def is_measuring(session: Any) -> bool:
    """Tell whether it has: what it reads of tunings is gone where it is rolled back."""
    tuned = session.info.get(_KEY)
    return tuned is not None and tuned is _transaction(session)


def _transaction(session: Any) -> Any:
    # A proxy of a session may lack it.
    get_transaction = getattr(own_session(session), "get_transaction", None)
    return get_transaction and get_transaction()


def forget(bind: Connection | AsyncConnection, table: tuple[str, str | None]) -> None:
    """Have the tunings of a table's indexes asked for again."""
    _known.get(bind.engine.pool, {}).pop(table, None)
