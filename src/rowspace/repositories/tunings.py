"""What is known of the tunings of models' indexes, so that a search does not ask for them each time."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

from rowspace.tuning import Tuning

__all__ = ["Tunings", "forget", "known", "remember"]

#: The tunings of a table's indexes, by column and distance.
Tunings = Mapping[tuple[str, str], Tuning]

#: After this a process asks again: another one may have tuned the index.
_SECONDS = 60.0

# By pool: the engines that `execution_options` makes share it.
_known: WeakKeyDictionary[Any, dict[tuple[str, str | None], tuple[float, Tunings]]] = WeakKeyDictionary()


def known(bind: Engine | Connection, table: tuple[str, str | None]) -> Tunings | None:
    """Return the tunings of a table's indexes, None where they were not asked for within the last minute."""
    until, tunings = _known.get(bind.engine.pool, {}).get(table, (0.0, None))
    return tunings if monotonic() < until else None


def remember(bind: Engine | Connection, table: tuple[str, str | None], tunings: Tunings) -> Tunings:
    """Keep the tunings of a table's indexes for a minute, and return them."""
    _known.setdefault(bind.engine.pool, {})[table] = monotonic() + _SECONDS, tunings
    return tunings


def forget(bind: Engine | Connection, table: tuple[str, str | None]) -> None:
    """Have the tunings of a table's indexes asked for again."""
    _known.get(bind.engine.pool, {}).pop(table, None)
