from __future__ import annotations

from typing import ClassVar

import pytest
from sqlalchemy import Text, TypeDecorator, literal, select, text
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

from rowspace import HNSW, Bit, Collection, Distance, HalfVector, IVFFlat, Vector
from rowspace.errors import ConfigurationError
from rowspace.repositories.subjects import subject_of
from rowspace.repositories.targets import searches_of, table_of_model, target_of


class Base(DeclarativeBase):
    pass


class Plain(Base):
    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)


class One(Base):
    __tablename__ = "one"
    __table_args__ = (HNSW(Distance.L2).index("vec"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column("vec", Vector(3))


class Several(Base):
    __tablename__ = "several"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[object] = mapped_column(HalfVector(3))
    bits: Mapped[object] = mapped_column(Bit(8))


class Reflected(Base):
    __tablename__ = "reflected"
    id: Mapped[int] = mapped_column(primary_key=True)
    bits: Mapped[object] = mapped_column(BIT(8))


class Listed(TypeDecorator):
    impl = Vector
    cache_ok = True


class Shouted(TypeDecorator):
    impl = Text
    cache_ok = True


class Decorated(Base):
    __tablename__ = "decorated"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Shouted)
    listed: Mapped[object] = mapped_column(Listed(3))


class Twice(Base):
    __tablename__ = "twice"
    __table_args__ = (
        HNSW("l2").index("vec", name="by_l2"),
        IVFFlat("cosine").index("vec", name="by_cosine"),
        HNSW("cosine", quantize="bit").index("title"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column("vec", Vector(3))
    title: Mapped[object] = mapped_column(Vector(3))
    plain: Mapped[object] = mapped_column(Vector(3))


class Parted(Base):
    __tablename__ = "parted"
    __table_args__ = (
        HNSW("l2", quantize="bit", where="id < 10").index("vec", name="first"),
        HNSW("l2", quantize="bit", where="id > 90").index("vec", name="last"),
        HNSW("cosine", quantize="halfvec").index("vec", name="every"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    vec: Mapped[object] = mapped_column(Vector(3))


class Halves(Base):
    __tablename__ = "halves"
    __table_args__ = (HNSW("l2", quantize="halfvec").index("vec"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    vec: Mapped[object] = mapped_column(Vector(3))


def test_what_a_model_is_searched_by():
    assert searches_of(Plain) == searches_of(Several) == []
    assert searches_of(One) == [("embedding", Distance.L2)]
    twice = [("embedding", Distance.L2), ("embedding", Distance.COSINE), ("title", Distance.COSINE)]
    assert searches_of(Twice) == twice
    assert [target_of(Twice, *search).distance for search in twice] == [distance for _, distance in twice]
    assert target_of(Twice, "embedding", "l1").distance is Distance.L1


@pytest.mark.parametrize(
    ("distance", "first", "last", "any_other"),
    [("l2", "bit", "bit", None), ("l1", "bit", "bit", None), ("cosine", "halfvec", "halfvec", "halfvec")],
)
def test_a_search_is_ordered_by_what_an_index_has_of_its_rows(distance, first, last, any_other):
    subject = subject_of(Parted, distance=distance)
    wheres = [[text("id < 10")], [text("id > 90")], [text("id = 1")], None]
    assert [subject.target_under(where).quantize for where in wheres] == [first, last, any_other, any_other]


def test_halfvec_by_one_distance_serves_no_other():
    assert [target_of(Halves, None, distance).quantize for distance in ("l2", None, "cosine")] == ["halfvec"] * 2 + [
        None
    ]


def test_the_distance_is_that_of_the_index_else_cosine():
    assert target_of(One, None, None).distance is Distance.L2
    assert target_of(One, None, "l1").distance is Distance.L1
    assert target_of(Several, "title", None).distance is Distance.COSINE
    assert target_of(Several, "bits", None).distance is Distance.HAMMING
    assert target_of(Several, "bits", "jaccard").distance is Distance.JACCARD


def test_the_column_is_named_by_its_attribute():
    assert target_of(One, None, None).column == "embedding"
    assert target_of(One, "embedding", None) is target_of(One, "embedding", None)


@pytest.mark.parametrize(
    ("model", "column", "distance", "message"),
    [
        (Plain, None, None, "Plain has no vector column; its vector columns: none."),
        (One, "vec", None, "One has no vector column 'vec'; its vector columns: embedding."),
        (
            Several,
            None,
            None,
            r"Several has several vector columns \(title, bits\)\. Name one: column=... \(in Django, field=...\)",
        ),
        (
            Reflected,
            "bits",
            None,
            r"To use a reflected bit\(n\) as a vector, declare it, .* Column\('bits', rowspace.Bit\(8\)\)",
        ),
        (Decorated, None, None, "none. COPY .* do not support Listed, .* Make it a subclass of Vector with cache_ok"),
        (Decorated, "listed", None, "no vector column 'listed'; its vector columns: none. COPY and matrices do not"),
        (Decorated, "name", None, r"no vector column 'name'; its vector columns: none\.$"),
        (Several, "bits", "l2", r"The distance l2 is not defined for Bit\(8\), the type of Several.bits."),
        (Several, "title", "hamming", r"The distance hamming is not defined for HalfVector\(3\)"),
        (One, None, "euclid", "The distance must be one of l2, cosine, .* got 'euclid'."),
        (int, None, None, "Expected a mapped class, got <class 'int'>."),
    ],
)
def test_what_cannot_be_searched(model, column, distance, message):
    with pytest.raises(ConfigurationError, match=message):
        target_of(model, column, distance)


def test_the_table_of_a_model_is_that_which_has_the_vector():
    one, plain = One.__table__, Plain.__table__

    class Joined(Base):
        __table__ = one.join(plain, one.c.id == plain.c.id)
        id = column_property(one.c.id, plain.c.id)

    chosen, computed = select(one).subquery(), select(literal(1).label("id")).subquery()

    class Chosen(Base):
        __table__ = chosen
        __mapper_args__: ClassVar = {"primary_key": [chosen.c.id]}

    class Computed(Base):
        __table__ = computed
        __mapper_args__: ClassVar = {"primary_key": [computed.c.id]}

    assert [table_of_model(model) for model in (One, Joined, Chosen, Computed)] == [one, one, one, computed]


@pytest.mark.parametrize("given", [{"column": "embedding"}, {"distance": Distance.L2}], ids=str)
def test_a_collection_has_one_way_to_be_searched(given):
    collection = Collection(id=1, name="c", dimension=3, distance=Distance.COSINE)
    with pytest.raises(ConfigurationError, match=r"has one embedding and one distance\. Omit column and distance"):
        subject_of(collection, **given)
