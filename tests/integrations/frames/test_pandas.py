from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
import polars as pl
import pytest

from rowspace import CollectionRepository
from rowspace.errors import CollectionExists, CollectionNotFound, ConfigurationError, InvalidRow, InvalidVector
from rowspace.integrations.pandas import read_frame, read_frames, to_matrix, write_frame

VECTORS = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)


@pytest.fixture
def frame():
    return pd.DataFrame({
        "content": list("abcdef"),
        "count": pd.array([1, None, 3, 4, 5, 6], dtype="Int64"),
        "small": np.arange(6, dtype="int8"),
        "price": [0.5, np.nan, 2, 3, 4, 5],
        "sold": [True, False] * 3,
        "flag": pd.array([True, None] * 3, dtype="boolean"),
        "at": pd.date_range("2026-01-01", periods=6, tz="UTC", unit="us"),
        "kind": pd.Categorical(list("aabbab")),
        "embedding": list(VECTORS),
    }, index=pd.Index(range(10, 16), name="id"))  # fmt: skip


def test_a_frame_comes_back_with_its_types_and_its_index(session, frame):
    assert write_frame(session, "frame", frame).inserted == 6
    back = read_frame(session, "frame", index_col="id").sort_index()
    plain = frame.columns.drop("embedding")
    pd.testing.assert_frame_equal(back[plain], frame[plain])
    assert str(back["embedding"].dtype) == "fixed_size_list<item: float>[4][pyarrow]"
    assert np.array_equal(to_matrix(back["embedding"]), VECTORS)
    # What was read can be written.
    assert write_frame(session, "frame", back, if_exists="append").updated == 6


def test_arrow_types_in_all_columns(session, frame):
    write_frame(session, "arrow", frame)
    back = read_frame(session, "arrow", dtype_backend="pyarrow", columns=["id", "count", "at"])
    assert [str(dtype) for dtype in back.dtypes] == [
        "int64[pyarrow]",
        "int64[pyarrow]",
        "timestamp[us, tz=UTC][pyarrow]",
    ]
    with pytest.raises(ConfigurationError, match="numpy or pyarrow, got 'polars'"):
        read_frame(session, "arrow", dtype_backend="polars")


def test_the_matrix_is_not_copied(session, frame):
    write_frame(session, "matrix", frame)
    column = read_frame(session, "matrix")["embedding"]
    matrix = to_matrix(column)
    assert (matrix.dtype, matrix.shape, matrix.flags.c_contiguous) == (np.float32, (6, 4), True)
    assert np.shares_memory(matrix, to_matrix(column))
    assert np.array_equal(to_matrix(frame["embedding"]), VECTORS)
    with pytest.raises(InvalidVector, match=r"The column 'content' is .*, expected FixedSizeList"):
        to_matrix(frame["content"])


def test_chunks(session, frame):
    write_frame(session, "chunks", frame, chunksize=2)
    frames = list(read_frames(session, "chunks", chunksize=4))
    assert [len(one) for one in frames] == [4, 2]
    assert sorted(pd.concat(frames)["id"]) == list(range(10, 16))
    reading = read_frames(session, "chunks", chunksize=1)
    next(reading)
    reading.close()
    assert CollectionRepository(session).get("chunks").dimension == 4


def test_habits_of_to_sql(session, frame):
    write_frame(session, "habits", frame)
    with pytest.raises(CollectionExists):
        write_frame(session, "habits", frame)
    CollectionRepository(session).get("habits").indexed_keys = ["year"]
    write_frame(session, "habits", frame.head(2), if_exists="replace")
    assert len(read_frame(session, "habits")) == 2
    assert CollectionRepository(session).get("habits").indexed_keys == ["year"]
    # An index that only counts the rows is no id.
    with pytest.raises(InvalidRow, match="no column 'id'"):
        write_frame(session, "other", frame.reset_index(drop=True))
    with pytest.raises(InvalidRow, match="no column 'id'"):
        write_frame(session, "other", frame, index=False)
    with pytest.raises(CollectionNotFound):
        CollectionRepository(session).get("other")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            lambda f: f.assign(embedding=[[1.0], *[[1.0, 2.0]] * 5]),
            InvalidVector,
            "Row 1: Expected 1 dimensions, got 2",
        ),
        (lambda f: f.assign(embedding=[None, *VECTORS[1:]]), InvalidRow, "Row 0: 'embedding' is null"),
        (lambda f: f.assign(embedding="x"), InvalidVector, "expected FixedSizeList"),
        (lambda f: pd.concat([f, f]), InvalidRow, "Row 6: the key '10' repeats that of row 0"),
        (lambda f: f.assign(mixed=[1, "x", None, {}, [], 2j]), InvalidRow, "'mixed' cannot be written: complex 2j"),
        (lambda f: f.assign(cut=pd.cut(range(6), 2)), InvalidRow, r"'cut' is interval\[float64, right\].*\.astype"),
        (lambda f: f.assign(span=pd.IntervalIndex.from_breaks(range(7))), InvalidRow, r"'span' is interval\["),
        (lambda f: f.assign(day=pd.Categorical(pd.period_range("2026", periods=6))), InvalidRow, r"'day' is period\["),
        (lambda f: f.to_dict(), InvalidRow, "Expected a pandas DataFrame, got <class 'dict'>"),
        (pl.from_pandas, InvalidRow, r"Expected a pandas DataFrame, got <class 'polars\..*DataFrame'>"),
    ],
)
def test_bad_frames_are_refused_before_anything_is_written(session, frame, spoil, error, message):
    with pytest.raises(error, match=message):
        write_frame(session, "bad", spoil(frame))
    with pytest.raises(CollectionNotFound):
        CollectionRepository(session).get("bad")


def test_uuids_are_the_keys_that_their_texts_are(session, frame):
    ids = [uuid.UUID(int=n) for n in range(6)]
    frame.index = pd.Index(ids, name="id")
    assert write_frame(session, "uuids", frame.assign(owner=ids)).inserted == 6
    back = read_frame(session, "uuids").sort_values("id")
    assert [*back["id"]] == [*back["owner"]] == [*map(str, ids)]
    assert write_frame(session, "uuids", frame.set_axis(back["id"]), if_exists="append").updated == 6
    frame.index = pd.CategoricalIndex(ids, name="id")
    assert write_frame(session, "uuids", frame, if_exists="append").updated == 6


def test_columns_that_are_called_by_numbers(session, frame):
    numbered = frame.assign(mixed=[1, "x", None, {}, [], 2]).set_axis(range(10), axis="columns")
    assert write_frame(session, "numbered", numbered, names={0: "content", 8: "embedding"}).inserted == 6
    back = read_frame(session, "numbered", index_col="id").sort_index()
    assert [*back["content"]] == [*frame["content"]]
    assert [*back["9"]] == [1, "x", None, {}, [], 2]
    with pytest.raises(InvalidRow, match="More than one column is named '0'"):
        write_frame(session, "twice", numbered.assign(**{"0": 1}))
