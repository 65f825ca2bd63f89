"""Listings and summaries on every driver, compared with Python's own sorting and counting."""

from __future__ import annotations

import json
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import ARRAY, REAL, BigInteger, DateTime, Double, Text, TypeDecorator, select, text
from sqlalchemy.dialects.postgresql import DOMAIN, HSTORE, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import FacetCount, Stats, Vector
from rowspace.errors import ConfigurationError, InvalidCursor, InvalidFilter, InvalidSetting
from rowspace.models import Collection, Document
from rowspace.repositories import AsyncBrowseRepository, AsyncCollectionRepository, AsyncDocumentRepository
from rowspace.repositories.cursors import write_cursor
from rowspace.repositories.keys import key_of
from rowspace.repositories.targets import target_of
from rowspace.statements.listing import After, Listing

MISSING = object()
VALUES = [1, 2, 2, "a", "b", None, True, False, [1, 2, 2], ["a"], {"x": 1}, 1.5, -3, "数", "", 10**40, MISSING]
METADATA = [
    {} if value is MISSING else {"v": value, "n": number, "deep": {"a.b": number % 3}}
    for number, value in enumerate(VALUES * 3)
]


class Base(DeclarativeBase):
    pass


class Event(Base):
    __tablename__ = "browsed_events"

    place: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column()
    token: Mapped[UUID | None]
    weight: Mapped[float | None]
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    facts: Mapped[Any] = mapped_column(JSONB)
    embedding: Mapped[np.ndarray | None] = mapped_column(Vector(2), deferred=True)


class Facts(TypeDecorator):
    impl = JSONB
    cache_ok = True


class Tags(TypeDecorator):
    impl = ARRAY(Text)
    cache_ok = True


class Moment(TypeDecorator):
    impl = DateTime(timezone=True)
    cache_ok = True


class Decorated(Base):
    __tablename__ = "browsed_decorated"

    id: Mapped[int] = mapped_column(primary_key=True)
    facts: Mapped[Any] = mapped_column(Facts)
    tags: Mapped[Any] = mapped_column(Tags)
    marks: Mapped[Any] = mapped_column(DOMAIN("browsed_marks", ARRAY(Text)))
    at: Mapped[datetime] = mapped_column(Moment, deferred=True)
    embedding: Mapped[np.ndarray | None] = mapped_column(Vector(2), deferred=True)


class Reading(Base):
    __tablename__ = "browsed_readings"

    at: Mapped[float] = mapped_column(Double, primary_key=True)
    # By it they are different objects, also where `at` is read with fewer digits.
    place: Mapped[int] = mapped_column(primary_key=True)
    small: Mapped[float] = mapped_column(REAL)
    embedding: Mapped[np.ndarray | None] = mapped_column(Vector(2), deferred=True)


class Tagged(Base):
    __tablename__ = "browsed_tagged"

    id: Mapped[int] = mapped_column(primary_key=True)
    tags: Mapped[dict[str, str]] = mapped_column(HSTORE, deferred=True)
    embedding: Mapped[np.ndarray | None] = mapped_column(Vector(2), deferred=True)


@pytest.fixture(scope="module", autouse=True)
def _tables(create_tables):
    create_tables(Base.metadata)


async def make(session, name, metadata, indexed_keys=()) -> Collection:
    collection = await AsyncCollectionRepository(session).create(name, 2, index=None, indexed_keys=indexed_keys)
    rows = [
        {"id": f"d{number:03}", "content": "text", "meta": meta, "embedding": [1, number]}
        for number, meta in enumerate(metadata)
    ]
    await AsyncDocumentRepository(session, collection).upsert(rows)
    return collection


@pytest.fixture(params=[[], ["v", "n", "deep.a\\.b"]], ids=["", "indexed"])
async def browse(session, request) -> AsyncBrowseRepository[Document]:
    await make(session, "neighbour", [{"v": "not mine"}])
    return AsyncBrowseRepository(session, await make(session, "mixed", METADATA, request.param))


@pytest.fixture
async def events(session) -> AsyncBrowseRepository[Event]:
    start = datetime(2024, 2, 28, 23, 59, 59, 123456)  # noqa: DTZ001 - a column without time zone
    session.add_all(
        Event(
            place=f"p{number % 3}",
            number=number,
            at=start + timedelta(hours=number % 5),
            token=None if number % 4 == 0 else UUID(int=(number * 7) % 5),
            weight=[None, 0.1, 1e-300, float("inf"), float("nan"), -2.5][number % 6],
            tags=[None, [], ["a"], ["a", "b", "a"]][number % 4],
            facts=[{"a": number % 2}, [1], "b", 2, None][number % 5],
            embedding=[1, number] if number % 7 else None,
        )
        for number in range(40)
    )
    await session.flush()
    return AsyncBrowseRepository(session, Event)


async def every(browse, limit, **options) -> list:
    """Return all rows, page by page."""
    rows, cursor = [], None
    while True:
        page = await browse.scroll(limit, cursor=cursor, **options)
        rows += page.items
        assert len(page.items) == limit or page.cursor is None
        assert len({*map(id, rows)}) == len(rows)
        cursor = page.cursor
        if cursor is None:
            return rows


def kind(value):
    """Return where a JSON value stands in the order of types; within the last it is that of jsonb."""
    kinds = [(int, float), str, bool, list, dict]
    return max(place for place, one in enumerate(kinds) if isinstance(value, one))


@pytest.mark.parametrize("limit", [1, 7, 51, 100])
async def test_pages_by_primary_key_are_complete_and_in_order(browse, limit):
    ids = [document.id for document in await every(browse, limit)]
    assert ids == [f"d{number:03}" for number in range(len(METADATA))]
    assert [document.id for document in await every(browse, limit, descending=True)] == ids[::-1]


@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_metadata_of_any_type_has_one_order(browse, limit):
    rows = [(document.meta.get("v", MISSING), document.id) for document in await every(browse, limit, order_by="v")]
    assert len({id_ for _, id_ in rows}) == len(METADATA)
    assert sorted(id_ for value, id_ in rows if value in (None, MISSING)) == [id_ for _, id_ in rows[-6:]]
    present = [value for value, _ in rows[:-6]]
    assert [kind(value) for value in present] == sorted(map(kind, present))
    for one in (str, float):
        values = [value for value in present if isinstance(value, one) or (one is float and type(value) is int)]
        assert values == sorted(values)
    ties = [(json.dumps(value), id_) for value, id_ in rows[:-6]]
    assert all(first[1] < second[1] for first, second in pairwise(ties) if first[0] == second[0])
    back = [
        (document.meta.get("v", MISSING), document.id)
        for document in await every(browse, limit, order_by="v", descending=True)
    ]
    plain = sum(kind(value) < 2 for value in present)
    parts = slice(plain), slice(plain, len(present)), slice(len(present), None)
    assert back == [row for part in parts for row in rows[part][::-1]]


async def test_a_nested_key_and_a_filter(browse):
    rows = await every(browse, 5, order_by="deep.a\\.b", where={"n": {"$gte": 10}})
    expected = [meta for meta in METADATA if meta.get("n", -1) >= 10]
    assert [(row.meta["deep"]["a.b"], row.id) for row in rows] == sorted(
        (meta["deep"]["a.b"], f"d{meta['n']:03}") for meta in expected
    )


@pytest.mark.parametrize("indexed_keys", [[], ["tags.0"]], ids=["", "indexed"])
async def test_digits_are_a_key_as_in_a_filter_and_no_place_in_an_array(session, indexed_keys):
    tags = [["x"], [5], {"0": "a"}, {"0": 3}, None, {"0": None}, "s"]
    browse = AsyncBrowseRepository(session, await make(session, "tags", [{"tags": one} for one in tags], indexed_keys))
    for descending, expected in ((False, [3, 2, 0, 1, 4, 5, 6]), (True, [2, 3, 6, 5, 4, 1, 0])):
        rows = await every(browse, 1, order_by="tags.0", descending=descending)
        assert [row.id for row in rows] == [f"d{number:03}" for number in expected]
    assert await browse.distinct("tags.0") == [3, "a"]
    assert (await browse.scroll(where={"tags.0": {"$in": [5, "x"]}})).items == []


async def test_pages_survive_inserts_and_deletes(session, browse):
    first = await browse.scroll(10)
    repository = AsyncDocumentRepository(session, await AsyncCollectionRepository(session).get("mixed"))
    await repository.delete([document.id for document in first.items[2:]])
    await repository.upsert([{"id": id_, "content": "", "meta": {}, "embedding": [1, 1]} for id_ in ("a000", "d010x")])
    second = await browse.scroll(10, cursor=first.cursor)
    assert [document.id for document in second.items[:3]] == ["d010", "d010x", "d011"]


@pytest.mark.parametrize("key", ["at", "token", "weight", "place", "number", "tags", "facts"])
@pytest.mark.parametrize("descending", [False, True])
async def test_columns_of_a_model(session, events, key, descending):
    column = getattr(Event, key)
    order = column.desc().nulls_last() if descending else column.nulls_last()
    keys = [c.desc() if descending else c for c in (Event.place, Event.number)]
    rows = await every(events, 3, order_by=column, descending=descending)
    expected = await session.scalars(select(Event.number).order_by(order, *keys))
    assert [row.number for row in rows] == [*expected]


@pytest.fixture
async def decorated(session) -> AsyncBrowseRepository[Decorated]:
    session.add_all(
        Decorated(
            id=number,
            facts=value,
            tags=[str(value)],
            marks=[str(value), "a b"],
            at=datetime(2024, 12 - number, 1 + number, tzinfo=UTC),
        )
        for number, value in enumerate([{"a": 1}, "a", 2, [], None, "b"])
    )
    await session.flush()
    return AsyncBrowseRepository(session, Decorated)


@pytest.mark.parametrize("key", ["facts", "tags", "marks", "at"])
async def test_columns_of_a_type_that_stands_for_another(session, decorated, key):
    column = getattr(Decorated, key)
    rows = await every(decorated, 1, order_by=column)
    expected = await session.scalars(select(Decorated.id).order_by(column, Decorated.id))
    assert [row.id for row in rows] == [*expected]


async def test_a_cursor_outlives_the_style_of_dates(session, decorated):
    await session.execute(text("SET LOCAL datestyle = 'SQL, DMY'"))
    first = await decorated.scroll(3, order_by=Decorated.at)
    await session.execute(text("SET LOCAL datestyle = 'ISO, MDY'"))
    second = await decorated.scroll(3, order_by=Decorated.at, cursor=first.cursor)
    assert [row.id for row in [*first.items, *second.items]] == [5, 4, 3, 2, 1, 0]


async def test_a_cursor_has_every_digit_of_a_number(session):
    numbers = [0.1, math.nextafter(0.1, 1), math.nextafter(0.1, 0), -math.inf, 1e-30, 3e38, -0.0]
    session.add_all(Reading(at=number, place=place, small=number) for place, number in enumerate(numbers))
    await session.flush()
    await session.execute(text("SET LOCAL extra_float_digits = 0"))
    browse = AsyncBrowseRepository(session, Reading)
    for order_by, key in ((None, Reading.at), (Reading.at, Reading.at), (Reading.small, Reading.small)):
        for descending in (False, True):
            order = [one.desc() if descending else one for one in (key, Reading.at, Reading.place)]
            expected = await session.scalars(select(Reading.place).order_by(*order))
            rows = await every(browse, 1, order_by=order_by, descending=descending)
            assert [row.place for row in rows] == [*expected]


async def test_hstore_has_the_order_of_json(session):
    # The last is the second in hstore's own order.
    tags = [{}, {"b": "1"}, {"b": "2"}, {"a": "1", "c": "1"}]
    session.add_all(Tagged(id=number, tags=one) for number, one in enumerate(tags))
    await session.flush()
    browse = AsyncBrowseRepository(session, Tagged)
    rows = await every(browse, 1, order_by=Tagged.tags, descending=True)
    assert [row.id for row in rows] == [3, 2, 1, 0]
    assert [row.id async for row in browse.stream(order_by=Tagged.tags)] == [0, 1, 2, 3]


async def test_the_embedding_comes_when_asked_for(browse):
    (document,) = (await browse.scroll(1, with_embedding=True)).items
    assert "embedding" in document.__dict__
    (other,) = (await browse.scroll(1, descending=True)).items
    assert "embedding" not in other.__dict__


async def test_an_empty_listing_is_one_empty_page(browse):
    page = await browse.scroll(where={"v": "nowhere"})
    assert (page.items, page.cursor) == ([], None)


async def test_what_a_listing_refuses(session, browse, events):
    with pytest.raises(ConfigurationError, match=r"Event has no column 5\. Pass a metadata key as text"):
        await events.scroll(order_by=5)
    cursor = (await browse.scroll(3, order_by="v")).cursor
    with pytest.raises(InvalidCursor, match=r"by meta\.v, and this is a listing of documents:\d+ by meta\.n"):
        await browse.scroll(3, order_by="n", cursor=cursor)
    with pytest.raises(InvalidCursor, match="this is a listing of browsed_events by number"):
        await events.scroll(3, order_by=Event.number, cursor=cursor)
    with pytest.raises(InvalidCursor, match="Expected the cursor of a page"):
        await browse.scroll(3, order_by="v", cursor=cursor[1:])
    with pytest.raises(InvalidSetting, match="limit must be a whole number"):
        await browse.scroll(0)
    with pytest.raises(InvalidSetting, match="limit must be a whole number"):
        await browse.facets("v", limit=0)
    with pytest.raises(InvalidSetting, match="limit must be a whole number"):
        await browse.distinct("v", limit=0)
    with pytest.raises(InvalidFilter):
        await browse.scroll(order_by="a..b")
    with pytest.raises(ConfigurationError, match="needs a JSONB attribute `meta`"):
        await events.scroll(order_by="place")


@pytest.mark.parametrize(
    ("column", "value", "number"),
    [
        (Event.at, "never", "1"),
        (Event.at, "2024-13-13", "1"),
        (Event.at, "2024-01-01 00:00+99", "1"),
        (Event.at, "2024-01-01 00:00 Nowhere/Else", "1"),
        (Event.token, "7", "1"),
        (Event.weight, "1e999", "1"),
        (Event.weight, "1", "x"),
        (Event.weight, "1", str(2**63)),
        (Event.facts, "{", "1"),
        (Event.facts, '"\\u0000"', "1"),
        (Event.embedding, "[1]", "1"),
    ],
    ids=str,
)
async def test_a_forged_cursor_holds_values_of_its_columns(events, column, value, number):
    listing = Listing(target_of(Event, None, None), key_of(Event, column))
    cursor = write_cursor(listing, After(value, ("p", number)))
    with pytest.raises(InvalidCursor, match="Expected the cursor of a page"):
        await events.scroll(3, order_by=column, cursor=cursor)


def elements():
    """Yield each value of `v` that counts: an array's elements once a row, no null."""
    for meta in METADATA:
        value = meta.get("v")
        yield from {json.dumps(each) for each in (value if isinstance(value, list) else [value])} - {"null"}


async def test_facets_count_rows_and_elements(browse):
    counts = await browse.facets(["v", "deep.a\\.b"], limit=50)
    assert {json.dumps(count.value): count.count for count in counts["v"]} == Counter(elements())
    assert [count.count for count in counts["v"]] == sorted((count.count for count in counts["v"]), reverse=True)
    assert counts["deep.a\\.b"] == [FacetCount(0, 16), FacetCount(1, 16), FacetCount(2, 16)]
    assert await browse.facets("v", limit=2) == {"v": counts["v"][:2]}
    assert await browse.facets("v", where={"v": "b"}) == {"v": [FacetCount("b", 3)]}
    assert await browse.facets("nothing") == {"nothing": []}


async def test_facets_of_columns(events):
    counts = await events.facets([Event.place, Event.tags], where=[Event.number < 30])
    assert counts["place"] == [FacetCount("p0", 10), FacetCount("p1", 10), FacetCount("p2", 10)]
    assert counts["tags"] == [FacetCount("a", 14), FacetCount("b", 7)]


async def test_different_values(browse, events):
    values = await browse.distinct("v")
    assert values == [-3, 1, 1.5, 2, 10**40, "", "a", "b", "数", False, True, {"x": 1}]
    assert await browse.distinct("v", limit=2) == [-3, 1]
    assert await events.distinct(Event.place, where=[Event.number < 2]) == ["p0", "p1"]
    vectors = [[*vector] for vector in await events.distinct(Event.embedding)]
    assert vectors == sorted(vectors) != []


async def test_stats(browse, events):
    assert await browse.stats("n") == Stats(48, 3, 48, 0, 49)
    assert await browse.stats("v") == Stats(45, 6, 12, -3, {"x": 1})
    assert await browse.stats("v", where={"v": {"$gt": 1}}) == Stats(12, 0, 3, 1.5, 10**40)
    assert await browse.stats("nothing") == Stats(0, 51, 0)
    assert await browse.stats(Document.id) == Stats(51, 0, 51, "d000", "d050")
    assert await events.stats(Event.token) == Stats(30, 10, 5, UUID(int=0), UUID(int=4))
    numbers = await events.stats(Event.number)
    assert (numbers.minimum, numbers.maximum, numbers.distinct) == (0, 39, 40)


async def test_times_come_back_as_times(browse):
    stats = await browse.stats(Document.created_at)
    assert stats.minimum == stats.maximum <= datetime.now(UTC) + timedelta(minutes=1)
