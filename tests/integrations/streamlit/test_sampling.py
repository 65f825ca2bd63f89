"""What a page reads of a large collection: a share, the same each time, and true about the whole."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from rowspace import Database, DocumentService
from rowspace.integrations.streamlit import sampling

ROWS = 3_000


@pytest.fixture(scope="module")
def database(url):
    with Database.open(url) as opened:
        service = DocumentService(opened)
        service.create_collection("large", 4)
        service.add(
            "large",
            [
                {
                    "id": f"{n:05}",
                    "content": f"text {n}",
                    "embedding": [1, n % 7, n % 11, 2],
                    "metadata": {"part": "early" if n < ROWS / 2 else "late", "n": n},
                }
                for n in range(ROWS)
            ],
        )
        yield opened


def test_the_map_is_a_fair_share(database):
    with database.begin() as session:
        plane, points = sampling.map_of(session, "large", ROWS, 300)
        again = sampling.map_of(session, "large", ROWS, 300)
    assert plane is not None
    assert 200 < len(points) <= 300
    early = sum(one["metadata"]["part"] == "early" for one in points)
    assert 0.35 < early / len(points) < 0.65, "not the first ones by id"
    assert [one["id"] for one in points] == [one["id"] for one in again[1]]


def test_facets_of_a_share_are_estimates(database, monkeypatch):
    monkeypatch.setattr(sampling, "COUNTED", 600)
    with database.begin() as session:
        found = {facet.key: facet for facet in sampling.facets(session, "large", ROWS)}
    counts = dict(found["part"].values)
    assert not found["part"].exact
    assert counts["early"] == pytest.approx(ROWS / 2, rel=0.3)
    assert found["n"].kind == "range"
    assert found["n"].low < 100
    assert found["n"].high > ROWS - 100


def test_facets_of_a_small_collection_are_counted(database):
    with database.begin() as session:
        found = {facet.key: facet for facet in sampling.facets(session, "large", ROWS)}
    assert dict(found["part"].values) == {"early": ROWS // 2, "late": ROWS // 2}
    assert (found["n"].low, found["n"].high) == (0, ROWS - 1)


def test_no_statement_returns_more_than_is_shown(database):
    rows = []

    def count(_connection, cursor, *_):
        rows.append(cursor.rowcount)

    event.listen(database.engine, "after_cursor_execute", count)
    try:
        with database.begin() as session:
            sampling.size_of(session, "large")
            sampling.facets(session, "large", ROWS)
            sampling.map_of(session, "large", ROWS, 300)
    finally:
        event.remove(database.engine, "after_cursor_execute", count)
    assert max(rows) <= 301
