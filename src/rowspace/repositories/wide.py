"""What an index finds many rows by, so that a search under a filter is not tried as if they were few.

A search under a filter compares the rows that an index finds, if they are few; that needs no plan of its own, which
takes a third of such a search. Only its answer tells that they were many. So that is kept, and the next search is
planned. To know it for long is no harm: the plan finds out what is best.
"""

from __future__ import annotations

from collections.abc import Hashable
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

__all__ = ["is_wide", "remember"]

_SECONDS = 3_600.0

#: What is kept for each pool.
_KEPT = 1_024

# By pool: the engines that `execution_options` makes share it.
_until: WeakKeyDictionary[Any, dict[Hashable, float]] = WeakKeyDictionary()


def is_wide(bind: Engine | Connection, found_by: Hashable) -> bool:
    """Return whether many rows were found within the last hour."""
    return monotonic() < _until.get(bind.engine.pool, {}).get(found_by, 0.0)


def remember(bind: Engine | Connection, found_by: Hashable) -> None:
    """Keep it that many rows were found."""
    known = _until.setdefault(bind.engine.pool, {})
    if len(known) >= _KEPT:
        known.clear()
    known[found_by] = monotonic() + _SECONDS
