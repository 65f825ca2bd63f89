"""`AsyncSearchRepository` on every driver, over a model and over a collection, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import JSON, NullPool, func, inspect, text

from rowspace import (
    AsyncCollectionRepository,
    AsyncDatabase,
    AsyncDocumentRepository,
    AsyncRepository,
    AsyncSearchRepository,
    SearchSettings,
)
from rowspace.errors import (
    ConfigurationError,
    DimensionMismatch,
    InvalidFilter,
    InvalidSetting,
    InvalidText,
    InvalidVector,
    RowNotFound,
)


@pytest.fixture
async def session(url):
    async with AsyncDatabase.open(url, poolclass=NullPool) as database, database.session() as opened:
        yield opened


@pytest.fixture
async def passages(session, world):
    return AsyncSearchRepository(session, world.passage)


@pytest.fixture
async def documents(session, world):
    return AsyncSearchRepository(session, await AsyncCollectionRepository(session).get(world.collection))


@pytest.fixture(params=["passages", "documents"])
def repository(request, passages, documents):
    return {"passages": passages, "documents": documents}[request.param]


def rows(hits):
    """Return the rows of hits as numbers of the world."""
    return [int(hit.entity.id) for hit in hits]


async def give_up_early(session):
    """Make the planner take the vector index for a table as small as this, and the scan end where it began."""
    for setting in ("seqscan", "bitmapscan", "sort"):
        await session.execute(text(f"SET LOCAL enable_{setting} = off"))
    return SearchSettings(ef_search=10, max_scan_tuples=1)


# nearest_many


async def test_many_finds_what_numpy_finds(repository, world):
    found = await repository.nearest_many(world.queries, 7, settings=world.wide)
    assert [rows(hits) for hits in found] == [world.nearest(query, 7) for query in world.queries]
    for hits, query in zip(found, world.queries, strict=True):
        distances = [hit.distance for hit in hits]
        assert distances == pytest.approx(world.distances(query)[rows(hits)], abs=1e-5)
        assert [hit.similarity for hit in hits] == [1 - distance for distance in distances]


async def test_many_is_as_many_times_one(session, passages, documents, world):
    """Equal, and not merely near: what a graph of clusters misses at default settings differs from build to build."""
    collection = await AsyncCollectionRepository(session).get(world.collection)
    for many, single in (
        (passages, AsyncRepository(session, world.passage)),
        (documents, AsyncDocumentRepository(session, collection)),
    ):
        one_by_one = [rows(await single.nearest(query, 10)) for query in world.queries]
        assert [rows(hits) for hits in await many.nearest_many(world.queries, 10)] == one_by_one


async def test_many_is_as_many_times_one_under_a_filter(session, documents, world):
    single = AsyncDocumentRepository(session, await AsyncCollectionRepository(session).get(world.collection))
    where = {"year": {"$gte": 1960}, "long": True}
    one_by_one = [rows(await single.nearest(query, 5, where=where, exact=True)) for query in world.queries]
    assert [rows(hits) for hits in await documents.nearest_many(world.queries, 5, where=where)] == one_by_one


@pytest.mark.parametrize("k", [1, 60])
async def test_many_under_a_metadata_filter(repository, world, k):
    found = await repository.nearest_many(world.queries, k, where={"year": {"$lt": 1950}}, settings=world.wide)
    assert [rows(hits) for hits in found] == [world.nearest(q, k, lambda row: row % 100 < 50) for q in world.queries]


async def test_many_under_conditions_on_the_model(passages, world):
    found = await passages.nearest_many(world.queries, 6, where=[world.passage.year < 1950], settings=world.wide)
    assert [rows(hits) for hits in found] == [world.nearest(q, 6, lambda row: row % 100 < 50) for q in world.queries]


async def test_many_looks_exactly_for_what_the_scan_gives_up_on(session, repository, world):
    settings = await give_up_early(session)
    found = await repository.nearest_many(world.queries, 16, where={"year": 1907}, settings=settings)
    assert [rows(hits) for hits in found] == [world.nearest(q, 16, lambda row: row % 100 == 7) for q in world.queries]


async def test_many_returns_fewer_where_fewer_match(repository, world):
    found = await repository.nearest_many(world.queries[:3], 50, where={"year": 1907})
    assert [sorted(rows(hits)) for hits in found] == [list(range(7, 1600, 100))] * 3


@pytest.mark.parametrize("limit", [{"max_distance": 0.06}, {"min_similarity": 0.94}])
async def test_many_within_a_range(repository, world, limit):
    found = await repository.nearest_many(world.queries, 20, **limit, settings=world.wide)
    wanted = [[row for row in world.nearest(q, 20) if world.distances(q)[row] <= 0.06] for q in world.queries]
    assert [rows(hits) for hits in found] == wanted
    assert len({len(hits) for hits in wanted}) > 2


async def test_many_within_a_range_looks_exactly_for_what_the_scan_gives_up_on(session, repository, world):
    settings = await give_up_early(session)
    where = {"year": 1907}
    found = await repository.nearest_many(world.queries, 16, where=where, max_distance=0.9, settings=settings)
    among = [[row for row in range(7, 1600, 100) if world.distances(q)[row] <= 0.9] for q in world.queries]
    assert [rows(hits) for hits in found] == [
        world.nearest(q, 16, inside.__contains__) for q, inside in zip(world.queries, among, strict=True)
    ]


async def test_many_beyond_a_range(repository, world):
    found = await repository.nearest_many(world.queries[:5], 20, min_distance=0.06, settings=world.wide)
    for query, hits in zip(world.queries, found, strict=False):
        distances = world.distances(query)
        assert rows(hits) == world.nearest(query, 20, lambda row, distances=distances: distances[row] >= 0.06)


async def test_many_exactly_leaves_out_rows_without_a_vector(passages, world):
    found = await passages.nearest_many(world.queries[:2], 2_000, exact=True)
    assert [rows(hits) for hits in found] == [world.nearest(q, 2_000) for q in world.queries[:2]]


async def test_no_search_returns_a_row_without_a_vector(session, passages, world):
    query, where = world.queries[0], [world.passage.id >= 1_599]
    assert rows(await AsyncRepository(session, world.passage).nearest(query, 5, where=where)) == [1_599]
    assert rows((await passages.nearest_many([query], 5, where=where))[0]) == [1_599]
    assert rows(await passages.similar_to(3, 5, where=where)) == [1_599]
    assert rows(await passages.recommend([3], k=5, where=where)) == [1_599]
    assert rows(await passages.recommend([3], k=5, where=where, strategy="best_score")) == [1_599]
    assert rows(await passages.diverse(query, 5, where=where)) == [1_599]
    assert [rows(group.hits) for group in await passages.grouped(query, world.passage.id, where=where)] == [[1_599]]


async def test_many_loads_the_embedding_when_asked(passages, session, world):
    assert "embedding" in inspect((await passages.nearest_many(world.queries[:1], 1))[0][0].entity).unloaded
    session.expunge_all()
    hit = (await passages.nearest_many(world.queries[:1], 1, with_embedding=True))[0][0]
    np.testing.assert_array_equal(hit.entity.embedding, world.vectors[hit.entity.id])


async def test_many_of_none_is_none(repository):
    assert await repository.nearest_many([]) == []


async def test_many_takes_more_queries_than_one_statement(passages, world):
    queries = np.tile(world.queries, (30, 1))
    found = await passages.nearest_many(queries, 2, settings=world.wide)
    assert [rows(hits) for hits in found] == [world.nearest(query, 2) for query in world.queries] * 30


async def test_many_of_half_vectors_and_bits(session, world):
    colors = AsyncSearchRepository(session, world.tile, column="color", distance="l2")
    found = await colors.nearest_many(world.colors[:5], 3)
    assert [found_.distance for hits in found for found_ in hits[:1]] == [0] * 5
    wanted = [np.sort(np.linalg.norm(world.colors.astype(float) - c.astype(float), axis=1))[:3] for c in world.colors]
    assert [[hit.distance for hit in hits] for hits in found] == [pytest.approx(w, abs=1e-3) for w in wanted[:5]]
    shapes = AsyncSearchRepository(session, world.tile, column="shape")
    found = await shapes.nearest_many(world.shapes[:5], 4)
    wanted = [np.sort((world.shapes != shape).sum(axis=1))[:4] for shape in world.shapes[:5]]
    assert [[hit.distance for hit in hits] for hits in found] == [list(w) for w in wanted]


@pytest.mark.parametrize(
    ("queries", "error", "message"),
    [
        ([[1.0] * 24, [1.0] * 23], DimensionMismatch, "Vector 1: Expected 24 dimensions, got 23"),
        ([1.0] * 24, InvalidVector, "Vector 0: "),
        ([[float("nan")] * 24], InvalidVector, "Vector 0: .*NaN"),
    ],
)
async def test_many_names_the_query_that_is_wrong(repository, queries, error, message):
    with pytest.raises(error, match=message):
        await repository.nearest_many(queries)


async def test_an_option_that_does_not_exist_is_named(repository, world):
    with pytest.raises(TypeError, match=r"no option 'max_distanse'\. Its options are max_distance, .*settings"):
        await repository.nearest_many(world.queries, max_distanse=1)


async def test_two_limits_are_refused(repository, world):
    with pytest.raises(ConfigurationError, match="Pass only one of them"):
        await repository.nearest_many(world.queries, max_distance=1, min_similarity=0)


# similar_to


def key_of(repository, world, row):
    return row if repository._target.model is world.passage else str(row)


async def test_similar_finds_the_neighbours_of_a_row_without_it(repository, world):
    for row in (3, 500, 1599):
        hits = await repository.similar_to(key_of(repository, world, row), 9, settings=world.wide)
        assert rows(hits) == world.nearest(world.vectors[row], 10)[1:]
        assert hits[0].distance == pytest.approx(world.distances(world.vectors[row])[rows(hits)[0]], abs=1e-5)


async def test_similar_under_a_filter_and_in_a_range(repository, world):
    key = key_of(repository, world, 3)
    hits = await repository.similar_to(key, 40, where={"long": False}, min_similarity=0.94, settings=world.wide)
    distances = world.distances(world.vectors[3])
    assert rows(hits) == world.nearest(world.vectors[3], 40, lambda row: row % 3 and distances[row] <= 0.06)
    assert 0 < len(hits) < 40


async def test_among_few_rows_the_second_search_of_a_shape_gives_what_the_first_gave(session, repository, world):
    # 1,600 rows, of which one in a hundred is of a year: found once, and compared with each query.
    where, key = {"year": 1907}, key_of(repository, world, 3)
    wanted = [world.nearest(q, 5, lambda row: row % 100 == 7) for q in world.queries]
    for _ in range(3):
        session.expunge_all()
        assert [rows(hits) for hits in await repository.nearest_many(world.queries, 5, where=where)] == wanted
        session.expunge_all()
        similar = await repository.similar_to(key, 5, where=where)
        assert rows(similar) == world.nearest(world.vectors[3], 5, lambda row: row % 100 == 7)
        assert all(hit.entity in session for hit in similar)


async def test_similar_looks_exactly_for_what_the_scan_gives_up_on(session, repository, world):
    key, settings = key_of(repository, world, 3), await give_up_early(session)
    hits = await repository.similar_to(key, 16, where={"year": 1907}, settings=settings)
    assert rows(hits) == world.nearest(world.vectors[3], 16, lambda row: row % 100 == 7)


async def test_similar_by_a_key_of_two_columns(session, world):
    tiles = AsyncSearchRepository(session, world.tile, column="color", distance="l2")
    hits = await tiles.similar_to((1, "y2"), 59)
    colors = world.colors.astype(float)
    wanted = np.sort(np.linalg.norm(colors - colors[12], axis=1))[1:]
    assert [hit.distance for hit in hits] == pytest.approx(wanted, abs=1e-3)
    assert (1, "y2") not in {(hit.entity.x, hit.entity.y) for hit in hits}


async def test_a_key_of_another_type_is_refused_before_any_sql(session, passages, documents, world):
    tiles = AsyncSearchRepository(session, world.tile, column="color")
    refused = [
        (passages, "7", ConfigurationError, "passages.id must be Integer.., got '7' of type str"),
        (passages, 2**40, ConfigurationError, "passages.id must be Integer.., got 1099511627776 of type int"),
        (documents, 7, InvalidText, "documents.id must be text .*, got 7"),
        (tiles, ("1", "b"), ConfigurationError, "tiles.x must be Integer.., got '1'"),
        (tiles, (1, 2), InvalidText, "tiles.y must be text .*, got 2"),
    ]
    for repository, key, error, message in refused:
        with pytest.raises(error, match=message):
            await repository.similar_to(key)
        with pytest.raises(error, match=message):
            await repository.recommend([key])
        with pytest.raises(error, match=message):
            await repository.recommend([[1.0] * 24], [key])
    # The transaction goes on.
    assert len(await passages.similar_to(np.int64(7))) == 10


async def test_similar_to_no_row_is_an_error(repository, world):
    with pytest.raises(RowNotFound, match="has no row"):
        await repository.similar_to(key_of(repository, world, 99_999))


async def test_similar_to_a_row_without_a_vector_is_an_error(passages):
    with pytest.raises(RowNotFound, match="row 1600 has no embedding"):
        await passages.similar_to(1_600)


async def test_similar_with_nothing_in_range_is_empty(repository, world):
    assert await repository.similar_to(key_of(repository, world, 3), max_distance=1e-9) == []


async def test_a_key_of_the_wrong_length_is_an_error(session, world):
    tiles = AsyncSearchRepository(session, world.tile, column="color")
    with pytest.raises(ConfigurationError, match=r"The key of Tile is \(x, y\), got 1"):
        await tiles.similar_to(1)


# recommend


def unit(vector):
    return vector / np.linalg.norm(vector)


async def test_recommend_by_the_average(repository, world):
    positive, negative = [3, 9], [500]
    keys = [[key_of(repository, world, row) for row in some] for some in (positive, negative)]
    hits = await repository.recommend(*keys, k=8, settings=world.wide)
    middle = np.mean([unit(world.vectors[row]) for row in positive], axis=0)
    query = 2 * middle - unit(world.vectors[500])
    assert rows(hits) == world.nearest(query, 8, lambda row: row not in {3, 9, 500})
    assert [hit.distance for hit in hits] == pytest.approx(world.distances(query)[rows(hits)], abs=1e-5)


async def test_recommend_takes_keys_and_vectors_mixed(repository, world):
    key = key_of(repository, world, 3)
    hits = await repository.recommend([key, world.queries[0], world.queries[1].tolist()], k=8, settings=world.wide)
    query = np.mean([unit(v) for v in (world.vectors[3], *world.queries[:2])], axis=0)
    assert rows(hits) == world.nearest(query, 8, lambda row: row != 3)


def best_score(world, positive, negative, k, among):
    """Qdrant's best_score without its squashing function, plainly."""
    scored = []
    for row in range(len(world.vectors)):
        near = max(1 - world.distances(vector)[row] for vector in positive)
        far = max((1 - world.distances(vector)[row] for vector in negative), default=-np.inf)
        if near > far and among(row):
            scored.append((-near, row))
    return [row for _, row in sorted(scored)][:k]


@pytest.mark.parametrize("negative", [[], [4, 600]])
async def test_recommend_by_the_best_score(repository, world, negative):
    positive = [3, 9, 700]
    keys = [[key_of(repository, world, row) for row in some] for some in (positive, negative)]
    hits = await repository.recommend(*keys, k=20, strategy="best_score", where={"long": False}, settings=world.wide)
    vectors = [[world.vectors[row] for row in some] for some in (positive, negative)]
    wanted = best_score(world, *vectors, 20, lambda row: row % 3 and row not in {*positive, *negative})
    assert rows(hits) == wanted
    nearest = [min(world.distances(vector)[row] for vector in vectors[0]) for row in wanted]
    assert [hit.distance for hit in hits] == pytest.approx(nearest, abs=1e-5)


@pytest.mark.parametrize("strategy", ["average", "best_score"])
async def test_recommend_in_a_range(repository, world, strategy):
    positive = [world.vectors[row] for row in (3, 9)]
    every = await repository.recommend(positive, k=50, strategy=strategy, exact=True)
    low, high = ((every[i - 1].distance + every[i].distance) / 2 for i in (10, 40))
    hits = await repository.recommend(positive, k=50, strategy=strategy, min_distance=low, max_distance=high)
    assert rows(hits) == rows(every)[10:40]


async def test_recommend_by_the_best_score_leaves_out_what_is_nearer_to_a_negative_example(documents, world):
    hits = await documents.recommend([world.vectors[3]], [world.vectors[4]], k=2_000, strategy="best_score")
    nearer = world.distances(world.vectors[3]) < world.distances(world.vectors[4])
    assert set(rows(hits)) == set(np.flatnonzero(nearer).tolist())


async def test_recommend_bits_by_the_best_score_only(session, world):
    shapes = AsyncSearchRepository(session, world.tile, column="shape")
    hits = await shapes.recommend([(0, "y0"), world.shapes[1]], k=3, strategy="best_score")
    distances = np.minimum(*((world.shapes != world.shapes[row]).sum(axis=1) for row in (0, 1)))
    assert [hit.distance for hit in hits] == sorted(distances[1:])[:3]
    with pytest.raises(ConfigurationError, match="no average"):
        await shapes.recommend([(0, "y0")])


async def test_recommend_by_a_key_that_is_not_there(repository, world):
    keys = [key_of(repository, world, row) for row in (3, 99_999)]
    with pytest.raises(RowNotFound, match="99999"):
        await repository.recommend(keys)


async def test_a_vector_of_zeros_among_the_examples_changes_nothing(repository, world):
    key = key_of(repository, world, np.int64(3))
    expected = rows(await repository.recommend([key], k=8, strategy="best_score", settings=world.wide))
    zeros = np.zeros(world.vectors.shape[1])
    for examples in ([zeros, key], [key, zeros]):
        hits = await repository.recommend(examples, k=8, strategy="best_score", settings=world.wide)
        assert rows(hits) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positive": []}, "at least one positive"),
        ({"positive": [1], "strategy": "sum_scores"}, "strategy must be one of"),
        ({"positive": None}, "Expected examples as a list or another iterable, got NoneType None"),
        ({"positive": [0.5] * 24}, r"got one vector of 24 dimensions\. Write \[vector\]"),
        ({"positive": "12"}, "Expected examples as a list or another iterable, got str '12'"),
        ({"positive": [1], "negative": np.ones(24)}, r"got one vector of 24 dimensions\. Write \[vector\]"),
    ],
)
async def test_recommend_refuses(repository, options, message):
    with pytest.raises(ConfigurationError, match=message):
        await repository.recommend(**options)


# diverse


def reference_mmr(vectors, query, k, lambda_mult, similarity):
    """The definition, one pair at a time."""
    chosen = []
    while len(chosen) < min(k, len(vectors)):
        best, best_score = None, -np.inf
        for index, vector in enumerate(vectors):
            if index in chosen:
                continue
            score = similarity(query, vector)
            if chosen:
                redundancy = max(similarity(vector, vectors[other]) for other in chosen)
                score = lambda_mult * score - (1 - lambda_mult) * redundancy
            if score > best_score:
                best, best_score = index, score
        chosen.append(best)
    return chosen


def cosine(a, b):
    return float(unit(a.astype(float)) @ unit(b.astype(float)))


@pytest.mark.parametrize("lambda_mult", [0, 0.3, 0.7, 1])
async def test_diverse_is_maximal_marginal_relevance(repository, world, lambda_mult):
    query = world.queries[0]
    hits = await repository.diverse(query, 6, fetch_k=30, lambda_mult=lambda_mult, settings=world.wide)
    candidates = world.nearest(query, 30)
    chosen = reference_mmr(world.vectors[candidates], query, 6, lambda_mult, cosine)
    assert rows(hits) == [candidates[index] for index in chosen]
    assert [hit.distance for hit in hits] == pytest.approx(world.distances(query)[rows(hits)], abs=1e-5)


async def test_diverse_chooses_from_no_more_than_fetch_k(repository, world):
    hits = await repository.diverse(world.queries[1], 5, fetch_k=5, lambda_mult=0, settings=world.wide)
    assert sorted(rows(hits)) == sorted(world.nearest(world.queries[1], 5))


async def test_diverse_under_a_filter_and_in_a_range(repository, world):
    query, distances = world.queries[2], world.distances(world.queries[2])
    hits = await repository.diverse(query, 400, where={"long": True}, max_distance=0.4)
    assert sorted(rows(hits)) == [row for row in range(0, 1600, 3) if distances[row] <= 0.4]


@pytest.mark.parametrize("distance", ["l2", "l1", "inner_product", "cosine"])
async def test_diverse_by_every_distance(session, world, distance):
    tiles = AsyncSearchRepository(session, world.tile, column="color", distance=distance)
    colors = world.colors.astype(np.float64)
    similarity = {
        "l2": lambda a, b: 1 / (1 + np.linalg.norm(a - b)),
        "l1": lambda a, b: 1 / (1 + np.abs(a - b).sum()),
        "inner_product": lambda a, b: float(a @ b),
        "cosine": cosine,
    }[distance]
    # Not a row itself: it would be the first choice, and likeness to it both wanted and unwanted.
    query = (colors[7] + 0.3 * colors[8]).astype(np.float16).astype(np.float64)
    hits = await tiles.diverse(query, 6, fetch_k=60)
    chosen = reference_mmr(colors, query, 6, 0.5, similarity)
    assert [(hit.entity.x, hit.entity.y) for hit in hits] == [(i // 10, f"y{i % 10}") for i in chosen]


@pytest.mark.parametrize("distance", ["hamming", "jaccard"])
async def test_diverse_by_the_distances_of_bits(session, world, distance):
    tiles = AsyncSearchRepository(session, world.tile, column="shape", distance=distance)
    similarity = {
        "hamming": lambda a, b: 1 / (1 + (a != b).sum()),
        "jaccard": lambda a, b: (a & b).sum() / (a | b).sum(),
    }[distance]
    query = np.roll(world.shapes[7], 1)
    hits = await tiles.diverse(query, 6, fetch_k=60)
    found = np.array([world.shapes[10 * hit.entity.x + int(hit.entity.y[1])] for hit in hits])
    # Ties among the candidates come in any order: each choice has to have the best score, not to be the same row.
    for step in range(1, 6):
        scores = [
            0.5 * similarity(query, row) - 0.5 * max(similarity(row, other) for other in found[:step])
            for row in world.shapes
            if not any((row == other).all() for other in found[:step])
        ]
        mine = 0.5 * similarity(query, found[step])
        mine -= 0.5 * max(similarity(found[step], other) for other in found[:step])
        assert mine == pytest.approx(max(scores))


@pytest.mark.parametrize("options", [{"fetch_k": 5}, {"lambda_mult": 1.1}, {"lambda_mult": True}, {"fetch_k": 0}])
async def test_diverse_refuses(repository, world, options):
    with pytest.raises(InvalidSetting):
        await repository.diverse(world.queries[0], 10, **options)


# grouped


def reference_groups(world, query, groups, per_group, *, key, among=None):
    found = {}
    for row in world.nearest(query, len(world.vectors), among):
        if key(row) is not None:
            found.setdefault(key(row), []).append(row)
    return [(key_, rows_[:per_group]) for key_, rows_ in [*found.items()][:groups]]


def as_rows(groups):
    return [(group.key, rows(group.hits)) for group in groups]


@pytest.mark.parametrize(("groups", "per_group"), [(3, 1), (5, 4), (20, 2)])
async def test_grouped_by_a_path_in_the_metadata(repository, world, groups, per_group):
    for query in world.queries[:10]:
        found = await repository.grouped(query, "at.section", groups=groups, per_group=per_group, settings=world.wide)
        assert as_rows(found) == reference_groups(world, query, groups, per_group, key=world.section)


async def test_grouped_by_an_attribute(passages, world):
    query = world.queries[0]
    found = await passages.grouped(query, world.passage.section, groups=4, per_group=3, settings=world.wide)
    assert as_rows(found) == reference_groups(world, query, 4, 3, key=world.section)


async def test_grouped_goes_past_a_group_that_is_everywhere_near(session, repository, world):
    centre = world.vectors[world.clusters == 0].mean(axis=0)
    settings = await give_up_early(session)
    found = await repository.grouped(centre, "at.section", groups=10, per_group=2, settings=settings)
    assert as_rows(found) == reference_groups(world, centre, 10, 2, key=world.section)
    assert found[0].key == "big"


async def test_grouped_fills_groups_from_far_away(repository, world):
    # Sixteen rows of each year, of which the first scan comes by few.
    query = world.queries[3]
    found = await repository.grouped(query, "year", groups=3, per_group=16, settings=world.wide)
    assert as_rows(found) == reference_groups(world, query, 3, 16, key=world.year)


async def test_grouped_under_a_filter_and_in_a_range(repository, world):
    query, distances = world.queries[4], world.distances(world.queries[4])
    found = await repository.grouped(
        query, "at.section", groups=6, per_group=3, where={"long": True}, max_distance=0.14, settings=world.wide
    )
    wanted = reference_groups(
        world, query, 6, 3, key=world.section, among=lambda row: row % 3 == 0 and distances[row] <= 0.14
    )
    assert as_rows(found) == wanted
    assert wanted


async def test_grouped_beyond_a_range_with_the_embedding(repository, world):
    query, distances = world.queries[4], world.distances(world.queries[4])
    found = await repository.grouped(
        query, "at.section", groups=4, per_group=2, min_distance=0.1, with_embedding=True, settings=world.wide
    )
    assert as_rows(found) == reference_groups(
        world, query, 4, 2, key=world.section, among=lambda row: distances[row] >= 0.1
    )
    hit = found[0].hits[0]
    np.testing.assert_array_equal(inspect(hit.entity).dict["embedding"], world.vectors[int(hit.entity.id)])


async def test_grouped_exactly(repository, world):
    found = await repository.grouped(world.queries[5], "long", groups=2, per_group=3, exact=True)
    assert as_rows(found) == reference_groups(world, world.queries[5], 2, 3, key=lambda row: row % 3 == 0)


async def test_grouped_under_the_condition_of_its_one_group_is_complete(session, passages, world):
    await give_up_early(session)
    where, query = [world.passage.section == "big"], world.queries[5]
    found = await passages.grouped(query, world.passage.section, groups=1, per_group=100, where=where, exact=True)
    assert as_rows(found) == reference_groups(
        world, query, 1, 100, key=world.section, among=lambda row: world.section(row) == "big"
    )


async def test_grouped_by_what_no_row_has(repository, world):
    assert await repository.grouped(world.queries[0], "nothing.here") == []


async def test_grouped_refuses(repository, session, world):
    query = world.queries[0]
    with pytest.raises(InvalidSetting, match="per_group"):
        await repository.grouped(query, "year", per_group=0)
    with pytest.raises(InvalidFilter):
        await repository.grouped(query, "a..b")
    with pytest.raises(ConfigurationError, match="got 5"):
        await repository.grouped(query, 5)
    with pytest.raises(ConfigurationError, match=r"Expected an attribute of \w+ to group hits by, got Tile\.y\."):
        await repository.grouped(query, world.tile.y)
    tiles = AsyncSearchRepository(session, world.tile, column="color")
    with pytest.raises(ConfigurationError, match="is JSON, whose values PostgreSQL cannot compare"):
        await tiles.grouped(world.colors[0], func.to_json(world.tile.x, type_=JSON()))
    with pytest.raises(ConfigurationError, match="meta"):
        await tiles.grouped(world.colors[0], "kind")


# The session


async def test_nothing_is_committed(session, passages, world):
    session.add(world.passage(id=5_000, year=1, embedding=world.queries[0]))
    assert rows((await passages.nearest_many(world.queries[:1], 1))[0]) == [5_000]
    assert rows(await passages.similar_to(5_000, 2, exact=True)) == world.nearest(world.queries[0], 2)
    await session.rollback()
    assert rows((await passages.nearest_many(world.queries[:1], 1, settings=world.wide))[0]) != [5_000]
