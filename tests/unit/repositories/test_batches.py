"""What sync and async loads share, without a database."""

from __future__ import annotations

import datetime as dt
import itertools
import struct
import uuid
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given, strategies as st
from sqlalchemy import DateTime, Enum, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import Document, Vector
from rowspace.errors import ConfigurationError, InvalidRow, InvalidText
from rowspace.repositories.batches import Batcher, aiter_rows, iter_rows, plan_load


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column("headline", Text)
    embedding: Mapped[object] = mapped_column(Vector(2), deferred=True)
    changed: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), onupdate=func.now())


class Part(Base):
    __tablename__ = "parts"
    __table_args__ = ({"schema": "own"},)
    tenant: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def batcher():
    return Batcher(plan_load(Article, ["id", "title"]))


def articles(*ids):
    return [{"id": id_, "title": str(at)} for at, id_ in enumerate(ids)]


def counts(batcher):
    return batcher.received, batcher.duplicates, batcher.again


def test_a_plan_is_the_merge_of_the_columns_that_the_rows_have():
    merge = plan_load(Article, ["title", "id"]).merge
    assert merge.target == "articles"
    assert [column.name for column in merge.columns] == ["headline", "id"]
    assert (merge.keys, merge.touched) == (("id",), (("changed", "now()"),))
    assert plan_load(Article, ["id", "changed"]).merge.touched == ()


def test_what_rows_leave_out_is_made_by_its_default():
    numbers = itertools.count(1)

    class Own(DeclarativeBase):
        pass

    class Draft(Own):
        __tablename__ = "drafts"
        id: Mapped[int] = mapped_column(primary_key=True)
        number: Mapped[int] = mapped_column("the number", default=lambda: next(numbers))
        state: Mapped[str] = mapped_column(Text, default="it's new")
        made: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), default=func.now())
        embedding: Mapped[object] = mapped_column(Vector(2))

    plan = plan_load(Draft, ["id"])
    assert dict(plan.merge.defaults) == {"state": "CAST(E'it''s new' AS TEXT)", "made": "now()"}
    assert (plan.merge.only_new, [column.name for column in plan.merge.columns]) == (
        {"the number"},
        ["id", "the number"],
    )
    assert "DO NOTHING" in plan.merge.merge()
    both = plan_load(Draft, ["id", "state"]).merge
    assert "DO UPDATE SET state = excluded.state RETURNING" in both.merge()
    assert both.update().startswith(f"UPDATE drafts SET state = {both.staged}.state FROM ")
    field = struct.pack(">hiiii", 2, 4, 7, 4, 1), struct.pack(">hiiii", 2, 4, 8, 4, 2)
    assert b"".join(field) in b"".join(plan.encode([{"id": 7}, {"id": 8}], range(2)))
    # Nobody is to bring it either.
    with pytest.raises(InvalidRow, match=r"unknown \['number'\]"):
        plan.keys_of([{"id": 7, "number": 1}], 0)
    assert plan_load(Draft, ["id"], inserts=False).merge.columns == plan.merge.columns[:1]
    assert plan_load(Draft, ["id", "number", "state", "made"]).merge.defaults == ()


def test_stages_have_names_of_their_own():
    assert plan_load(Article, ["id"]).merge.stage != plan_load(Article, ["id"]).merge.stage


def test_a_schema_is_for_tables_that_name_none():
    assert plan_load(Article, ["id"], schemas={None: "tenant"}).merge.target == "tenant.articles"
    assert plan_load(Part, ["tenant", "number"], schemas={None: "tenant"}).merge.target == "own.parts"
    assert plan_load(Part, ["tenant", "number"], schemas={"own": "tenant"}).merge.target == "tenant.parts"


def test_an_enumeration_is_that_of_the_schema_whether_rows_bring_it_or_a_default_does():
    class Own(DeclarativeBase):
        pass

    class Task(Own):
        __tablename__ = "tasks"
        id: Mapped[int] = mapped_column(primary_key=True)
        state: Mapped[str] = mapped_column(Enum("open", "done", name="state", schema="own"), default=lambda: "open")

    for attributes in (["id", "state"], ["id"]):
        _, state = plan_load(Task, attributes, schemas={"own": "tenant"}).merge.columns
        assert (state.name, state.cast_to) == ("state", "tenant.state")


def test_a_partition_and_its_constant():
    merge = plan_load(Document, ["id", "embedding"], partition="documents_7", constants={"collection_id": 7}).merge
    assert merge.target == "documents_7"
    assert (merge.keys, merge.constants) == (("collection_id", "id"), (("collection_id", 7),))


def test_a_key_that_comes_by_itself_may_be_left_out_of_new_rows():
    batcher = Batcher(plan_load(Article, ["title"]))
    rows = [{"title": "same"}, {"title": "same"}]
    assert [batcher.batch(rows)[0] for _ in range(2)] == [2, 2]
    assert counts(batcher) == (4, 0, 0)
    with pytest.raises(InvalidRow, match=r"^Row 4 has different attributes than the first row: .*unknown \['id'\]"):
        batcher.batch([{"title": "one", "id": 1}])
    with pytest.raises(ConfigurationError, match="needs its primary key"):
        plan_load(Article, ["title"], inserts=False)


@pytest.mark.parametrize(
    ("model", "attributes", "message"),
    [
        (Article, [], "A load of Article needs its primary key; the rows lack id."),
        (Part, ["tenant"], "A load of Part needs its primary key; the rows lack number."),
        (Part, [], "A load of Part needs its primary key; the rows lack number, tenant."),
        (
            Article,
            ["id", "headline"],
            "Article has no attribute 'headline'; it has id, title, embedding, changed.",
        ),
    ],
)
def test_a_plan_that_cannot_be(model, attributes, message):
    with pytest.raises(ConfigurationError) as refused:
        plan_load(model, attributes)
    assert str(refused.value) == message


def test_the_last_of_several_wins_inside_a_batch(batcher):
    rows, stream = batcher.batch(articles(1, 2, 1))
    assert (rows, counts(batcher)) == (2, (3, 1, 0))
    data = b"".join(stream)
    assert data.index(b"\x00\x00\x00\x02") < data.rindex(b"\x00\x00\x00\x01")
    assert b"\x00\x00\x00\x012" in data
    assert b"\x00\x00\x00\x010" not in data


def test_duplicates_of_earlier_batches_are_counted_once_a_batch(batcher):
    batcher.batch(articles(1, 2))
    rows, _ = batcher.batch(articles(2, 3, 2, 2))
    assert (rows, counts(batcher)) == (2, (6, 3, 1))


@given(st.lists(st.lists(st.integers(-3, 3) | st.sampled_from([2**31 - 1, -(2**31)]))))
def test_counts_agree_with_a_set(batches):
    batcher = Batcher(plan_load(Article, ["id"]))
    merged, again = set(), 0
    for ids in batches:
        rows, _ = batcher.batch([{"id": id_} for id_ in ids])
        assert rows == len(set(ids))
        again += len(merged & set(ids))
        merged |= set(ids)
    received = sum(map(len, batches))
    assert counts(batcher) == (received, received - len(merged), again)


def test_numbers_with_one_hash_are_two_keys(batcher):
    assert hash(-1) == hash(-2)
    batcher.batch(articles(-1))
    batcher.batch(articles(-2))
    assert counts(batcher) == (2, 0, 0)


NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "keys",
    [
        (Decimal("1.0"), Decimal("1.00"), 1, 1.0),
        (0.0, -0.0, Decimal("-0.0")),
        (0.5, Decimal("0.50")),
        (Decimal("1E+300"), 10**300),
        (Decimal("1E-5000"), Decimal("10E-5001")),
        (NOON, NOON.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))),
    ],
)
def test_what_is_one_key_in_a_batch_is_one_in_two(batcher, keys):
    assert len(set(keys)) == 1
    for key in keys:
        batcher.batch(articles(key))
    assert counts(batcher) == (len(keys), len(keys) - 1, len(keys) - 1)


@pytest.mark.parametrize("keys", [(-1.0, -2.0), (Decimal(-1), Decimal(-2)), (1.0, 2.0**61), (0.1, Decimal("0.1"))])
def test_other_numbers_are_other_keys(batcher, keys):
    for key in keys:
        batcher.batch(articles(key))
    assert counts(batcher) == (2, 0, 0)


def test_errors_name_the_row_of_the_load_whatever_was_left_out(batcher):
    batcher.batch(articles(1, 2))
    _, stream = batcher.batch([{"id": id_, "title": "a\0" if id_ == 6 else ""} for id_ in (5, 5, 6)])
    with pytest.raises(InvalidText, match=r"^Row 4 \(id 6\), column 'headline': PostgreSQL cannot store a NUL"):
        list(stream)


@pytest.mark.parametrize("mapping", [dict, MappingProxyType])
def test_a_row_with_other_attributes_is_refused(batcher, mapping):
    rows = [mapping({"id": 1, "title": ""}), mapping({"id": 2, "headline": ""})]
    with pytest.raises(
        InvalidRow, match=r"^Row 1 has different attributes .*missing \['title'\], unknown \['headline'\]\.$"
    ):
        batcher.batch(rows)


@pytest.mark.parametrize("row", [None, ("a", "b"), "a"])
def test_what_is_no_row_is_refused(batcher, row):
    batcher.batch(articles(1))
    with pytest.raises(InvalidRow, match=r"^Row 2: expected a mapping of attributes to values, got \w+ .*\.$"):
        batcher.batch([*articles(2), row])


@pytest.mark.parametrize("mapping", [dict, MappingProxyType])
@pytest.mark.parametrize("key", [None, [1], {}])
def test_a_key_that_cannot_be_one_is_refused(batcher, mapping, key):
    with pytest.raises(InvalidRow, match=r"^Row 1 has a value of 'id' that cannot be a key: "):
        batcher.batch([mapping(row) for row in articles(1, key)])


def test_rows_that_are_no_dicts(batcher):
    rows, stream = batcher.batch([MappingProxyType(row) for row in articles(1, 2, 1)])
    assert (rows, counts(batcher)) == (2, (3, 1, 0))
    assert b"".join(stream) == b"".join(Batcher(plan_load(Article, ["id", "title"])).batch(articles(1, 2, 1))[1])


def test_composite_keys():
    batcher = Batcher(plan_load(Part, ["tenant", "number"]))
    one, two = uuid.UUID(int=1), uuid.UUID(int=2)
    rows, _ = batcher.batch([{"tenant": tenant, "number": 1} for tenant in (one, two, one)])
    assert (rows, counts(batcher)) == (2, (3, 1, 0))
    with pytest.raises(InvalidRow, match="Row 3 has a value of 'number' that cannot be a key: None"):
        batcher.batch([{"tenant": one, "number": None}])


async def test_rows_from_any_iterable():
    async def rows():
        yield {"id": 1}
        yield {"id": 2}

    assert [row async for row in aiter_rows(rows())] == [{"id": 1}, {"id": 2}]
    assert [row async for row in aiter_rows(iter([{"id": 1}]))] == [{"id": 1}]
    assert list(iter_rows({"id": at} for at in range(2))) == [{"id": 0}, {"id": 1}]
