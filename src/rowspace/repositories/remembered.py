"""Facts about a database that a process caches for a while, so that searches do not have to query them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from time import monotonic
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection

from rowspace.tuning import Tuning

__all__ = ["TUNINGS", "WIDE", "Remembered"]

V = TypeVar("V")

#: The maximum number of entries per pool: with a schema for each tenant, there can be any number of tables.
_KEPT = 1_024


class Remembered(Generic[V]):
    """A cache of values by key for each pool, which the engines created by `execution_options` share.

    Args:
        seconds: how long values are kept, since another process may change what they describe.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._by_pool: WeakKeyDictionary[Any, dict[Hashable, tuple[float, V]]] = WeakKeyDictionary()

    def get(self, bind: Engine | Connection | AsyncConnection, key: Hashable) -> V | None:
        """Return the value of a key, or None if it is unknown or too old."""
        until, value = self._by_pool.get(bind.engine.pool, {}).get(key, (0.0, None))
        return value if monotonic() < until else None

    def keep(self, bind: Engine | Connection | AsyncConnection, key: Hashable, value: V) -> None:
        """Keep the value of a key."""
        known = self._by_pool.setdefault(bind.engine.pool, {})
        if len(known) >= _KEPT:
            known.clear()
        known[key] = monotonic() + self._seconds, value

    def forget(self, bind: Engine | Connection | AsyncConnection, key: Hashable) -> None:
        """Remove the value of a key."""
        self._by_pool.get(bind.engine.pool, {}).pop(key, None)


#: The tunings of a table's indexes, by column and distance; the key is the table with its schema.
TUNINGS: Remembered[Mapping[tuple[str, str], Tuning]] = Remembered(60.0)

#: True for conditions by which an index finds many rows; see `Search.found_by`. A filtered search first compares the
#: rows that an index finds, if they are few. This needs no planning, which takes a third of such a search, but only its
#: result shows that there are too many. The cache then lets the next searches be planned. An outdated entry is
#: harmless, because the planner finds the best plan.
WIDE: Remembered[bool] = Remembered(3_600.0)
