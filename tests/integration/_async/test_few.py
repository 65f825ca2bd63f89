"""Filters: few rows are compared directly, and the plan for one filter is not that for another."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import event, text

from rowspace import AsyncCollectionRepository, AsyncDocumentRepository, AsyncIndexAdvisor, Database, DocumentService

ROWS = 3_000
VECTORS = np.random.default_rng(9).normal(size=(ROWS, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def shared_url(new_module_database):
    """A database for this module. 1 % of the documents have the mark `few`, nine of ten `many`."""
    url = new_module_database()
    with Database.open(url) as database:
        service = DocumentService(database)
        service.create_collection("repeated", 8)
        marks = [{"few": at % 100 == 0, "many": at % 10 > 0, "at": at} for at in range(ROWS)]
        service.add(
            "repeated",
            (
                {"id": str(at), "content": "c", "metadata": marks[at], "embedding": vector}
                for at, vector in enumerate(VECTORS)
            ),
        )
    return url


@pytest.fixture
async def documents(session):
    return AsyncDocumentRepository(session, await AsyncCollectionRepository(session).get("repeated"))


async def generic_plans(session, part):
    """Return how often the server ran the plan that it keeps of prepared statements with a part, None without any."""
    asked = "FROM pg_prepared_statements WHERE position(:part IN statement) > 0 AND position(:this IN statement) = 0"
    values = {"part": part, "this": "pg_prepared_statements"}
    return await session.scalar(text(f"SELECT CAST(sum(generic_plans) AS int) {asked}"), values)


def ids(hits):
    return [hit.entity.id for hit in hits]


@pytest.mark.parametrize("where", [{"few": True}, {"few": True, "at": {"$gte": 500}}], ids=["document", "and path"])
async def test_few_rows_are_compared_directly(documents, statements, where):
    expected = [(hit.entity.id, hit.distance) for hit in await documents.nearest(VECTORS[1], where=where, exact=True)]
    statements.clear()
    for _ in range(3):
        hits = await documents.nearest(VECTORS[1], where=where)
        assert [(hit.entity.id, hit.distance) for hit in hits] == expected
    assert statements == ["few"] * 3


async def test_limits_of_the_distance_are_those_of_the_rows_that_pass(documents, statements):
    hits = await documents.nearest(VECTORS[1], k=30, where={"few": True})
    low, high = hits[4].distance, hits[9].distance
    found = await documents.nearest(VECTORS[1], k=30, where={"few": True}, min_distance=low, max_distance=high)
    assert ids(found) == ids(hits[4:10])
    assert statements == ["few"] * 2


async def test_many_rows_are_found_out_once(documents, statements):
    found = [ids(await documents.nearest(VECTORS[1], where={"many": True})) for _ in range(3)]
    assert statements == ["few", "planned", "planned", "planned"]
    assert [len(one) for one in found] == [10] * 3
    # What the rows are found by is the same.
    assert len(await documents.nearest(VECTORS[1], where={"many": True, "at": {"$lt": 50}})) == 10
    assert statements[4:] == ["planned"]


async def test_few_that_pass_among_many_that_are_found(documents, statements):
    where = {"many": True, "at": {"$gt": ROWS - 10}}
    assert len(await documents.nearest(VECTORS[1], where=where)) == 9
    # The first thousand that are found had none that passes, and nothing tells how many they were.
    assert statements[:2] == ["few", "planned"]


async def test_rows_that_became_many_are_found_out(documents, statements):
    await documents.nearest(VECTORS[1], where={"few": True})
    rows = ({"id": f"n{at}", "content": "c", "meta": {"few": True}, "embedding": v} for at, v in enumerate(VECTORS))
    await documents.upsert(rows)
    statements.clear()
    hits = await documents.nearest(VECTORS[1], where={"few": True})
    assert statements == ["few", "planned"]
    assert ids(hits)[0] == "n1"


async def test_rows_that_came_since_are_found(documents):
    await documents.nearest(VECTORS[1], where={"few": True})
    await documents.upsert([{"id": "new", "content": "c", "meta": {"few": True}, "embedding": VECTORS[1]}])
    assert ids(await documents.nearest(VECTORS[1], k=1, where={"few": True})) == ["new"]


async def test_nothing_that_passes_is_asked_for_again(documents, statements):
    assert await documents.nearest(VECTORS[1], where={"few": "none"}) == []
    assert statements == ["few", "planned"]


async def test_a_session_with_rules_of_its_own_is_planned_for(documents, session, statements):
    own = getattr(session, "sync_session", session)
    event.listen(own, "do_orm_execute", lambda _: None)
    await documents.nearest(VECTORS[1], where={"few": True})
    assert statements == ["planned"]


async def test_explain_tells_which_of_the_two_it_is(documents, session):
    advisor = AsyncIndexAdvisor(session, documents.collection)
    few = await advisor.explain(VECTORS[1], where={"few": True, "at": {"$gte": 500}})
    assert (few.index, few.rows_returned, few.settings["hnsw.iterative_scan"]) == (None, 10, "off")
    assert few.advice[0].startswith("The conditions match few rows. All of them were compared")
    for where in ({"many": True}, {"few": "none"}):
        planned = await advisor.explain(VECTORS[1], where=where)
        assert planned.settings["hnsw.iterative_scan"] == "relaxed_order"


async def test_no_plan_is_kept_for_filters_that_let_other_shares_pass(documents, session, driver):
    """The server would keep one that compares every row: an unknown filter looks like a narrow one to it."""
    own = getattr(session, "sync_session", session)
    event.listen(own, "do_orm_execute", lambda _: None)
    for mark in ("few", "many"):
        for at in range(12):
            await documents.nearest(VECTORS[1], where={mark: True, "at": {"$gte": at}})
    assert await generic_plans(session, "rowspace_found") == (None if driver == "psycopg2" else 0)


async def test_one_plan_is_kept_for_few_rows(documents, session, driver):
    for _ in range(20):
        await documents.nearest(VECTORS[1], where={"few": True})
    kept = await generic_plans(session, "@> (SELECT")
    assert kept is None if driver == "psycopg2" else kept > 0
