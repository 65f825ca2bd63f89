"""Frames with columns of every type, there and back: the same values, and the same dtypes."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sqlalchemy import Identity, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import CollectionRepository, DocumentRepository, Vector
from rowspace.errors import CollectionNotFound, ConfigurationError, DimensionMismatch, InvalidRow, InvalidVector
from rowspace.integrations import polars
from rowspace.integrations.arrow import export_parquet, load_parquet, read_table, write_table
from rowspace.integrations.pandas import read_frame, to_matrix, write_frame


class Base(DeclarativeBase):
    pass


class Shape(Base):
    __tablename__ = "shapes"
    name: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[dict | None] = mapped_column(JSONB)
    outline: Mapped[np.ndarray | None] = mapped_column(Vector(2))


class Step(Base):
    __tablename__ = "steps"
    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Identity(), primary_key=True)
    place: Mapped[np.ndarray] = mapped_column(Vector(2))


@pytest.fixture
def frame():
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    return pd.DataFrame({"id": list("abcd"), "content": list("wxyz"), "embedding": list(vectors)})


SAME = {
    "categories not in the order of their first rows": pd.Categorical(list("babb")),
    "categories in an order of their own, one unused": pd.Categorical(list("babb"), list("zab"), ordered=True),
    "numbers as categories": pd.Categorical([2, 1, 2, None]),
    "dates as categories": pd.Categorical(pd.to_datetime(["2026-01-02", "2026-01-01"] * 2)),
    "times": [dt.time(1, 2, 3), None, dt.time(23, 59, 59, 999_999), dt.time()],
    "durations": pd.to_timedelta(["1h", "-1.5s", None, "3D"]),
    "durations in nanoseconds": pd.Series(np.array([1, -1, 10**9, 0], "m8[ns]")),
    "nanoseconds": pd.Series(np.array([1, 2_000, -1, 10**18], "M8[ns]")),
    "nanoseconds with a zone": pd.Series(np.array([1, 2, 3, 4], "M8[ns]")).dt.tz_localize("Asia/Shanghai"),
    "numbers beyond 63 bits": np.array([2**64 - 1, 0, 2**63, 1], np.uint64),
    "objects": [{"a": 1}, {"b": {"c": None}}, None, {}],
    "objects in lists": [[{"a": 1}, {"b": 2}], [], None, [{}]],
    "several types": [1, "x", {"k": [True]}, 2.5],
    "lists": [[1, 2], [], None, [3]],
    "numbers beyond 64 bits": [2**70, 1, None, -(2**64)],
    "milliseconds": pd.Series(np.array([1, -1, 10**12, 0], "M8[ms]")),
    "seconds with a zone": pd.Series(np.array([1, -1, 10**9, 0], "M8[s]")).dt.tz_localize("UTC"),
    "milliseconds with a zone": pd.Series(np.array([1, 2, 3, 4], "M8[ms]")).dt.tz_localize("Asia/Shanghai"),
    "vectors": pd.Series([[1.0, 2.0]] * 4, dtype=pd.ArrowDtype(pa.list_(pa.float32(), 2))),
    "nothing": [None] * 4,
    "nullable text": pd.array(["a", None, "", "nan"], "string"),
    "small floats": np.array([0.1, 0.2, 0.3, 0.4], np.float32),
}


# Parquet has categories of text alone, and no seconds.
IN_FILES = {
    "seconds with a zone": "datetime64[ms, UTC]",
    "numbers as categories": pd.Int64Dtype(),
    "dates as categories": "datetime64[us]",
}


@pytest.mark.parametrize("name", SAME)
def test_a_column_comes_back_as_it_was(session, frame, tmp_path, name):
    values = SAME[name]
    given = frame.assign(column=values)
    write_frame(session, "there", given)
    back = read_frame(session, "there").sort_values("id", ignore_index=True)
    pd.testing.assert_series_equal(back["column"], given["column"])
    # And from there into another collection, by a frame and by a file.
    write_frame(session, "again", back)
    export_parquet(session, "there", tmp_path / "x.parquet")
    load_parquet(session, "by file", tmp_path / "x.parquet")
    again = read_frame(session, "again").sort_values("id", ignore_index=True)
    pd.testing.assert_series_equal(again["column"], given["column"])
    by_file = read_frame(session, "by file").sort_values("id", ignore_index=True)
    expected = given["column"].astype(IN_FILES[name]) if name in IN_FILES else given["column"]
    pd.testing.assert_series_equal(by_file["column"], expected)


def test_lists_with_gaps_keep_their_digits(session, frame):
    lists = [[2**53 + 1, None], [], None, [3]]
    write_frame(session, "gaps", frame.assign(column=lists))
    back = read_frame(session, "gaps").sort_values("id")
    assert back["column"].tolist() == lists
    write_frame(session, "gaps", back, if_exists="append")
    collection = CollectionRepository(session).get("gaps")
    documents = DocumentRepository(session, collection).get(list("abcd"))
    assert [document.meta.get("column") for document in documents] == lists


def test_metadata_of_a_frame_is_not_changed_by_a_way_through_it(session, frame):
    metadata = [{"a": 1}, {"b": ["x", {"c": None}]}, {"a": "text", "n": None}, {}]
    write_frame(session, "whole", frame.assign(metadata=metadata))
    collection = CollectionRepository(session).get("whole")

    def stored():
        return [document.meta for document in DocumentRepository(session, collection).get(list("abcd"))]

    assert stored() == metadata
    write_frame(session, "whole", read_frame(session, "whole", metadata="json"), if_exists="append")
    assert stored() == metadata
    write_frame(session, "whole", read_frame(session, "whole"), if_exists="append")
    # A column cannot tell a null from a key that is not there.
    assert stored() == [{"a": 1}, {"b": ["x", {"c": None}]}, {"a": "text"}, {}]


def test_more_categories_than_the_frame_had(session, frame):
    write_frame(session, "kinds", frame.assign(kind=pd.Categorical(list("baba"), list("cba"))))
    more = frame.assign(id=list("efgh"), kind=pd.Categorical(list("xbyb")))
    write_frame(session, "kinds", more, if_exists="append")
    assert read_frame(session, "kinds")["kind"].cat.categories.tolist() == list("cbaxy")
    # An index of eight bits, which a frame with few categories has, would not do.
    many = [{"id": str(at), "content": "", "embedding": [1, 2], "meta": {"kind": f"k{at}"}} for at in range(300)]
    DocumentRepository(session, CollectionRepository(session).get("kinds")).upsert(many)
    assert read_frame(session, "kinds")["kind"].nunique() == 304


def test_too_many_categories_are_not_kept_with_the_collection(session):
    names = [f"k{at}" for at in range(1_001)]
    ids, vectors = pa.array(names), pa.array([[1.0]] * 1_001)
    table = pa.table({"id": ids, "content": ids, "embedding": vectors, "kind": ids.dictionary_encode()})
    write_table(session, "many", table)
    back = read_table(session, "many")
    assert back["kind"].type == pa.dictionary(pa.int32(), pa.string())
    assert back.schema.field("kind").metadata is None


def test_arrow_structs_and_maps_become_objects(session, frame):
    table = pa.table({
        "id": ["a", "b"],
        "content": ["x", "y"],
        "embedding": [[1.0], [2.0]],
        "struct": pa.array([{"k": 1}, {"l": {"m": 2}}]),
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    })  # fmt: skip
    write_table(session, "nested", table)
    documents = DocumentRepository(session, CollectionRepository(session).get("nested")).get(["a", "b"])
    assert [one.meta for one in documents] == [{"struct": {"k": 1}, "map": {"k": 1}}, {"struct": {"l": {"m": 2}}}]


def test_polars_has_times_durations_and_categories(session):
    frame = pl.DataFrame({
        "id": ["a", "b"],
        "content": ["x", "y"],
        "embedding": pl.Series([[1.0], [2.0]], dtype=pl.Array(pl.Float32, 1)),
        "took": [dt.timedelta(seconds=90), None],
        "at": [dt.time(1, 2), dt.time(3)],
        "kind": pl.Series(["b", "a"], dtype=pl.Categorical),
        "big": pl.Series([2**64 - 1, 1], dtype=pl.UInt64),
    })  # fmt: skip
    polars.write_frame(session, "polars", frame)
    assert polars.read_frame(session, "polars").sort("id").select(frame.columns).equals(frame)


def test_ids_of_any_type(session, frame):
    for ids in ([3, 1, 2, 0], pd.date_range("2026-01-01", periods=4), [0.5, 1.5, 2.5, 3.5]):
        name = f"ids of {pd.Series(ids).dtype}"
        write_frame(session, name, frame.assign(id=ids))
        back = read_frame(session, name).sort_values("content", ignore_index=True)
        pd.testing.assert_series_equal(back["id"], pd.Series(ids, name="id"))


RENAMED = r"This column contains all metadata of a row\. For a single key, rename it: names=\{'metadata': \.\.\.\}\."
REFUSED = {
    "an index that is a column": (
        lambda f: f.set_index(pd.Index(range(4), name="id")),
        "The index 'id' has the same name as a column. Rename one, or pass index=False",
    ),
    "a column twice": (lambda f: pd.concat([f, f[["id"]]], axis=1), "More than one column is named 'id'"),
    "sparse": (lambda f: f.assign(x=pd.arrays.SparseArray([0, 1, 0, 0])), "Sparse pandas data"),
    "periods": (lambda f: f.assign(x=pd.period_range("2026-01", periods=4, freq="M")), r"period\[M\].*\.astype\(str\)"),
    "nanoseconds of a day": (
        lambda f: f.assign(x=pd.array([1, 2, 3, 4], pd.ArrowDtype(pa.int64())).astype(pd.ArrowDtype(pa.time64("ns")))),
        "The column 'x' cannot be written: .* would lose data",
    ),
    "bytes": (lambda f: f.assign(x=b"x"), "'x' is b'x', which has no JSON form. Omit it, or convert it to text"),
    "infinity": (lambda f: f.assign(x=[1, 2, np.inf, 3]), r"Row 2 \(id 'c'\), column 'metadata': 'x' is inf"),
    "no Unicode": (lambda f: f.assign(x=pd.Series(["\ud800"] * 4, dtype=object)), "surrogates not allowed"),
    "no Unicode in a text": (
        lambda f: f.assign(content=pd.Series(["\ud800"] * 4, dtype=object)),
        "values that Arrow cannot represent: .* surrogates not allowed",
    ),
    "no JSON": (
        lambda f: f.assign(metadata=["{}", "{", "{}", "{}"]),
        rf"Row 1: 'metadata' is '{{', which is not JSON.* {RENAMED}",
    ),
    "no object": (
        lambda f: f.assign(metadata=["{}", "{}", "[]", "{}"]),
        rf"Row 2: 'metadata' is \[\], which is not a JSON object\. {RENAMED}",
    ),
    "no vectors": (lambda f: f.assign(embedding=None), "Row 0: 'embedding' is null, but every row needs a value"),
    "nothing": (lambda f: f.head(0), "has no embedding to infer its dimension from. Pass create="),
}


@pytest.mark.parametrize(("spoil", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_written_is_named(session, frame, spoil, message):
    with pytest.raises(InvalidRow, match=message):
        write_frame(session, "bad", spoil(frame))
    with pytest.raises(CollectionNotFound):
        CollectionRepository(session).get("bad")


@pytest.mark.parametrize("chunksize", [0, -1, 1.5, "all", None])
def test_a_chunksize_is_a_whole_number(session, frame, chunksize):
    with pytest.raises(ConfigurationError, match="chunksize must be a whole number of at least 1, got"):
        write_frame(session, "bad", frame, chunksize=chunksize)


def test_a_chunksize_of_numpys_is_one(session, frame):
    assert write_frame(session, "good", frame, chunksize=np.int64(3)).inserted == 4


def test_an_empty_frame_changes_nothing(session, frame):
    write_frame(session, "kept", frame)
    assert write_frame(session, "kept", frame.head(0), if_exists="append").received == 0
    assert len(read_frame(session, "kept")) == 4


def test_an_empty_frame_makes_an_empty_collection_of_the_dimension_that_is_said(session, frame):
    assert write_frame(session, "empty", frame.head(0), create={"dimension": 3}).received == 0
    assert CollectionRepository(session).get("empty").dimension == 3
    assert len(read_frame(session, "empty")) == 0
    with pytest.raises(DimensionMismatch, match=r"Expected 4 dimensions, got \d"):
        write_frame(session, "other", frame, create={"dimension": 4})


def test_objects_and_missing_vectors_in_a_model(session):
    Base.metadata.create_all(session.connection())
    data = [{"a": 1}, {"b": "x"}, None]
    given = pd.DataFrame({"name": list("abc"), "data": data, "outline": [None] * 3})
    assert write_frame(session, Shape, given).inserted == 3
    assert [session.get(Shape, name).data for name in "abc"] == data
    back = read_frame(session, Shape).sort_values("name", ignore_index=True)
    assert [json.loads(text) for text in back["data"].dropna()] == data[:2]
    assert write_frame(session, Shape, back, if_exists="append").updated == 3
    session.expire_all()
    assert [session.get(Shape, name).data for name in "abc"] == data


def test_a_missing_value_of_json_is_not_jsons_null(session):
    Base.metadata.create_all(session.connection())
    given = pa.table({"name": list("ab"), "data": [None, "null"], "outline": pa.nulls(2, pa.list_(pa.float32(), 2))})
    write_table(session, Shape, given)
    stored = session.execute(text("SELECT name, data IS NULL FROM shapes")).all()
    assert sorted(stored) == [("a", True), ("b", False)]
    assert read_table(session, Shape).sort_by("name")["data"].to_pylist() == [None, "null"]


def test_a_matrix_needs_a_vector_of_each_row(session, frame):
    with pytest.raises(InvalidVector, match="Row 2 has no vector"):
        to_matrix([[1.0], [2.0], None])


def test_an_index_without_a_name_in_a_file_is_no_column(session, frame, tmp_path):
    frame.iloc[[0, 1, 3]].drop(columns="embedding").assign(embedding=[[1.0], [2.0], [3.0]]).to_parquet(
        tmp_path / "x.parquet"
    )
    load_parquet(session, "x", tmp_path / "x.parquet")
    assert read_frame(session, "x").columns.tolist() == ["id", "content", "embedding"]


def test_a_key_that_the_server_makes_may_be_left_out(session):
    Base.metadata.create_all(session.connection())
    steps = pd.DataFrame({"name": ["a", "a"], "place": [[1.0, 2.0], [3.0, 4.0]]})
    rejects = []
    for _ in range(2):
        assert write_frame(session, Step, steps, if_exists="append", rejects=rejects.append).inserted == 2
    back = read_frame(session, Step).sort_values("number")
    assert (back["number"].tolist(), back["name"].tolist(), rejects) == ([1, 2, 3, 4], ["a"] * 4, [])
    with pytest.raises(InvalidRow, match=r"^There is no column 'name', only number, place\."):
        write_frame(session, Step, back.drop(columns="name"), if_exists="append")
