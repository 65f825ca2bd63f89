from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from rowspace import AsyncCollectionRepository, AsyncDatabase, AsyncDocumentRepository, AsyncDocumentService
from rowspace.errors import InvalidRow, InvalidText
from rowspace.repositories._async import loading


@pytest.fixture
async def database(new_database, driver):
    url = new_database().replace("+psycopg", f"+{driver}")
    async with AsyncDatabase.open(url) as opened:
        yield opened


@pytest.fixture
async def session(database):
    async with database.session() as opened:
        yield opened


@pytest.fixture
async def documents(session):
    return AsyncDocumentRepository(session, await AsyncCollectionRepository(session).create("loaded", 2))


@pytest.fixture
def stages(database, monkeypatch):
    """Return the staging tables made so far; a few rows are too many to do without one."""
    monkeypatch.setattr(loading, "_FEW", 0)
    made = []

    def record(_connection, _cursor, statement, *_rest):
        if statement.startswith("CREATE TEMPORARY"):
            made.append(statement)

    event.listen(getattr(database.engine, "sync_engine", database.engine), "before_cursor_execute", record)
    return made


def row(id_, content="x"):
    return {"id": id_, "content": content, "meta": {"of": id_}, "embedding": [1, 2]}


async def test_an_empty_collection_is_loaded_without_a_staging_table(documents, stages):
    report = await documents.upsert([row("a"), row("b"), row("c")], batch_size=2)
    assert (report.received, report.inserted, report.updated, stages) == (3, 3, 0, [])
    (found,) = await documents.get(["c"])
    assert (found.collection_id, found.content, found.meta) == (documents.collection.id, "x", {"of": "c"})
    assert found.created_at is not None


async def test_a_collection_with_rows_is_loaded_through_one(documents, stages):
    await documents.upsert([row("a")])
    report = await documents.upsert([row("a", "new"), row("b"), row("c")], batch_size=1)
    assert (report.inserted, report.updated, len(stages)) == (2, 1, 1)
    assert [found.content for found in await documents.get(["a", "b"])] == ["new", "x"]


async def test_a_few_rows_are_one_statement_where_the_driver_takes_them(documents, stages, monkeypatch, driver):
    monkeypatch.setattr(loading, "_FEW", 2)
    is_empty, asked = documents.is_empty, []

    async def ask():
        asked.append(1)
        return await is_empty()

    monkeypatch.setattr(documents, "is_empty", ask)
    await documents.upsert([row("a")])
    report = await documents.upsert([row("a", "new"), row("b")])
    assert (report.inserted, report.updated, len(stages)) == (1, 1, int(driver == "psycopg2"))
    # Which is one round trip more, and of few rows decides nothing.
    assert len(asked) == 2 * (driver == "psycopg2")
    report = await documents.upsert([row("a", "newer"), row("b"), row("c")])
    assert (report.inserted, report.updated, len(stages)) == (1, 2, int(driver == "psycopg2") + 1)
    found = [(d.id, d.content, d.meta) for d in await documents.get(["a", "b", "c"])]
    assert found == [("a", "newer", {"of": "a"}), ("b", "x", {"of": "b"}), ("c", "x", {"of": "c"})]


async def test_a_few_rows_are_copied_on_a_connection_without_our_adapters(documents, session, stages, monkeypatch):
    monkeypatch.setattr(loading, "_FEW", 2)
    await documents.upsert([row("a")])
    # As where the extension was created in the same transaction: asyncpg's codecs come with the next checkout.
    (await session.connection()).info.pop("rowspace_wire", None)
    report = await documents.upsert([row("a", "new"), row("b")])
    assert (report.inserted, report.updated, len(stages)) == (1, 1, 1)


async def test_a_few_large_rows_are_copied(documents, stages, monkeypatch):
    monkeypatch.setattr(loading, "_FEW", 2)
    await documents.upsert([row("a")])
    monkeypatch.setattr(loading, "_BYTES", 9_999)
    report = await documents.upsert([row("a", "new " * 2_000), row("b", "new " * 1_000)])
    assert (report.inserted, report.updated, len(stages)) == (1, 1, 1)
    assert [len(found.content) for found in await documents.get(["a", "b"])] == [8_000, 4_000]


async def test_a_row_that_comes_again_in_a_later_batch_replaces_the_first(documents, stages):
    rows = [row("a", "first"), row("b"), row("a", "second"), row("c"), row("d")]
    report = await documents.upsert(rows, batch_size=2)
    assert (report.received, report.inserted, report.updated, report.duplicates) == (5, 4, 0, 1)
    assert [found.content for found in await documents.get(["a"])] == ["second"]
    assert len(stages) == 1


async def test_a_row_that_somebody_else_was_faster_with_is_updated(documents, stages, monkeypatch):
    await documents.upsert([row("a", "theirs")])

    async def is_empty():
        return True

    monkeypatch.setattr(documents, "is_empty", is_empty)
    report = await documents.upsert([row("b"), row("a", "ours"), row("c")], batch_size=2)
    assert (report.inserted, report.updated, len(stages)) == (2, 1, 1)
    assert [found.content for found in await documents.get(["a"])] == ["ours"]


async def test_a_constraint_speaks_as_in_any_other_load(documents):
    with pytest.raises(IntegrityError, match="content"):
        await documents.upsert([row("a", None)])


async def test_a_bad_row_leaves_the_transaction_usable(documents):
    with pytest.raises(InvalidText, match=r"^Row 1 "):
        await documents.upsert([row("a"), row("b", "\0")])
    assert (await documents.upsert([row("a")])).inserted == 1


async def test_a_bad_row_behind_many_that_were_sent_leaves_nothing_of_them(documents):
    good = [row(f"{number:05d}", "text " * 50) for number in range(3_000)]
    for stored in (0, 1):  # into an empty collection straight, into one with rows by way of the staging table
        with pytest.raises(InvalidText, match=r"^Row 3000 "):
            await documents.upsert([*good, row("b", "\0")])
        assert await documents.count() == stored
        await documents.upsert([row("a")])


async def test_rows_that_are_most_likely_new_are_copied_beside_others(documents, stages):
    await documents.upsert([row("a")])
    assert (await documents.upsert([row("b"), row("c")], fresh=True)).inserted == 2
    assert stages == []
    assert (await documents.upsert([row("e")], fresh=False)).inserted == 1
    assert len(stages) == 1
    stages.clear()
    report = await documents.upsert([row("a", "new"), row("d")], fresh=True)
    assert (report.inserted, report.updated, len(stages)) == (1, 1, 1)
    assert [found.content for found in await documents.get(["a", "d"])] == ["new", "x"]


async def test_a_first_load_in_batches_is_copied_until_an_id_comes_again(database, stages):
    service = AsyncDocumentService(database)
    await service.create_collection("loaded", 2)
    rows = [{"id": str(at), "content": "x", "embedding": [at, 1]} for at in range(9)]
    report = await service.add("loaded", rows, batch_size=4, build_indexes=False)
    assert (report.inserted, stages) == (9, [])
    await service.create_collection("again", 2)
    rows = [*rows, {"id": "3", "content": "last", "embedding": [3, 1]}]
    report = await service.add("again", rows, batch_size=4, commit_batches=True, build_indexes=False)
    assert (report.inserted, report.duplicates, len(stages)) == (9, 1, 1)
    assert [found.content for found in await service.get("again", ["3"])] == ["last"]


async def test_a_decimal_in_metadata_is_the_same_number_or_refused(database):
    service = AsyncDocumentService(database)
    await service.create_collection("prices", 1)
    rows = [
        {"id": text, "content": "x", "embedding": [1], "metadata": {"price": Decimal(text)}} for text in ("1.10", "7")
    ]
    await service.add("prices", rows)
    assert [found.metadata for found in await service.get("prices", ["1.10", "7"])] == [{"price": 1.1}, {"price": 7}]
    assert await service.count("prices", where={"price": Decimal("1.10")}) == 1
    long = {"price": Decimal("1.1000000000000000000001")}
    with pytest.raises(InvalidRow, match=r"^Row 1 \(id 'long'\), metadata: 'price': Decimal\('1.1000.*would be lost"):
        await service.add("prices", [rows[0], {**rows[0], "id": "long", "metadata": long}])
    with pytest.raises(InvalidRow, match=r"^'price': Decimal.*would be lost"):
        await service.update_metadata("prices", long, where=None)
    async with database.begin() as session:
        documents = AsyncDocumentRepository(session, await AsyncCollectionRepository(session).get("prices"))
        with pytest.raises(InvalidRow, match=r"^Row 0 \(id 'a'\), column 'metadata': 'price': Decimal.*would be lost"):
            await documents.upsert([{**row("a"), "embedding": [1], "meta": long}])
    assert await service.count("prices") == 2
