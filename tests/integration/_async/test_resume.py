"""Loads that are interrupted and go on, and rows that are handed back."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from rowspace import HNSW, AsyncCollectionRepository, AsyncDocumentRepository, AsyncDocumentService, LoadReport
from rowspace.errors import ConfigurationError, InvalidText, InvalidVector, TransactionConflict
from rowspace.models import LoadProgress


@pytest.fixture
async def service(database, embedder):
    service = AsyncDocumentService(database, embedder)
    await service.create_collection("news", 32)
    return service


class Source:
    """Documents, of which the reading breaks off after some; counts how far it was read."""

    def __init__(self, count=10, *, until=None, change=None):
        self.read, self._count, self._until, self._change = 0, count, until, change

    def __iter__(self):
        for at in range(self._count):
            if at == self._until:
                message = "the source broke"
                raise KeyboardInterrupt(message)
            self.read += 1
            yield {"id": f"{at}", "content": f"text {'x' if at == self._change else at}"}


async def interrupted(service, until=7, key="k", **options):
    with pytest.raises(KeyboardInterrupt):
        await service.add("news", Source(until=until), resume=key, batch_size=2, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": ""}, "Expected resume as the key of the load, 1 to 2,600 bytes of text without NUL, got ''"),
        ({"resume": 5}, "got 5"),
        ({"resume": "a\0"}, "without NUL"),
        ({"resume": "é" * 1_301}, "1 to 2,600 bytes"),
        ({"rejects": []}, "rejects must be a function, such as list.append, got list"),
        ({"progress": 5}, "progress must be a function, .* got int 5"),
    ],
)
async def test_what_a_load_refuses_before_it_begins(service, options, message):
    source = Source()
    with pytest.raises(ConfigurationError, match=message):
        await service.add("news", source, **options)
    assert source.read == 0


async def indexes(database):
    query = "SELECT count(*) FROM pg_indexes WHERE tablename ~ '^documents_' AND indexname ~ '^ix_'"
    async with database.begin() as session:
        return (await (await session.connection()).exec_driver_sql(query)).scalar()


async def left(database):
    async with database.begin() as session:
        return await session.scalar(select(func.count()).select_from(LoadProgress))


@pytest.mark.parametrize("size", [1, 2, 4, 500])
async def test_an_interrupted_load_goes_on_where_it_stopped(service, embedder, database, size):
    await interrupted(service)
    assert await service.count("news") == 6
    assert (await indexes(database), await left(database)) == (0, 1)
    embedder.texts.clear()
    seen = []
    report = await service.add("news", Source(), resume="k", batch_size=size, progress=seen.append)
    assert report == LoadReport(10, inserted=10), "the report is that of the whole load"
    assert seen[0].received == 6
    assert embedder.texts == [f"text {at}" for at in range(6, 10)]
    assert await service.count("news") == 10
    assert (await indexes(database), await left(database)) == (3, 0)


async def test_a_load_may_be_interrupted_again_and_again(service, embedder):
    for until in (3, 3, 5, 9):
        await interrupted(service, until)
    assert await service.add("news", Source(), resume="k") == LoadReport(10, inserted=10)
    assert len(embedder.texts) == 10


async def test_a_load_that_ended_begins_anew(service):
    await service.add("news", Source(), resume="k")
    assert await service.add("news", Source(), resume="k") == LoadReport(10, unchanged=10)


async def test_another_source_is_refused_once(service):
    await interrupted(service)
    with pytest.raises(ConfigurationError, match="The first 6 documents differ from those"):
        await service.add("news", Source(change=3), resume="k")
    assert await service.count("news") == 6
    assert await service.add("news", Source(change=3), resume="k") == LoadReport(10, inserted=4, updated=1, unchanged=5)


async def test_a_source_that_changes_after_what_was_read_is_no_matter(service):
    await interrupted(service)
    assert await service.add("news", Source(12, change=8), resume="k") == LoadReport(12, inserted=12)


async def test_duplicates_are_seen_across_the_interruption(service):
    def source(until):
        yield from ["a", "b", "a", "c"][:until]
        if until < 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await service.add("news", source(2), resume="k", batch_size=1)
    assert await service.add("news", source(4), resume="k", batch_size=1) == LoadReport(4, inserted=3, duplicates=1)


async def test_keys_and_collections_have_progress_of_their_own(service, database):
    await service.create_collection("more", 32)
    await interrupted(service, key="one")
    await interrupted(service, key="two")
    assert await left(database) == 2
    assert await service.add("more", Source(), resume="one") == LoadReport(10, inserted=10)
    await service.drop_collection("news")
    assert await left(database) == 0


async def test_a_second_load_of_the_key_is_noticed(service):
    async def race():
        for at in range(4):
            if at == 0:
                await interrupted(service, 3)
            yield f"mine {at}"

    with pytest.raises(TransactionConflict, match=r"Another load of 'k' into 'news' is running"):
        await service.add("news", race(), resume="k", batch_size=2)


BAD = [{"content": "a"}, {"id": "x", "content": "\0"}, {"text": "b"}, {"content": "c", "embedding": [1]}, "d"]


async def test_bad_rows_are_handed_back(service):
    rejects = []
    report = await service.add("news", BAD, rejects=rejects.append, batch_size=2)
    assert report == LoadReport(5, inserted=2, rejected=3)
    assert [(one.number, one.row) for one in rejects] == [(at, BAD[at]) for at in (1, 2, 3)]
    assert [one.reason.partition(":")[0] for one in rejects] == [
        "Row 1 (id 'x'), content",
        "Row 2, content",
        "Row 3 (id None), embedding",
    ]
    with pytest.raises(InvalidText, match=r"^Row 1 \(id 'x'\)"):
        await service.add("news", BAD)


async def test_a_batch_of_nothing_but_bad_rows(service):
    rejects = []
    report = await service.add("news", [BAD[1]] * 4, rejects=rejects.append, batch_size=2, resume="k")
    assert (report, len(rejects)) == (LoadReport(4, rejected=4), 4)


async def test_a_number_that_the_index_cannot_hold_is_a_bad_row(service, database):
    await service.create_collection("half", 2, index=HNSW(quantize="halfvec"))
    rows = [{"id": "a", "content": "x", "embedding": [1, 2]}, {"id": "b", "content": "x", "embedding": [1e6, 2]}]
    rejects = []
    assert await service.add("half", rows, rejects=rejects.append) == LoadReport(2, inserted=1, rejected=1)
    assert rejects[0].reason.startswith(
        "Row 1 (id 'b'), embedding: The number 1000000.0 at index 0 is outside the range"
    )
    with pytest.raises(InvalidVector, match="Row 1"):
        await service.add("half", rows)
    async with database.session() as session:
        half = AsyncDocumentRepository(session, await AsyncCollectionRepository(session).get("half"))
        with pytest.raises(InvalidVector, match=r"out of range for type halfvec\. A halfvec, and an index with "):
            await half.upsert(rows)


async def test_a_text_under_many_ids_is_embedded_once_a_batch(service, embedder):
    report = await service.add("news", [{"id": f"{at}", "content": "same"} for at in range(5)])
    assert (embedder.texts, report.inserted, report.repeated_texts) == (["same"], 5, 4)
    assert await service.count("news") == 5


async def test_a_batch_is_all_that_is_read_ahead(service):
    source, ahead = Source(20), []
    await service.add("news", source, batch_size=4, progress=lambda report: ahead.append(source.read - report.received))
    assert ahead == [0] * 5


async def test_a_batch_size_that_cannot_be(service):
    with pytest.raises(ConfigurationError, match="batch_size must be a whole number of at least 1, got 0"):
        await service.add("news", [], batch_size=0)
    with pytest.raises(TypeError, match=r"A load has no option 'size'\. Its options are resume, rejects, progress"):
        await service.add("news", [], size=3)


BOOK = " ".join(f"{at:07x}" for at in range(150_000))
LONG = ["one", {"id": "book", "content": BOOK}, {"id": "é" * 1_301, "content": "x"}, "two", "x" * 2_000_000]


async def test_a_text_that_the_index_could_not_hold_is_one_bad_row(service, embedder):
    with pytest.raises(
        InvalidText, match=r"^Row 1 \(id 'book'\), content: the text \(.*\) has more distinct words than"
    ):
        await service.add("news", LONG)
    assert (await service.count("news"), embedder.texts) == (0, [])
    rejects = []
    report = await service.add("news", LONG, rejects=rejects.append, batch_size=2)
    assert report == LoadReport(5, inserted=3, rejected=2)
    assert [one.number for one in rejects] == [1, 2]
    assert "an id can have at most 2,600 bytes, got 2,602" in rejects[1].reason


async def test_a_text_that_was_rejected_is_rejected_again_after_an_interruption(service):
    rejects = []

    def source(until=None):
        for at, one in enumerate([*LONG, "three", "four"]):
            if at == until:
                raise KeyboardInterrupt
            yield one

    with pytest.raises(KeyboardInterrupt):
        await service.add("news", source(until=5), resume="k", batch_size=2, rejects=rejects.append)
    report = await service.add("news", source(), resume="k", batch_size=2, rejects=rejects.append)
    assert report == LoadReport(7, inserted=5, rejected=2)
    assert [one.number for one in rejects] == [1, 2, 1, 2]
