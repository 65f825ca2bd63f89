from __future__ import annotations

import pytest
from sqlalchemy import Integer
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import mapped_column

from rowspace import HNSW, Base, Collection, HalfVector, SearchSettings, Vector
from rowspace.errors import ConfigurationError
from rowspace.repositories.targets import target_of
from rowspace.settings import candidates, covering
from rowspace.statements import documents
from rowspace.statements.search import Nearest, approximate_distance, count_candidates, nearest


class Article(Base):
    __tablename__ = "quantized_articles"
    __table_args__ = (HNSW("l2", quantize="halfvec").index("embedding"), HNSW(quantize="bit").index("half"))
    id = mapped_column(Integer, primary_key=True)
    embedding = mapped_column(Vector(8))
    half = mapped_column(HalfVector(9))


def sql(statement):
    return " ".join(str(statement.compile(dialect=postgresql.dialect())).split())


def test_candidates_by_the_half_precision_index_are_ranked_by_the_true_distance():
    text = sql(nearest(target_of(Article, "embedding", None), Nearest(3, max_distance=True, candidates=6)))
    inner = text[text.index("FROM (SELECT") :]
    assert (
        "ORDER BY CAST(quantized_articles.embedding AS HALFVEC(8)) <-> "
        "CAST(%(rowspace_query)s::VECTOR(8) AS HALFVEC(8)) LIMIT 6)" in inner
    )
    assert "quantized_articles.embedding <-> %(rowspace_query)s::VECTOR(8) AS rowspace_distance" in inner
    assert text.endswith(
        "WHERE anon_1.rowspace_distance <= %(rowspace_max_distance)s ORDER BY anon_1.rowspace_distance LIMIT 3"
    )


def test_candidates_by_signs_are_ranked_by_the_true_distance():
    text = sql(nearest(target_of(Article, "half", None), Nearest(1, candidates=8), [Article.id > 4]))
    assert "WHERE quantized_articles.half IS NOT NULL AND quantized_articles.id > %(id_1)s" in text
    assert (
        "ORDER BY CAST(binary_quantize(quantized_articles.half) AS BIT(9)) <~> "
        "CAST(binary_quantize(%(rowspace_query)s::HALFVEC(9)) AS BIT(9)) LIMIT 120)" in text
    )
    assert "FROM rowspace_found LIMIT 8) AS anon_1 ORDER BY anon_1.rowspace_distance LIMIT 1" in text
    assert "quantized_articles.half <=> %(rowspace_query)s::HALFVEC(9) AS rowspace_distance" in text


def test_a_collection_is_searched_by_the_expression_of_its_index():
    collection = Collection(id=4, name="a", dimension=3, distance="cosine", index={"method": "hnsw", "quantize": "bit"})
    text = sql(nearest(documents.target_of(collection), Nearest(2, candidates=5)))
    assert "WHERE documents.collection_id = 4 ORDER BY" in text
    # On the column itself: a cast of the cast is not what the index is on.
    assert "ORDER BY CAST(binary_quantize(documents.embedding) AS BIT(3)) <~>" in text
    assert "CAST(documents.embedding AS VECTOR(3)) <=> %(rowspace_query)s::VECTOR(3) AS rowspace_distance" in text


def test_the_lower_end_of_a_range_is_looked_at_inside():
    shape = Nearest(1, min_distance=True, candidates=2)
    text = sql(count_candidates(target_of(Article, "embedding", None), shape))
    assert " AND (quantized_articles.embedding <-> %(rowspace_query)s::VECTOR(8)) >= %(rowspace_min_distance)s" in text
    assert text.startswith("SELECT count(*)")


def test_a_target_without_quantization_is_refused():
    collection = Collection(id=4, name="a", dimension=3, distance="cosine", index={})
    with pytest.raises(ConfigurationError, match="not quantized"):
        approximate_distance(documents.target_of(collection))


@pytest.mark.parametrize(
    ("quantize", "k", "settings", "expected"),
    [
        ("halfvec", 10, SearchSettings(), 20),
        ("bit", 10, SearchSettings(), 80),
        ("bit", 10, SearchSettings(oversample=3, ef_search=400), 30),
        ("bit", 10, SearchSettings(ef_search=400), 400),
        ("bit", 500, SearchSettings(ef_search=400), 500),
    ],
)
def test_how_many_candidates(quantize, k, settings, expected):
    assert candidates(quantize, k, settings) == expected


@pytest.mark.parametrize(
    ("given", "count", "ef_search"), [(None, 40, None), (None, 41, 41), (90, 80, 90), (5, 2000, 1000)]
)
def test_ef_search_covers_the_candidates(given, count, ef_search):
    assert covering(SearchSettings(ef_search=given), count).ef_search == ef_search
