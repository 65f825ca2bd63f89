"""The charts of the application, from plain rows. No Streamlit, no database."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import altair as alt

from rowspace.integrations.streamlit.cards import excerpt
from rowspace.tuning import Tuning

__all__ = ["curve_chart", "map_chart"]

# How many groups get their own color.
_COLOURS = 10


def map_chart(points: list[dict[str, Any]], marks: list[dict[str, Any]], color: str | None) -> Any:
    """Return the chart of a sample's points, and of a query and its hits, if there is one.

    Args:
        points: rows from `projection.point`.
        marks: the query, followed by its hits, best first; or nothing.
        color: the metadata key that determines the colors.
    """
    inside = alt.Scale(zero=False, padding=24)
    x, y = alt.X("x:Q", axis=None, scale=inside), alt.Y("y:Q", axis=None, scale=inside)
    tips = ["id:N", "text:N", "metadata:N"]
    drawn = alt.Chart(_data(_rows(points, color))).encode(x=x, y=y, tooltip=tips)
    opacity = 0.35 if marks else 0.6
    base = drawn.mark_circle(size=28, opacity=opacity, color="#7a8da3")
    if color is not None:
        base = base.encode(color=alt.Color("group:N", title=color, legend=alt.Legend(orient="bottom", columns=4)))
    layers = [base]
    if marks:
        hits = alt.Chart(_data(_rows(marks[1:], None))).encode(x=x, y=y, tooltip=["rank:Q", *tips])
        query = alt.Chart(_data(_rows(marks[:1], None))).encode(x=x, y=y, tooltip=["id:N", "text:N"])
        layers += [
            hits.mark_circle(size=95, opacity=1, color="#ef6c00", stroke="white", strokeWidth=1),
            hits.mark_text(dx=9, dy=-7, fontSize=12, fontWeight="bold", color="#ef6c00").encode(text="rank:Q"),
            query.mark_point(shape="cross", size=260, filled=True, opacity=1, color="#d81b60", stroke="white"),
        ]
    return alt.layer(*layers).properties(height=520).interactive()


def _rows(points: list[dict[str, Any]], color: str | None) -> list[dict[str, Any]]:
    groups = _groups(points, color) if color is not None else {}
    return [{**one, "metadata": _line(one["metadata"]), "group": groups.get(one["id"], "other")} for one in points]


def _groups(points: list[dict[str, Any]], key: str) -> dict[str, str]:
    """Return the group of each point by id: its value if that is one of the most common."""
    values = {one["id"]: _value(one["metadata"], key) for one in points}
    common = {value for value, _ in Counter(values.values()).most_common(_COLOURS)}
    return {id_: value if value in common else "other" for id_, value in values.items()}


def _value(metadata: Any, key: str) -> str:
    for step in key.split("."):
        metadata = metadata.get(step) if isinstance(metadata, dict) else None
    return "none" if metadata is None else str(metadata)


def _line(metadata: dict[str, Any]) -> str:
    return excerpt(json.dumps(metadata, ensure_ascii=False), 160) if metadata else ""


def curve_chart(tuning: Tuning) -> Any:
    """Return the chart of a tuning, recall over time, with the chosen setting highlighted."""
    rows = [
        {tuning.name: one.setting, "recall": one.recall, "ms": one.milliseconds, "chosen": one == tuning.chosen}
        for one in tuning.points
    ]
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("ms:Q", title="median milliseconds of a search", scale=alt.Scale(zero=False)),
        y=alt.Y("recall:Q", title="recall", scale=alt.Scale(zero=False)),
        tooltip=[f"{tuning.name}:Q", "recall:Q", "ms:Q"],
    )
    points = base.mark_circle(opacity=1).encode(
        size=alt.condition("datum.chosen", alt.value(220), alt.value(70)),
        color=alt.condition("datum.chosen", alt.value("#ef6c00"), alt.value("#2f80c2")),
    )
    labels = base.mark_text(dy=-14, color="#7a8da3").encode(text=f"{tuning.name}:Q")
    line = base.mark_line(color="#2f80c2").encode(order=f"{tuning.name}:Q")
    return alt.layer(line, points, labels).properties(height=320)


def _data(rows: list[dict[str, Any]]) -> Any:
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]
