"""Which filters few rows pass, so that a search under one that comes again is not planned anew each time.

A plan for any filter would take one that half of the rows pass for one that a hundredth pass, so each search under a
filter is planned for its values: a third of the time that comparing 500 rows takes. Of a filter that comes again, such
as a tenant's, it is enough to know that few rows pass. That is counted, and believed for a minute: the planner's own
statistics are no younger.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

__all__ = ["FEW", "is_few", "remember"]

#: Rows that are compared directly, whatever else there is. In 15,000 rows or more no walk of a vector index that ends
#: with ten of them is faster.
FEW = 1_000

#: At this use of a filter its rows are counted, and again when the time is over.
_USES = 3
_SECONDS = 60.0

#: Filters that are kept for each pool.
_KEPT = 1_024


@dataclass(slots=True)
class _Seen:
    uses: int = 0
    few: bool = False
    until: float = 0.0


# By pool: the engines that `execution_options` makes share it.
_seen: WeakKeyDictionary[Any, dict[Hashable, _Seen]] = WeakKeyDictionary()


def is_few(bind: Engine | Connection, key: Hashable) -> bool | None:
    """Return whether few rows pass a filter as far as is known, None where it is time to count them."""
    filters = _seen.setdefault(bind.engine.pool, {})
    seen = filters.get(key)
    if seen is None:
        if len(filters) >= _KEPT:
            filters.clear()
        seen = filters[key] = _Seen()
    seen.uses += 1
    if seen.uses < _USES:
        return False
    return seen.few if monotonic() < seen.until else None


def remember(bind: Engine | Connection, key: Hashable, *, few: bool) -> None:
    """Keep for a minute whether few rows pass a filter."""
    _seen.setdefault(bind.engine.pool, {})[key] = _Seen(_USES, few, monotonic() + _SECONDS)
