"""Models whose collections are loaded with them by a join, and with attributes that are expressions."""

from __future__ import annotations

import pytest
from sqlalchemy import ForeignKey, Text
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship

from rowspace import (
    AsyncBrowseRepository,
    AsyncHybridRepository,
    AsyncMatrixRepository,
    AsyncRepository,
    AsyncSearchRepository,
    AsyncTableRepository,
    Vector,
)
from rowspace.errors import ConfigurationError


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "book_authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    awards: Mapped[list[Award]] = relationship(lazy="joined")


class Award(Base):
    __tablename__ = "book_awards"

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey(Author.id))


class Book(Base):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    author_id: Mapped[int] = mapped_column(ForeignKey(Author.id))
    embedding: Mapped[object] = mapped_column(Vector(2), deferred=True)
    double: Mapped[int] = column_property(id * 2)  # noqa: A003 -- the column
    author: Mapped[Author] = relationship(lazy="joined")
    pages: Mapped[list[Leaf]] = relationship(lazy="joined", order_by="Leaf.id")
    numbers: AssociationProxy[list[int]] = association_proxy("pages", "id")


class Leaf(Base):
    __tablename__ = "book_pages"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey(Book.id))


BOOKS = 6

WITHOUT_A_TYPE = {"to one": Book.author, "to many": Book.pages, "through": Book.numbers}


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


@pytest.fixture
async def books(session):
    session.add(Author(id=1, awards=[Award(id=1), Award(id=2)]))
    for number in range(BOOKS):
        pages = [Leaf(id=10 * number + page) for page in range(3)]
        session.add(Book(id=number, title="one title", author_id=1, embedding=[number, 1], pages=pages))
    await session.flush()
    session.expunge_all()
    return session


def whole(entities):
    """The keys, of entities that have all that belongs to them, without another statement."""
    for book in entities:
        assert [page.id for page in book.__dict__["pages"]] == [10 * book.id + page for page in range(3)]
        assert [award.id for award in book.__dict__["author"].__dict__["awards"]] == [1, 2]
        assert book.double == 2 * book.id
    return [book.id for book in entities]


async def test_each_row_comes_once_with_its_collections(books):
    repository = AsyncRepository(books, Book, distance="l2")
    assert whole(await repository.get_many([3, 1])) == [3, 1]
    assert whole([hit.entity async for hit in repository.stream([0, 1])]) == [*range(BOOKS)]
    texts = AsyncHybridRepository(books, Book, text="title", distance="l2")
    assert whole([hit.entity for hit in await texts.text("title", 4)]) == [0, 1, 2, 3]
    assert whole([hit.entity for hit in await texts.hybrid("title", [0, 1], 4)]) == [0, 1, 2, 3]
    groups = await AsyncSearchRepository(books, Book, distance="l2").grouped([0, 1], Book.author_id, per_group=4)
    assert whole([hit.entity for hit in groups[0].hits]) == [0, 1, 2, 3]


async def test_listings_have_the_collections_too(books):
    browse = AsyncBrowseRepository(books, Book)
    first = await browse.scroll(4)
    assert whole(first.items) == [0, 1, 2, 3]
    assert whole((await browse.scroll(4, cursor=first.cursor)).items) == [4, 5]
    assert whole([book async for book in browse.stream(chunk_size=4)]) == [*range(BOOKS)]


async def test_an_expression_is_no_column_to_read_or_write(books):
    tables = AsyncTableRepository(books, Book)
    assert list(tables.columns) == ["id", "title", "author_id", "embedding"]
    async with tables.stream([*tables.columns]) as parts:
        assert sum([len(part["id"]) async for part in parts]) == BOOKS
    assert len((await AsyncMatrixRepository(books, Book).read([Book.double > 4])).keys) == BOOKS - 3
    with pytest.raises(ConfigurationError, match="no attribute 'double'; it has id, title, author_id, embedding"):
        await AsyncRepository(books, Book).upsert([{"id": 1, "double": 2}])


async def test_searches_bring_the_collections(books):
    repository, many = AsyncRepository(books, Book, distance="l2"), AsyncSearchRepository(books, Book, distance="l2")
    for options in ({"exact": True}, {"where": [Book.double >= 0]}, {}):
        assert whole([hit.entity for hit in await repository.nearest([0, 1], 4, **options)]) == [0, 1, 2, 3]
        assert whole([hit.entity for hit in (await many.nearest_many([[0, 1]], 4, **options))[0]]) == [0, 1, 2, 3]
    assert whole([hit.entity for hit in await many.similar_to(0, 3)]) == [1, 2, 3]


async def test_vectors_are_replaced_of_rows_that_were_not_flushed(books):
    books.add(Book(id=BOOKS, title="one title", author_id=1, embedding=[0, 1]))
    assert await AsyncMatrixRepository(books, Book).update([BOOKS], [[5, 5]]) == 1


@pytest.mark.parametrize("by", WITHOUT_A_TYPE.values(), ids=WITHOUT_A_TYPE)
async def test_hits_are_grouped_by_values_alone(books, by):
    with pytest.raises(
        ConfigurationError,
        match=r"Expected an attribute, such as Article\.section, or a metadata path to group hits by",
    ):
        await AsyncSearchRepository(books, Book).grouped([1, 0], by)
