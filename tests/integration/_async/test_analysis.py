from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import (
    HNSW,
    AsyncAnalysisRepository,
    AsyncBrowseRepository,
    AsyncCollectionRepository,
    AsyncDatabase,
    AsyncDocumentRepository,
    AsyncMatrixRepository,
    AsyncRepository,
    AsyncTableRepository,
    Bit,
    Vector,
)
from rowspace.errors import ConfigurationError, DimensionMismatch, InvalidSetting, InvalidVector
from rowspace.exact import exact_nearest, recall_of

ROWS, DIMENSION = 1_200, 12
RNG = np.random.default_rng(17)
VECTORS = (RNG.normal(size=(ROWS, DIMENSION)) + np.repeat(RNG.normal(size=(4, DIMENSION)) * 3, ROWS // 4, 0)).astype(
    np.float32
)
KINDS = np.repeat(["ant", "bee", "cat", "dog"], ROWS // 4)
# Rows 0 to 39 are one text forty times, rows 40 and 41 another one.
VECTORS[:40] = VECTORS[0]
VECTORS[41] = VECTORS[40] * 2


class Base(DeclarativeBase):
    pass


class Cell(Base):
    __tablename__ = "cells"
    x: Mapped[int] = mapped_column(primary_key=True)
    y: Mapped[str] = mapped_column(primary_key=True)
    layer: Mapped[int | None]
    place: Mapped[np.ndarray | None] = mapped_column(Vector(2))


class Renamed(Base):
    __tablename__ = "cells_renamed"
    x: Mapped[int] = mapped_column("Key", primary_key=True)
    place: Mapped[np.ndarray] = mapped_column("Where", Vector(2))


class Sieved(Base):
    __tablename__ = "cells_sieved"
    __table_args__ = (HNSW(quantize="bit", where="id < 10").index("place", name="ix_cells_sieved_place"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[np.ndarray] = mapped_column(Vector(DIMENSION))


class Twofold(Base):
    __tablename__ = "cells_twofold"
    __table_args__ = (HNSW("l2").index("place", name="ix_l2"), HNSW("cosine").index("place", name="ix_cosine"))
    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[np.ndarray] = mapped_column(Vector(2))


class Flags(Base):
    __tablename__ = "flags"
    id: Mapped[int] = mapped_column(primary_key=True)
    bits: Mapped[np.ndarray] = mapped_column(Bit(4))


@pytest.fixture
async def collection(session):
    collections = AsyncCollectionRepository(session)
    neighbour = await collections.create("neighbour", DIMENSION)
    stranger = {"id": "stranger", "content": "x", "embedding": VECTORS[0], "meta": {"kind": "0", "even": True}}
    await AsyncDocumentRepository(session, neighbour).upsert([stranger])
    made = await collections.create("analysed", DIMENSION)
    rows = (
        {"id": f"{n:04}", "content": "x" * 3_000, "embedding": VECTORS[n],
         "meta": {"kind": str(KINDS[n]), "even": n % 2 == 0, **({"rare": None} if n else {"rare": 1})}}
        for n in range(ROWS)
    )  # fmt: skip
    documents = AsyncDocumentRepository(session, made)
    await documents.upsert(rows)
    await documents.create_indexes()
    return made


@pytest.fixture(scope="module", autouse=True)
def _tables(create_tables):
    create_tables(Base.metadata)


@pytest.fixture
async def cells(session):
    places = [(0, "a", 1, [0, 0]), (0, "b", 1, [1, 0]), (1, "a", 2, [0, 3]), (1, "b", 2, [0, 5]), (9, "n", None, None)]
    session.add_all(Cell(x=x, y=y, layer=layer, place=place) for x, y, layer, place in places)
    await session.flush()
    return AsyncAnalysisRepository(session, Cell, distance="l2")


async def test_rows_that_are_deleted_meanwhile_have_no_neighbours(new_database, driver):
    url = new_database()
    elsewhere = create_engine(url, poolclass=NullPool)
    Base.metadata.create_all(elsewhere)

    def delete(done, _):
        if done == 1_000:
            with elsewhere.begin() as connection:
                connection.execute(text("DELETE FROM cells WHERE x >= 1100"))

    async with AsyncDatabase.open(url.replace("+psycopg", f"+{driver}")) as database:
        async with database.begin() as session:
            rows = [{"x": n, "y": "a", "place": [n, 1]} for n in range(ROWS)]
            await AsyncRepository(session, Cell).upsert(rows)
        async with database.begin() as session:
            cells = AsyncAnalysisRepository(session, Cell, distance="l2")
            graph = await cells.neighbours(1, exact=True, progress=delete)
    sources = {graph.keys[at][0] for at in graph.sources.tolist()}
    # Nobody knows in which order the keys come: of the last 200, those that are gone are left out.
    assert sources >= set(range(1_100))
    assert len(sources) < len(graph.keys) == ROWS


async def test_distances_of_every_row(session, collection):
    found = await AsyncAnalysisRepository(session, collection).distances(VECTORS[7])
    indices, distances = exact_nearest(VECTORS, VECTORS[7], ROWS)
    assert len(found) == ROWS
    assert found.distances == pytest.approx(distances[0].astype(float), abs=1e-6)
    assert {int(key) for key in found.keys[:40]} == set(indices[0][:40].tolist())
    assert found.distances.dtype == np.float64
    even = await AsyncAnalysisRepository(session, collection).distances(VECTORS[7], where={"even": True})
    assert len(even) == ROWS // 2
    with pytest.raises(DimensionMismatch, match="Expected 12 dimensions, got 2"):
        await AsyncAnalysisRepository(session, collection).distances([1, 2])


async def test_statistics_of_categories(session, collection):
    repository = AsyncAnalysisRepository(session, collection)
    categories = await repository.statistics("kind", where={"even": True})
    assert [one.value for one in categories] == ["ant", "bee", "cat", "dog"]
    for one in categories:
        rows = VECTORS[(one.value == KINDS) & (np.arange(ROWS) % 2 == 0)].astype(float)
        centroid = rows.mean(axis=0)
        far = 1 - rows @ centroid / np.linalg.norm(rows, axis=1) / np.linalg.norm(centroid)
        assert one.count == len(rows)
        assert one.centroid == pytest.approx(centroid, abs=1e-4)
        assert (one.mean_distance, one.max_distance) == pytest.approx((far.mean(), far.max()), abs=1e-5)
    assert [(one.value, one.count) for one in await repository.statistics("rare")] == [(1, 1)]


async def test_the_graph_of_neighbours(session, collection):
    done = []
    graph = await AsyncAnalysisRepository(session, collection).neighbours(
        5, progress=lambda rows, total: done.append((rows, total))
    )
    assert done == [(1_000, ROWS), (ROWS, ROWS)]
    assert graph.keys == [f"{n:04}" for n in range(ROWS)]
    assert np.bincount(graph.sources).tolist() == [5] * ROWS
    assert not (graph.sources == graph.targets).any()
    _, distances = exact_nearest(VECTORS, VECTORS, 6)
    # By distance: of forty rows that are the same, any will do.
    share = np.mean(graph.distances.reshape(ROWS, 5) <= distances[:, 5:] + 1e-6)
    assert share > 0.97
    exact = await AsyncAnalysisRepository(session, collection).neighbours(3, exact=True, where={"kind": "bee"})
    bees = VECTORS[KINDS == "bee"]
    wanted, _ = exact_nearest(bees, bees, 4)
    assert len(exact.keys) == len(bees)
    assert recall_of(exact.targets.reshape(-1, 3), wanted[:, 1:]) > 0.999


async def test_duplicates_in_groups(session, collection):
    graph = await AsyncAnalysisRepository(session, collection).duplicates(0.9999)
    assert [len(group) for group in graph.groups()] == [40, 2]
    assert graph.groups()[1] == ["0040", "0041"]
    assert len(graph) == 40 * 39 // 2 + 1
    assert (graph.sources < graph.targets).all()
    assert (graph.distances <= 1e-4).all()
    some = await AsyncAnalysisRepository(session, collection).duplicates(0.9999, where={"even": True}, exact=True)
    assert [len(group) for group in some.groups()] == [20]


async def test_a_map(session, collection):
    repository = AsyncAnalysisRepository(session, collection)
    found = await repository.projection()
    assert found.points.shape == (ROWS, 2)
    assert found.points.dtype == np.float32
    order = [int(key) for key in found.keys]
    centred = VECTORS[order].astype(float) - VECTORS.mean(axis=0, dtype=float)
    assert found.points == pytest.approx(centred @ found.axes.directions.T, abs=1e-3)
    # The four heaps lie apart from each other.
    centres = [found.points[KINDS[order] == kind].mean(axis=0) for kind in np.unique(KINDS)]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(centres) for b in centres[:i]) > 1
    assert found.axes.transform(VECTORS[order[0]]) == pytest.approx(found.points[0], abs=1e-4)
    with pytest.raises(InvalidVector, match="no row"):
        await repository.projection(where={"kind": "eel"})


async def test_a_model_with_a_composite_key_and_rows_without_vectors(cells):
    found = await cells.distances([0, 0])
    assert (found.keys, found.distances.tolist()) == ([(0, "a"), (0, "b"), (1, "a"), (1, "b")], [0, 1, 3, 5])
    categories = await cells.statistics(Cell.layer)
    assert [(one.value, one.count, one.centroid.tolist()) for one in categories] == [(1, 2, [0.5, 0]), (2, 2, [0, 4])]
    assert [(one.mean_distance, one.max_distance) for one in categories] == [(0.5, 0.5), (1, 1)]
    graph = await cells.neighbours(1)
    assert [*graph.edges()] == [
        ((0, "a"), (0, "b"), 1), ((0, "b"), (0, "a"), 1), ((1, "a"), (1, "b"), 2), ((1, "b"), (1, "a"), 2),
    ]  # fmt: skip
    assert (await cells.duplicates(0.4)).groups() == [[(0, "a"), (0, "b")]]
    assert len(await cells.neighbours(2, where=[Cell.layer == 1])) == 2


async def test_what_has_no_mean_or_no_such_number(session, cells):
    with pytest.raises(ConfigurationError, match="needs a Vector or HalfVector column; Flags has"):
        await AsyncAnalysisRepository(session, Flags).statistics(Flags.id)
    with pytest.raises(InvalidSetting, match="at least 1, got 0"):
        await cells.neighbours(0)
    # Every pair would be as similar as that.
    with pytest.raises(InvalidSetting, match="min_similarity must be a number from -inf to inf, got nan"):
        await cells.duplicates(float("nan"))
    for components in (0, 3, 1.5):
        with pytest.raises(ConfigurationError, match="components must be a whole number from 1 to 2, got"):
            await cells.projection(components)
    with pytest.raises(ConfigurationError, match="which Cell does not have"):
        await cells.statistics("layer")


async def test_nothing_there(session):
    empty = AsyncAnalysisRepository(session, await AsyncCollectionRepository(session).create("empty", 3))
    assert len(await empty.distances([1, 2, 3])) == 0
    assert await empty.statistics("kind") == []
    assert len(await empty.neighbours()) == 0
    assert (await empty.duplicates()).groups() == []
    assert await session.scalar(text("SELECT 1")) == 1


async def test_a_vector_of_zeros_is_the_farthest_by_cosine(session, cells):
    del cells
    found = await AsyncAnalysisRepository(session, Cell, distance="cosine").distances([0, 1])
    assert found.keys[-2:] == [(0, "b"), (0, "a")]
    assert np.isnan(found.distances[-1])
    assert found.distances[:-1].tolist() == [0, 0, 1]


async def test_the_graph_of_a_model_whose_columns_have_other_names(session, create_tables):
    create_tables(Base.metadata)
    await AsyncRepository(session, Renamed).upsert({"x": x, "place": [1, x]} for x in range(4))
    graph = await AsyncAnalysisRepository(session, Renamed).neighbours(1)
    assert {(source, target) for source, target, _ in graph.edges()} == {(0, 1), (1, 2), (2, 3), (3, 2)}


async def test_a_quantized_index_of_some_rows_does_not_order_the_others(session):
    rows = [{"id": n, "place": vector} for n, vector in enumerate(VECTORS[100:500])]
    await AsyncRepository(session, Sieved).upsert(rows)
    graph = await AsyncAnalysisRepository(session, Sieved).neighbours(5)
    wanted, _ = exact_nearest(VECTORS[100:500], VECTORS[100:500], 6)
    assert recall_of(graph.targets.reshape(-1, 5), wanted[:, 1:]) > 0.999


async def test_rows_of_a_column_with_indexes_by_two_distances_are_read_without_one(session):
    await AsyncRepository(session, Twofold, distance="l2").upsert({"id": n, "place": [1, n]} for n in range(3))
    assert (await AsyncMatrixRepository(session, Twofold).read()).keys == [0, 1, 2]
    assert (await AsyncBrowseRepository(session, Twofold, column="place").stats(Twofold.id)).maximum == 2
    assert AsyncTableRepository(session, Twofold).vector == "place"
    assert (await AsyncAnalysisRepository(session, Twofold, distance="cosine").projection(1)).keys == [0, 1, 2]
    with pytest.raises(ConfigurationError, match="Name one of them by distance="):
        AsyncAnalysisRepository(session, Twofold)
