from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import HNSW, Collection, Document, SearchSettings, Vector
from rowspace.errors import ConfigurationError, InvalidSetting, InvalidVector
from rowspace.indexes import to_dict
from rowspace.repositories.searches import SearchOptions, plan_search
from rowspace.repositories.subjects import subject_of
from rowspace.statements.search import MAX_DISTANCE, MIN_DISTANCE, QUERY, Nearest


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(Vector(2))


class Signs(Base):
    __tablename__ = "signs"
    __table_args__ = (HNSW(quantize="bit").index("embedding"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(Vector(8))


class Part(Base):
    __tablename__ = "parts_of_a_kind"
    __table_args__ = (HNSW(quantize="bit", where="kind = 'a'").index("embedding"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    embedding: Mapped[Any] = mapped_column(Vector(8))


@pytest.fixture
def subject():
    return subject_of(Article)


def test_options_become_shape_and_parameters(subject):
    search = plan_search(
        subject, 3, None, {"min_similarity": 0.25, "min_distance": 0, "with_embedding": True}, query=[1, 2]
    )
    assert search.shape == Nearest(3, max_distance=True, min_distance=True, with_embedding=True)
    assert search.parameters == {QUERY: [1, 2], MAX_DISTANCE: 0.75, MIN_DISTANCE: 0}
    assert search.keep


DOCUMENTS = Collection(id=7, dimension=2, distance="cosine", index={}, language="simple")


@pytest.mark.parametrize(
    ("where", "options", "tried"),
    [
        pytest.param({"a": 1}, {}, True, id="equal"),
        pytest.param({"a": 1, "b": {"$gt": 2}}, {"max_distance": 1}, True, id="equal and more"),
        pytest.param({"a": 1}, {"settings": SearchSettings(ef_search=80)}, True, id="a setting of the index"),
        pytest.param({"b": {"$gt": 2}}, {}, False, id="nothing that the index on the metadata finds"),
        pytest.param({"a": 1}, {"exact": True}, False, id="exact"),
        pytest.param({"a": 1}, {"settings": SearchSettings(iterative_scan="strict_order")}, False, id="a scan by hand"),
        pytest.param([Document.id == "a"], {}, False, id="conditions"),
        pytest.param(None, {}, False, id="no filter"),
    ],
)
def test_for_which_filters_it_is_tried_whether_few_rows_pass(where, options, tried):
    search = plan_search(subject_of(DOCUMENTS), 3, where, options, query=[1, 2])
    assert (search.found_by is not None) is tried
    same = plan_search(subject_of(DOCUMENTS), 5, where, options, query=[3, 4])
    assert search.found_by == same.found_by


def test_of_a_model_nobody_knows_an_index_that_finds_rows_by_their_metadata():
    class Noted(Base):
        __tablename__ = "noted"
        id: Mapped[int] = mapped_column(primary_key=True)
        meta: Mapped[dict[str, Any]] = mapped_column(JSONB)
        embedding: Mapped[Any] = mapped_column(Vector(2))

    search = plan_search(subject_of(Noted), 3, {"a": 1}, {}, query=[1, 2])
    assert (len(search.where), search.found_by) == (1, None)


def test_rows_are_found_by_the_document_of_a_filter_alone():
    def found_by(where):
        return plan_search(subject_of(DOCUMENTS), 3, where, {}, query=[1, 2]).found_by

    assert found_by({"a": 1, "b": {"$gt": 2}}) == found_by({"a": 1, "b": {"$gt": 3}}) == found_by({"a": 1})
    assert found_by({"a": 1}) != found_by({"a": 2})


def test_rows_are_found_by_the_keys_that_have_an_index():
    keyed = Collection(id=7, dimension=2, distance="cosine", index={}, language="simple", indexed_keys=["a", "b"])

    def found_by(where):
        return plan_search(subject_of(keyed), 3, where, {}, query=[1, 2]).found_by

    assert found_by({"a": 1, "c": 5}) == found_by({"a": 1, "b": {"$gt": 2}}) != found_by({"a": 2})
    assert found_by({"a": "1"}) != found_by({"a": 1}) != found_by({"b": 1})
    assert found_by({"a": 1, "b": 1}) != found_by({"a": 1})
    # Of a range nobody knows how many they are: the planner does.
    assert found_by({"a": {"$gt": 1}}) is None
    assert found_by({"a": {"$gt": 1}, "c": 5}) == found_by({"c": 5})


def test_a_partial_index_keeps_its_condition_in_the_statement():
    def clauses(index):
        options = {"id": 7, "dimension": 2, "distance": "cosine", "index": index, "language": "simple"}
        subject = subject_of(Collection(**options, indexed_keys=["a"]))
        return str(subject.conditions({"a": 1}).clauses[0])

    assert ("@>" in clauses({}), "@>" in clauses(to_dict(HNSW(where={"a": 1})))) == (False, True)


def test_a_search_among_few_rows_is_exact_and_one_statement_for_all_values():
    search, other = (
        plan_search(subject_of(DOCUMENTS), 3, {"a": value}, {"min_distance": 0.5}, query=[1, 2]) for value in (1, 2)
    )
    assert search.shape_of("few") == Nearest(3, min_distance=True, exact=True)
    assert search.statement("few") is other.statement("few")
    assert "(SELECT CAST(:rowspace_document AS JSONB)" in str(search.statement("few"))


def test_a_search_without_a_query_is_refused(subject):
    with pytest.raises(InvalidVector, match="needs a vector, got None"):
        plan_search(subject, 3, None, {}, query=None)
    assert QUERY not in plan_search(subject, 3, None, {}).parameters


@pytest.mark.parametrize("value", [float("nan"), "1", [1], True])
@pytest.mark.parametrize("name", ["max_distance", "min_distance", "min_similarity"])
def test_a_limit_is_a_number(subject, name, value):
    with pytest.raises(InvalidSetting, match=f"^{name} must be a number in the range of a float, got "):
        plan_search(subject, 3, None, {name: value}, query=[1, 2])


@pytest.mark.parametrize("value", [np.float64(0.25), np.float32(0.5), Fraction(1, 2), 1])
def test_a_limit_of_any_kind_of_number_is_a_float(subject, value):
    limits = plan_search(subject, 3, None, {"max_distance": value, "min_distance": value}, query=[1, 2]).parameters
    assert [type(limits[name]) for name in (MAX_DISTANCE, MIN_DISTANCE)] == [float, float]
    similar = plan_search(subject, 3, None, {"min_similarity": value}, query=[1, 2]).parameters
    assert type(similar[MAX_DISTANCE]) is float


def test_a_limit_is_within_the_range_of_a_float(subject):
    with pytest.raises(InvalidSetting, match=r"max_distance must be a number in the range of a float, got 10000000"):
        plan_search(subject, 3, None, {"max_distance": 10**400}, query=[1, 2])


def test_candidates_of_a_quantized_index_are_of_the_shape():
    subject = subject_of(Signs)
    search = plan_search(subject, 3, None, {"settings": SearchSettings(oversample=4)}, query=[1] * 8)
    assert [search.shape_of(scan).candidates for scan in ("plain", "iterative", "exact")] == [12, 12, None]


@pytest.mark.parametrize(
    ("where", "quantize"),
    [(None, None), ([], None), ([Part.kind == "b"], None), ([Part.kind == "a", Part.id > 1], "bit")],
)
def test_an_index_of_some_rows_serves_searches_that_say_which(where, quantize):
    assert plan_search(subject_of(Part), 3, where, {}, query=[1] * 8).target.quantize == quantize


@pytest.mark.parametrize(
    ("where", "quantize"),
    [
        (None, None),
        ({"lang": "de"}, None),
        ({"lang": "en", "n": 1}, "halfvec"),
        ({"n": 1, "lang": "en", "year": {"$gt": 1}}, "halfvec"),
        ({"$and": [{"lang": "en"}, {"n": 1}]}, "halfvec"),
        # One document of three keys, of which the planner does not take two.
        ({"lang": "en", "n": 1, "year": 2}, None),
        ({"lang": "en", "n": True}, None),
        ([Document.id > "a"], None),
    ],
)
def test_an_index_of_some_documents_serves_searches_that_say_which(where, quantize):
    index = {"quantize": "halfvec", "where": {"lang": "en", "n": 1}}
    subject = subject_of(Collection(id=1, name="a", dimension=2, distance="cosine", index=index))
    assert plan_search(subject, 3, where, {}, query=[1, 2]).target.quantize == quantize


def test_settings_are_settings(subject):
    with pytest.raises(InvalidSetting, match=r"^settings must be a SearchSettings, .*, got \{'ef_search': 9\}"):
        plan_search(subject, 3, None, {"settings": {"ef_search": 9}}, query=[1, 2])


def test_none_is_as_good_as_not_given(subject):
    options: SearchOptions = {"max_distance": None, "min_distance": None, "recall": None, "settings": None}
    assert plan_search(subject, 3, None, options) == plan_search(subject, 3, None, {})


def test_an_option_that_does_not_exist_is_named(subject):
    with pytest.raises(
        TypeError, match=r"no option 'ef_search', 'kk'\. Its options are max_distance, min_distance, .* k and where\."
    ):
        plan_search(subject, 3, None, {"kk": 1, "ef_search": 3})


def test_a_recall_needs_a_curve_and_no_other_setting(subject):
    with pytest.raises(InvalidSetting, match=r"recall=0\.9 needs a measured curve"):
        plan_search(subject, 3, None, {"recall": 0.9})
    with pytest.raises(InvalidSetting, match="Pass only one of them"):
        plan_search(subject, 3, None, {"recall": 0.9, "settings": SearchSettings(ef_search=10)})


def test_one_limit_is_enough(subject):
    with pytest.raises(ConfigurationError, match="the same limit"):
        plan_search(subject, 3, None, {"max_distance": 1, "min_similarity": 0})


def test_conditions_of_its_own_come_beside_those_of_the_caller(subject):
    search = plan_search(subject, 3, [Article.id > 1], {}, more=[Article.id < 9])
    assert [str(clause) for clause in search.where] == ["articles.id > :id_1", "articles.id < :id_1"]
    assert search.parameters == {}
    assert not search.keep


@pytest.mark.parametrize(
    ("where", "options", "limited"),
    [
        (None, {}, False),
        ({}, {"exact": True}, False),
        ([Article.id > 1], {}, True),
        (None, {"max_distance": 1.0}, True),
        (None, {"min_similarity": 0.5}, True),
        (None, {"min_distance": 0.1}, True),
    ],
)
def test_a_search_is_limited_where_it_may_find_nothing_among_rows(
    where: Any, options: SearchOptions, limited: bool
) -> None:
    assert plan_search(subject_of(Article), 3, where, options, query=[1, 2]).is_limited is limited
