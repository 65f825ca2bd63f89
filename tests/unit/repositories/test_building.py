"""Which indexes a model asks for, and how an advisor is asked about each of its searches."""

from __future__ import annotations

import pytest
from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import HNSW, Collection, IVFFlat, Vector
from rowspace.errors import ConfigurationError
from rowspace.repositories._sync.doctor import _searches
from rowspace.repositories.building import asked_for, key_removal, planned_for, planned_key_of
from rowspace.statements.catalog import IndexFact


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    __table_args__ = (
        HNSW().index("embedding", name="z_embedding"),
        IVFFlat("l2").index("embedding", name="a_embedding"),
        Index("kind_of_item", "kind"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column()
    embedding: Mapped[object] = mapped_column(Vector(3))


class Book(Item):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)


def test_a_model_asks_for_its_vector_indexes_alone():
    assert [plan.name for plan in planned_for(Item, {})] == ["a_embedding", "z_embedding"]
    asked = asked_for(Item, {None: "s"})
    assert (asked.name, asked.table, asked.schema, asked.command) == ("Item", "items", "s", None)
    assert (asked.dimensions, [plan.name for plan in asked.indexes]) == (
        {"embedding": 3},
        ["a_embedding", "z_embedding"],
    )


def test_what_the_table_of_a_parent_has_is_not_asked_of_that_of_the_child():
    asked = asked_for(Book, {})
    assert (asked.table, asked.indexes, asked.dimensions) == ("books", [], {})


class Film(Item):
    __tablename__ = "films"
    __table_args__ = (HNSW().index("poster", name="poster_of_film"),)
    id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    poster: Mapped[object] = mapped_column(Vector(3))


def test_the_index_of_a_child_comes_before_those_of_its_parent():
    assert [plan.name for plan in planned_for(Film, {})] == ["poster_of_film"]


def test_what_a_collection_asks_for():
    collection = Collection(id=7, name="news", dimension=3, index={}, language="simple", reembedding={"embedder": "x"})
    asked = asked_for(collection, {None: "s"})
    assert (asked.table, asked.schema, asked.command, asked.reembedded_by) == ("documents_7", "s", "news", "x")
    assert asked.indexes == planned_for(collection, {None: "s"})
    collection.reembedding = None
    assert asked_for(collection, {}).reembedded_by is None


def test_the_index_on_a_key_of_a_model_is_its_own_business():
    with pytest.raises(ConfigurationError, match="Item declares its own indexes"):
        planned_key_of(Item, "a", {})


def test_the_indexes_on_keys_that_there_are_are_named_where_none_is_meant():
    plan = planned_key_of(Collection(id=7, dimension=3), "a", {})
    facts = [IndexFact("s", "documents_7", f"ix_documents_7_{end}", "btree", "") for end in ("text", "key_b")]
    with pytest.raises(
        ConfigurationError, match="no index ix_documents_7_key_a to drop; the indexes on keys are ix_documents_7_key_b"
    ):
        key_removal([], facts, plan, wanted=False, concurrently=True)
    (step,) = key_removal([], facts, plan, wanted=True, concurrently=False)
    assert (step.statement, step.builds) == ("DROP INDEX IF EXISTS ix_documents_7_key_a", False)


class One(Base):
    __tablename__ = "ones"
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(3))


class Clip(Base):
    __tablename__ = "clips"
    __table_args__ = (HNSW("l2").index("image", name="of_image"), HNSW().index("text", name="of_text"))
    id: Mapped[int] = mapped_column(primary_key=True)
    image: Mapped[object] = mapped_column(Vector(3))
    text: Mapped[object] = mapped_column(Vector(3))


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (Item, [{"column": "embedding", "distance": "cosine"}, {"column": "embedding", "distance": "l2"}]),
        (Clip, [{"column": "image"}, {"column": "text"}]),
        (One, [{}]),
    ],
)
def test_a_search_is_named_by_what_tells_it_from_the_others(model, named):
    searches = _searches(model)
    assert sorted((name for _, name in searches), key=str) == named
