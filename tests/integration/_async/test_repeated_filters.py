"""Filters that come again: what is known of them, and that the plan of one is not that of another."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import event, text

from rowspace import AsyncCollectionRepository, AsyncDocumentRepository
from rowspace.repositories import narrow

ROWS = 3_000
VECTORS = np.random.default_rng(9).normal(size=(ROWS, 8)).astype(np.float32)


@pytest.fixture
async def documents(session):
    """1 % of the documents have the mark `few`, nine of ten `many`."""
    collection = await AsyncCollectionRepository(session).create("repeated", 8)
    documents = AsyncDocumentRepository(session, collection)
    await documents.upsert(
        {
            "id": str(at),
            "content": "c",
            "meta": {"few": at % 100 == 0, "many": at % 10 > 0, "at": at},
            "embedding": vector,
        }
        for at, vector in enumerate(VECTORS)
    )
    await documents.create_indexes()
    return documents


@pytest.fixture
def statements(engine):
    """The statements that the engine runs, by what they are for."""
    seen = []

    def see(_connection, _cursor, statement, *_):
        words = " ".join(statement.split())
        kinds = {"count": "SELECT count(*)", "few": "@> (SELECT CAST(", "planned": "rowspace_found"}
        seen.extend(
            kind for kind, part in kinds.items() if words.startswith(part) or (kind != "count" and part in words)
        )

    own = getattr(engine, "sync_engine", engine)
    event.listen(own, "before_cursor_execute", see)
    yield seen
    event.remove(own, "before_cursor_execute", see)


async def generic_plans(session, part):
    """Return how often the server ran the plan that it keeps of prepared statements with a part, None without any."""
    asked = "FROM pg_prepared_statements WHERE position(:part IN statement) > 0 AND position(:this IN statement) = 0"
    values = {"part": part, "this": "pg_prepared_statements"}
    return await session.scalar(text(f"SELECT CAST(sum(generic_plans) AS int) {asked}"), values)


def ids(hits):
    return [hit.entity.id for hit in hits]


@pytest.mark.parametrize("where", [{"few": True}, {"few": True, "at": {"$gte": 500}}], ids=["document", "and path"])
async def test_one_that_few_rows_pass_is_counted_once_and_then_compared_directly(documents, statements, where):
    expected = ids(await documents.nearest(VECTORS[1], where=where, exact=True))
    statements.clear()
    found = [ids(await documents.nearest(VECTORS[1], where=where)) for _ in range(5)]
    assert statements == ["planned", "planned", "count", "few", "few", "few"]
    assert found == [expected] * 5
    assert ids(await documents.nearest(VECTORS[1], where=where, max_distance=0.0)) == []


async def test_one_that_many_rows_pass_is_planned_each_time(documents, statements):
    found = [ids(await documents.nearest(VECTORS[1], where={"many": True})) for _ in range(5)]
    assert statements == ["planned", "planned", "count", "planned", "planned", "planned"]
    assert [len(one) for one in found] == [10] * 5


async def test_what_is_known_ends(documents, statements, monkeypatch):
    for _ in range(3):
        await documents.nearest(VECTORS[1], where={"few": True})
    later = narrow.monotonic() + 61
    monkeypatch.setattr(narrow, "monotonic", lambda: later)
    await documents.upsert(
        {"id": f"n{at}", "content": "c", "meta": {"few": True}, "embedding": v} for at, v in enumerate(VECTORS)
    )
    statements.clear()
    await documents.nearest(VECTORS[1], where={"few": True})
    assert statements == ["count", "planned"]


async def test_rows_that_came_since_are_found(documents):
    for _ in range(4):
        await documents.nearest(VECTORS[1], where={"few": True})
    await documents.upsert([{"id": "new", "content": "c", "meta": {"few": True}, "embedding": VECTORS[1]}])
    assert ids(await documents.nearest(VECTORS[1], k=1, where={"few": True})) == ["new"]


async def test_a_session_with_rules_of_its_own_asks_for_nothing_more(documents, session, statements):
    own = getattr(session, "sync_session", session)
    event.listen(own, "do_orm_execute", lambda _: None)
    for _ in range(4):
        await documents.nearest(VECTORS[1], where={"few": True})
    assert statements == ["planned"] * 4


async def test_no_plan_is_kept_for_filters_that_let_other_shares_pass(documents, session, driver):
    """The server would keep one that compares every row: an unknown filter looks like a narrow one to it."""
    for at in range(12):
        await documents.nearest(VECTORS[1], where={"few": True, "at": {"$gte": at}})
    for at in range(12):
        await documents.nearest(VECTORS[1], where={"many": True, "at": {"$gte": at}})
    assert await generic_plans(session, "rowspace_found") == (None if driver == "psycopg2" else 0)


async def test_the_plan_of_a_filter_that_few_rows_pass_is_kept(documents, session, driver):
    for _ in range(20):
        await documents.nearest(VECTORS[1], where={"few": True})
    kept = await generic_plans(session, "@> (SELECT")
    assert kept is None if driver == "psycopg2" else kept > 0
