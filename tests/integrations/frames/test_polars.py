from __future__ import annotations

import datetime as dt
import uuid

import numpy as np
import polars as pl
import pytest
from sqlalchemy import select
from sqlalchemy.orm import scoped_session

from rowspace import Document
from rowspace.errors import InvalidRow
from rowspace.integrations.polars import read_frame, read_frames, write_frame


@pytest.fixture
def frame():
    return pl.DataFrame({
        "id": ["a", "b"],
        "content": ["x", "数据"],
        "day": [dt.date(2026, 1, 1), None],
        "tags": [["p"], ["q", "r"]],
        "n": pl.Series([1, 2], dtype=pl.Int16),
        "embedding": np.arange(6, dtype=np.float32).reshape(2, 3),
    })  # fmt: skip


def test_a_frame_comes_back_as_it_was(session, frame):
    assert write_frame(session, "polars", frame.lazy()).inserted == 2
    back = read_frame(session, "polars").sort("id")
    assert back.schema == frame.schema
    assert back.schema["embedding"] == pl.Array(pl.Float32, 3)
    assert back.equals(frame)
    assert pl.concat(read_frames(session, "polars", where={"n": 2})).equals(frame.tail(1))


def test_what_is_no_frame_is_refused(session):
    with pytest.raises(InvalidRow, match="Expected a Polars DataFrame or LazyFrame, got <class 'list'>"):
        write_frame(session, "polars", [1])


def test_a_frame_of_pandas_is_told_from_one_of_polars(session, frame):
    with pytest.raises(InvalidRow, match=r"got <class 'pandas.*DataFrame'>\. For others, use arrow.write_table"):
        write_frame(session, "polars", frame.to_pandas())


def test_a_type_that_arrow_does_not_have_is_refused(session, frame):
    with pytest.raises(InvalidRow, match="The frame has values that Arrow cannot represent: "):
        write_frame(session, "polars", frame.with_columns(n=pl.Series([2**100, 1], dtype=pl.Int128)))


def test_objects_of_python_are_refused_and_not_their_addresses_written(session, frame):
    with pytest.raises(InvalidRow, match=r"The column 'id' contains objects, .* Convert it"):
        write_frame(session, "polars", frame.with_columns(id=pl.Series([uuid.UUID(int=1), uuid.UUID(int=2)])))


def test_a_scoped_session(session, frame):
    scoped = scoped_session(lambda: session)
    assert write_frame(scoped, "polars", frame).inserted == 2
    assert read_frame(scoped, select(Document.id).order_by(Document.id))["id"].to_list() == ["a", "b"]
