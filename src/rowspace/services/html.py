"""Lists that a notebook shows as a table. Their contents are escaped, except for the marks of a highlight."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape, unescape
from typing import Any, TypeVar

__all__ = ["HtmlList", "table"]

T = TypeVar("T")

#: The maximum number of characters of a text; longer ones are truncated.
_LONGEST = 300
#: The maximum number of rows.
_ROWS = 100

_MARK = re.compile(r"(</?mark>)")

# Jupyter aligns cells to the right, and an id without spaces would push the other columns out of sight.
_STYLE = "text-align: left; overflow-wrap: anywhere; min-width: {}"


class HtmlList(list[T]):
    """A list with `_repr_html_` for Jupyter: a row per item, a column per field."""

    def _repr_html_(self) -> str:
        return table([_fields(item) for item in self])


def _fields(item: Any) -> dict[str, Any]:
    # The pairs of name and value over which a pydantic model iterates.
    return dict(item)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as an HTML table; a mapping among the values becomes its pairs, a number keeps four digits."""
    columns = list(dict.fromkeys(name for row in rows for name, value in row.items() if value not in (None, {})))
    head = "".join(f'<th style="text-align: left">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(_cell(name, row.get(name)) for name in columns)}</tr>" for row in rows[:_ROWS])
    rest = f"<p>{len(rows) - _ROWS:,} more</p>" if len(rows) > _ROWS else ""
    if not rows:
        return "<p>nothing</p>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _cell(name: str, value: Any) -> str:
    width = "4em" if value is None or isinstance(value, int | float) else "7em"
    shown = _marked(_shown(value)) if name == "highlight" else escape(_shown(value))
    return f'<td style="{_STYLE.format(width)}">{shown}</td>'


def _marked(highlight: str) -> str:
    """Return a highlight, which is already escaped, with only its marks as markup."""
    parts = _MARK.split(highlight)
    return "".join(part if _MARK.fullmatch(part) else escape(unescape(part)) for part in parts)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, Mapping):
        return _cut(", ".join(f"{key}: {item}" for key, item in value.items()))
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
