"""What a process remembers for a while of a database, so that a search does not have to ask for it each time."""

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

#: What is kept for each pool: with a schema for each tenant there may be any number of tables.
_KEPT = 1_024


class Remembered(Generic[V]):
    """Values by key that are known for some seconds, of each pool: the engines that `execution_options` makes share it.

    Args:
        seconds: how long; then another process may have changed what they are of.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._by_pool: WeakKeyDictionary[Any, dict[Hashable, tuple[float, V]]] = WeakKeyDictionary()

    def get(self, bind: Engine | Connection | AsyncConnection, key: Hashable) -> V | None:
        """Return the value of a key, None where it is not known, or not any more."""
        until, value = self._by_pool.get(bind.engine.pool, {}).get(key, (0.0, None))
        return value if monotonic() < until else None

    def keep(self, bind: Engine | Connection | AsyncConnection, key: Hashable, value: V) -> None:
        """Keep the value of a key."""
        known = self._by_pool.setdefault(bind.engine.pool, {})
        if len(known) >= _KEPT:
            known.clear()
        known[key] = monotonic() + self._seconds, value

    def forget(self, bind: Engine | Connection | AsyncConnection, key: Hashable) -> None:
        """Have the value of a key asked for again."""
        self._by_pool.get(bind.engine.pool, {}).pop(key, None)


#: The tunings of a table's indexes, by column and distance; the key is the table with its schema.
TUNINGS: Remembered[Mapping[tuple[str, str], Tuning]] = Remembered(60.0)

#: What an index finds many rows by, see `Search.found_by`: True. A search under a filter compares the rows that an
#: index finds, if they are few; that needs no plan of its own, which takes a third of such a search. Only its answer
#: tells that they were many. So that is kept, and the next search is planned. To know it for long is no harm: the plan
#: finds out what is best.
WIDE: Remembered[bool] = Remembered(3_600.0)
