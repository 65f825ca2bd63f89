"""Lists that a notebook shows as a table. Whatever is in them is text there, never markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, TypeVar

__all__ = ["HtmlList", "table"]

T = TypeVar("T")

#: A text is cut after this many characters.
_LONGEST = 300
#: Rows that are shown.
_ROWS = 100


class HtmlList(list[T]):
    """A list with `_repr_html_`, as Jupyter asks for it: a row an item, a column a field that one has."""

    def _repr_html_(self) -> str:
        return table([_fields(item) for item in self])


def _fields(item: Any) -> dict[str, Any]:
    # What a pydantic model iterates over: pairs of name and value.
    return dict(item)


def table(rows: Sequence[Mapping[str, Any]], *, most: int = _ROWS) -> str:
    """Return rows as an HTML table; a mapping among the values becomes its pairs, a number keeps four digits."""
    columns = list(dict.fromkeys(name for row in rows for name, value in row.items() if value not in (None, {})))
    head = _row("th", columns, str)
    body = "".join(_row("td", (row.get(name) for name in columns), _shown) for row in rows[:most])
    rest = f"<p>{len(rows) - most:,} more</p>" if len(rows) > most else ""
    if not rows:
        return "<p>nothing</p>"
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{rest}"


def _row(tag: str, cells: Iterable[Any], shown: Callable[[Any], str]) -> str:
    # Jupyter aligns cells to the right.
    return (
        "<tr>" + "".join(f'<{tag} style="text-align: left">{escape(shown(cell))}</{tag}>' for cell in cells) + "</tr>"
    )


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
