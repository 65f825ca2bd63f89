from __future__ import annotations

import re

from sqlalchemy.dialects.postgresql import psycopg

from rowspace import Collection, Distance, Document
from rowspace.repositories.reading import plan_reading
from rowspace.repositories.sampling import sample
from rowspace.repositories.subjects import Conditions, subject_of
from rowspace.statements import documents
from rowspace.statements.batch import similar_to
from rowspace.statements.grouping import Grouping, GroupKey, grouped
from rowspace.statements.search import Nearest


def compiled(statement):
    done = statement.compile(dialect=psycopg.dialect())
    return " ".join(str(done).split()), done.params


def where(statement):
    return compiled(statement)[0].partition(" WHERE ")[2]


def test_a_target_is_the_partition_and_the_cast():
    target = documents.target_of(Collection(id=7, dimension=3, distance="l1", index={}))
    assert (target.model, target.distance, target.dimension) == (Document, Distance.L1, 3)
    assert target.scope == (("collection_id", 7),)


def test_every_statement_is_limited_to_its_collection():
    scope = "documents.collection_id = %(collection_id_1)s::BIGINT"
    ids = " AND documents.id = any(%(param_1)s::TEXT[])"
    assert where(documents.by_ids(7, ["a"])) == scope + ids
    assert where(documents.delete_ids(7, ["a"])) == scope + ids
    assert where(documents.fingerprints(7, ["a"])) == scope + ids
    assert where(documents.count(7)) == scope
    assert where(documents.delete_matching(7, [Document.content == "x"])) == (
        f"{scope} AND documents.content = %(content_1)s::VARCHAR"
    )
    assert where(documents.merge_metadata(7, {"a": 1}, [])) == scope


def test_what_has_several_parts_is_limited_in_each():
    collection = Collection(id=7, dimension=3, distance="l1", index={})
    target, subject = documents.target_of(collection), subject_of(collection)
    every = {
        similar_to(target, Nearest(3)): 2,
        grouped(target, GroupKey.of_metadata(Document.meta, ("kind",)), Grouping()): 2,
        sample(target, 3): 1,
        plan_reading(subject, {}, selects=True).selection(subject, Conditions()): 1,
    }
    for statement, parts in every.items():
        assert len(re.findall(r"documents\.collection_id = (?:7|%)", compiled(statement)[0])) == parts


def test_ids_are_one_parameter():
    many = documents.by_ids(7, [str(number) for number in range(100_000)])
    assert len(compiled(many)[1]) == 2


def test_none_removes_keys_and_all_else_is_set():
    text, parameters = compiled(documents.merge_metadata(7, {"a": 1, "b": None, "c": False}, []))
    assert "SET metadata=((documents.metadata || CAST(%(param_1)s::JSONB AS JSONB)) - %(param_2)s::TEXT[])" in text
    assert parameters["param_1"] == {"a": 1, "c": False}
    assert parameters["param_2"] == ["b"]
    assert "updated_at=now()" in text


def test_a_merge_without_removals():
    text, _ = compiled(documents.merge_metadata(7, {"a": 1}, []))
    assert "SET metadata=(documents.metadata || CAST(%(param_1)s::JSONB AS JSONB))" in text


def test_emptiness_is_asked_by_one_row():
    text, _ = compiled(documents.is_empty(7))
    assert text.startswith("SELECT NOT (EXISTS (SELECT documents.id FROM documents WHERE documents.collection_id =")


def test_names_are_parameters():
    text, parameters = compiled(documents.collection_by_name("'; DROP TABLE collections; --%"))
    assert text.endswith("WHERE collections.name = %(name_1)s::VARCHAR")
    assert parameters == {"name_1": "'; DROP TABLE collections; --%"}
