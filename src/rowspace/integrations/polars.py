"""Polars (extra `polars`): read and write data frames. The embedding is an `Array(Float32, n)`."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Unpack, cast

from sqlalchemy import SelectBase

from rowspace._optional import require
from rowspace.errors import InvalidRow
from rowspace.repositories.given import AnySession
from rowspace.results import LoadReport

if TYPE_CHECKING:
    import polars as pl
else:
    pl = require("polars", extra="polars")
pa: Any = require("pyarrow", extra="polars")

# After the imports above, so that a missing library is reported with this extra.
from rowspace.integrations.arrow import Over, ReadOptions, WriteOptions, read_batches, read_table, write_table  # noqa: E402

__all__ = ["read_frame", "read_frames", "write_frame"]


def read_frame(session: AnySession, over: Over | SelectBase, **options: Unpack[ReadOptions]) -> pl.DataFrame:
    """Return the matching rows as a frame. The options and errors are those of `arrow.read_batches`."""
    return _frame(read_table(session, over, **options))


def read_frames(
    session: AnySession, over: Over | SelectBase, **options: Unpack[ReadOptions]
) -> Generator[pl.DataFrame, None, None]:
    """Yield the matching rows as frames of about 4 MiB. The options and errors are those of `arrow.read_batches`.

    The session's connection is busy until the last frame, or until the iterator is closed.
    """
    with read_batches(session, over, **options) as reader:
        for batch in reader:
            yield _frame(batch)


def write_frame(
    session: AnySession, over: Over, frame: pl.DataFrame | pl.LazyFrame, **options: Unpack[WriteOptions]
) -> LoadReport:
    """Write a frame to a collection or a table, all rows or none. Options and errors are those of `arrow.write_table`.

    A `LazyFrame` is collected first.
    """
    given: Any = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    if not isinstance(given, pl.DataFrame):
        message = f"Expected a Polars DataFrame or LazyFrame, got {type(given)}. For others, use arrow.write_table."
        raise InvalidRow(message)
    if objects := [name for name, dtype in given.schema.items() if dtype == pl.Object]:
        # Arrow would store their memory addresses.
        message = f"The column {objects[0]!r} contains objects, which cannot be stored. Convert it: map(str, ...)."
        raise InvalidRow(message)
    # Collect the frame in memory, so that all of it is checked before any is written.
    try:
        table = given.to_arrow()
    except pa.ArrowInvalid as error:
        message = f"The frame has values that Arrow cannot represent: {str(error).rstrip('.')}."
        raise InvalidRow(message) from error
    return write_table(session, over, table, **options)


def _frame(rows: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    # According to its type hints, from_arrow can return a series.
    return cast("pl.DataFrame", pl.from_arrow(rows))
