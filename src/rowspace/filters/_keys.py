"""Comparisons of a single value that an index on a metadata key serves, outside of the document and the jsonpath.

`rowspace.statements.keyed` defines what the index contains: numbers as `numeric`, and the first characters of texts, by
code point. Jsonpath compares both in the same way, so these comparisons match the same rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from rowspace.filters._conditions import And, Compare, Comparison, Condition, Path, Scalar, all_of
from rowspace.filters._values import to_json

#: The number of characters of a text in the index.
MAX_KEY_TEXT = 200


@dataclass(frozen=True, slots=True)
class KeyTest:
    """One comparison of the value at `path`, a text or a number, with the parameter `name`."""

    path: Path
    comparison: Comparison
    is_text: bool
    name: str


def split(condition: Condition, keys: Collection[Path]) -> tuple[dict[KeyTest, str], Condition | None]:
    """Return the comparisons of a conjunction that indexes on `keys` serve, with their values, and the rest of it."""
    parts = condition.conditions if isinstance(condition, And) else (condition,)
    served, rest = [], []
    for part in parts:
        if isinstance(part, Compare) and part.path in keys and _is_held(part.value):
            served.append(part)
        else:
            rest.append(part)
    tests = dict(_test(part, f"rowspace_key_{index}") for index, part in enumerate(served))
    return tests, all_of(tuple(rest)) if rest else None


def _is_held(value: Scalar) -> bool:
    # A shorter text compares in the same way with the start of a long text as with all of it.
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return is_number or (isinstance(value, str) and len(value) < MAX_KEY_TEXT)


def _test(part: Compare, name: str) -> tuple[KeyTest, str]:
    is_text = isinstance(part.value, str)
    return KeyTest(part.path, part.comparison, is_text, name), str(part.value) if is_text else to_json(part.value)
