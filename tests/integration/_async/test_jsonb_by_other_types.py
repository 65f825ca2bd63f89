"""JSONB that a model declares by another type: what counts is what the column is in the database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import ARRAY, JSON, Integer, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import FacetCount, Stats, Vector
from rowspace.errors import ConfigurationError
from rowspace.repositories import (
    AsyncBrowseRepository,
    AsyncRepository,
    AsyncSearchRepository,
    AsyncTableRepository,
)


class Portable(TypeDecorator):
    """JSON on any other database."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect):
        return dialect.type_descriptor(JSONB() if dialect.name == "postgresql" else JSON())


class Wrapped(TypeDecorator):
    """JSON whose values are an application's own, as of Pydantic."""

    impl = JSONB
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value["wrapped"]

    def process_result_value(self, value, dialect):
        return {"wrapped": value}


class Plain(TypeDecorator):
    impl = JSON
    cache_ok = True


class Tags(TypeDecorator):
    impl = ARRAY(Text)
    cache_ok = True


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes_by_other_types"

    id: Mapped[int] = mapped_column(primary_key=True)
    variant: Mapped[Any] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    portable: Mapped[Any] = mapped_column(Portable)
    wrapped: Mapped[Any] = mapped_column(Wrapped)
    itself: Mapped[Any] = mapped_column(JSONB)
    plain: Mapped[Any] = mapped_column(Plain)
    tags: Mapped[Any] = mapped_column(Tags)
    meta: Mapped[Any] = mapped_column("metadata", JSON().with_variant(JSONB(), "postgresql"))
    embedding: Mapped[Any] = mapped_column(Vector(2))


class Sealed(Base):
    __tablename__ = "sealed_by_other_types"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    meta: Mapped[Any] = mapped_column(Wrapped)
    embedding: Mapped[Any] = mapped_column(Vector(2))


VALUES = [["a", "b"], "a", 1, None, ["b"]]
COLUMNS = ["variant", "portable", "wrapped", "itself"]


@pytest.fixture(scope="module", autouse=True)
def _tables(create_tables):
    create_tables(Base.metadata)


@pytest.fixture
async def notes(session):
    for number, value in enumerate(VALUES):
        stored = {name: {"wrapped": value} if name == "wrapped" else value for name in COLUMNS}
        meta, vector = {"kind": value}, [1, number]
        session.add(Note(id=number, **stored, plain=value, tags=["a"], meta=meta, embedding=vector))
        session.add(Sealed(id=number, meta={"wrapped": meta}, embedding=vector))
    await session.flush()
    return session


@pytest.mark.parametrize("name", COLUMNS)
async def test_elements_count_and_null_is_none(notes, name):
    browse, column = AsyncBrowseRepository(notes, Note), getattr(Note, name)
    assert await browse.facets(column) == {name: [FacetCount("a", 2), FacetCount("b", 2), FacetCount(1, 1)]}
    assert await browse.distinct(column) == ["a", "b", 1]
    assert await browse.stats(column) == Stats(4, 1, 3, "a", 1)


async def test_elements_of_an_array_that_is_decorated_count(notes):
    assert await AsyncBrowseRepository(notes, Note).facets(Note.tags) == {"tags": [FacetCount("a", 5)]}


@pytest.mark.parametrize("name", COLUMNS)
async def test_null_is_in_no_group(notes, name):
    groups = await AsyncSearchRepository(notes, Note).grouped([1, 0], getattr(Note, name))
    assert [(group.key, group.hits[0].entity.id) for group in groups] == [
        ({"wrapped": value} if name == "wrapped" else value, number)
        for number, value in enumerate(VALUES)
        if value is not None
    ]


@pytest.mark.parametrize("model", [Note, Sealed])
async def test_metadata_are_filtered_grouped_and_counted(notes, model):
    hits = await AsyncRepository(notes, model).nearest([1, 0], where={"kind": {"$any": ["b"]}})
    assert [hit.entity.id for hit in hits] == [0, 4]
    groups = await AsyncSearchRepository(notes, model).grouped([1, 4], "kind", groups=2)
    assert [group.key for group in groups] == [["b"], 1]
    browse = AsyncBrowseRepository(notes, model)
    assert await browse.distinct("kind") == [1, "a", "b"]
    assert [row.id for row in (await browse.scroll(order_by="kind")).items] == [2, 1, 4, 0, 3]
    kinds = await AsyncTableRepository(notes, model).metadata_kinds()
    assert kinds == {"kind": {"array", "integer", "null", "string"}}


async def test_json_is_refused_before_the_server_does(notes):
    for ask in (AsyncBrowseRepository(notes, Note).facets, AsyncBrowseRepository(notes, Note).distinct):
        with pytest.raises(ConfigurationError, match=r"Note\.plain is JSON, whose values PostgreSQL cannot compare"):
            await ask(Note.plain)
    with pytest.raises(ConfigurationError, match=r"Note\.plain is JSON, whose values PostgreSQL cannot compare"):
        await AsyncSearchRepository(notes, Note).grouped([1, 0], Note.plain)
