"""What an index finds many rows by, so that a search under a filter is not tried as if they were few.

A search under a filter compares the rows that an index finds, if they are few; that needs no plan of its own, which
takes a third of such a search. Only its answer tells that they were many. So that is kept, and the next search is
planned. To know it for long is no harm: the plan finds out what is best.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

from rowspace.filters import DOCUMENT

__all__ = ["found_by", "is_wide", "remember"]

_SECONDS = 3_600.0

#: What is kept for each pool.
_KEPT = 1_024

# By pool: the engines that `execution_options` makes share it.
_until: WeakKeyDictionary[Any, dict[Hashable, float]] = WeakKeyDictionary()


def found_by(target: Hashable, parameters: Mapping[str, str]) -> Hashable:
    """Return what an index finds the rows of a target by: the document of a filter with these parameters."""
    return target, parameters[DOCUMENT]


def is_wide(bind: Engine | Connection, key: Hashable) -> bool:
    """Return whether many rows were found by it within the last hour."""
    return monotonic() < _until.get(bind.engine.pool, {}).get(key, 0.0)


def remember(bind: Engine | Connection, key: Hashable) -> None:
    """Keep it that many rows were found by it."""
    known = _until.setdefault(bind.engine.pool, {})
    if len(known) >= _KEPT:
        known.clear()
    known[key] = monotonic() + _SECONDS
