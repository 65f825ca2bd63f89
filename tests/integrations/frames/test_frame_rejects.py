"""Bad rows of tables, streams, frames and Parquet files are handed back, and the others are written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rowspace import CollectionRepository, MatrixRepository
from rowspace.errors import CollectionNotFound, DimensionMismatch, InvalidRow, InvalidVector, RowspaceError
from rowspace.integrations import polars
from rowspace.integrations.arrow import load_parquet, write_table
from rowspace.integrations.pandas import write_frame

VECTORS = [[1.0, 2.0], [3.0], None, [np.nan, 1.0], [4.0, 5.0], [np.inf, 1.0], [None, 1.0], [6.0, 7.0]]
GOOD = {"r0": [1, 2], "r4": [4, 5]}


@pytest.fixture
def table():
    ids = [f"r{at}" for at in range(8)]
    return pa.table({"id": ids, "content": ["x"] * 7 + [None], "year": range(8), "embedding": VECTORS})


def stored(session, name):
    found = MatrixRepository(session, CollectionRepository(session).get(name)).read()
    return dict(zip(found.keys, found.vectors.tolist(), strict=True))


def check(session, name, report, rejects):
    assert (report.received, report.inserted, report.rejected) == (8, 2, 6)
    assert stored(session, name) == GOOD
    assert [(reject.number, reject.row["id"]) for reject in rejects] == [(at, f"r{at}") for at in (1, 2, 3, 5, 6, 7)]
    assert [reject.reason for reject in rejects] == [
        "Row 1: 'embedding': Expected 2 dimensions, got 1.",
        "Row 2: 'embedding' is null, but every row needs a value.",
        "Row 3: 'embedding': A vector cannot contain NaN, which is at index 0.",
        "Row 5: 'embedding': A vector cannot contain infinity, which is at index 0.",
        "Row 6: 'embedding': Expected a vector of numbers, got list [None, 1.0] with None in it.",
        "Row 7: 'content' is null, but every row needs a value.",
    ]


def test_a_table(session, table):
    rejects = []
    check(session, "t", write_table(session, "t", table, rejects=rejects.append), rejects)
    assert rejects[0].row == {"id": "r1", "content": "x", "year": 1, "embedding": [3.0]}


def test_a_stream_in_parts(session, table):
    rejects = []
    stream = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=3))
    check(session, "s", write_table(session, "s", stream, rejects=rejects.append, chunksize=2), rejects)


def test_a_parquet_file(session, table, tmp_path):
    rejects = []
    pq.write_table(table, tmp_path / "x.parquet")
    check(session, "p", load_parquet(session, "p", tmp_path / "x.parquet", rejects=rejects.append), rejects)


def test_frames(session, table):
    # pandas and Polars have a missing number in a vector as NaN and as null.
    frame = pd.DataFrame({name: table[name].to_pylist() for name in table.column_names})
    rejects = []
    report = write_frame(session, "f", frame, rejects=rejects.append)
    assert (report.inserted, report.rejected, len(rejects), stored(session, "f")) == (2, 6, 6, GOOD)
    rejects = []
    check(session, "g", polars.write_frame(session, "g", pl.from_arrow(table), rejects=rejects.append), rejects)


def test_an_existing_collection_tells_the_dimension(session, table):
    CollectionRepository(session).create("one", 1)
    rejects = []
    report = write_table(session, "one", table, if_exists="append", rejects=rejects.append)
    assert (report.inserted, stored(session, "one")) == (1, {"r1": [3]})


def test_what_is_wrong_with_the_whole_is_still_an_error(session, table):
    fixed = pa.array([[1.0, 2.0]] * 8, pa.list_(pa.float32(), 2))
    CollectionRepository(session).create("three", 3)
    at = table.schema.get_field_index("embedding")
    cases = [
        ("three", table.set_column(at, "embedding", fixed), DimensionMismatch),
        ("new", table.set_column(at, "embedding", pa.array(["[1]"] * 8)), InvalidVector),
        ("new", table.drop_columns(["content"]), InvalidRow),
        ("new", pa.concat_tables([table, table]), InvalidRow),
    ]
    for name, bad, kind in cases:
        with pytest.raises(kind):
            write_table(session, name, bad, if_exists="append", rejects=lambda _: None)
    assert stored(session, "three") == {}
    with pytest.raises(CollectionNotFound):
        CollectionRepository(session).get("new")


def test_an_error_of_who_takes_the_rejects_undoes_the_load(session, table):
    def full(_):
        message = "no room"
        raise RowspaceError(message)

    stream = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=1))
    with pytest.raises(RowspaceError, match="no room"):
        write_table(session, "undone", stream, chunksize=1, rejects=full)
    with pytest.raises(CollectionNotFound):
        CollectionRepository(session).get("undone")
