"""Read rows from Parquet files, and from NumPy matrices with a file of documents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeAlias

import numpy as np

from rowspace.errors import InvalidRow, InvalidVector
from rowspace.integrations._ingest.lines import (
    EMBEDDING,
    METADATA,
    Watch,
    decoded,
    json_row,
    named,
    repeated,
    whole_metadata,
)
from rowspace.vectors import fault_of, sound_rows

if TYPE_CHECKING:
    from rowspace.integrations._ingest.documents import Fields

__all__ = ["Row", "documents_beside", "matrix_rows", "parquet_rows", "path_of"]

_ROWS_AT_ONCE = 2_000

#: A sentinel after the last document.
_ENDED: Any = object()

#: A row number from 1, the values, and the vector if it is not one of them.
Row: TypeAlias = tuple[int, dict[str, Any], Any]


def path_of(file: BinaryIO) -> Path:
    """Return the path of an open file.

    Raises:
        InvalidRow: the file is a pipe.
    """
    name = getattr(file, "name", None)
    if not file.seekable() or not isinstance(name, str) or not Path(name).is_file():
        message = "this format can only be read from a file, not from a pipe."
        raise InvalidRow(message)
    return Path(name)


def parquet_rows(file: BinaryIO, fields: Fields, watch: Watch) -> Iterator[Row]:
    """Yield the rows of a Parquet file, part by part, without nulls.

    Raises:
        InvalidRow: the file is not Parquet, or `watch` does not accept an invalid row. The message names the row.
        MissingExtra: the extra `arrow` is not installed.
    """
    from rowspace.integrations.arrow import open_parquet

    path = path_of(file)
    with _explained("not a Parquet file"):
        table = open_parquet(path)
    with table:
        watch.counted(table.metadata.num_rows)
        columns = _Columns.of(table.schema_arrow, fields, watch)
        number = 1
        for batch in _batches(table):
            yield from columns.rows(batch, number, watch)
            number += len(batch)


def _batches(table: Any) -> Iterator[Any]:
    from rowspace.integrations.arrow import parquet_batches

    batches = parquet_batches(table, _ROWS_AT_ONCE)
    while True:
        with _explained("the file cannot be read to its end"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextmanager
def _explained(what: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        message = f"{what}: {str(error).rstrip('.')}."
        raise InvalidRow(message) from error


class _Columns:
    """The columns of a table of documents. Vectors in lists are separate from all others."""

    def __init__(self, others: list[str], vector: str | None, fields: Fields) -> None:
        from rowspace.integrations._frames.metadata import key_of

        self._others = others
        self._vector = vector
        self._dimension = fields.dimension
        # For these, an error distinguishes null from missing.
        self._named = {fields.content, fields.id}
        keys = {name: key_of(name, {"id", "content", "embedding", METADATA}) for name in others}
        # `rowspace export` adds a prefix to metadata keys that equal the name of another column.
        self._inner = {name: key for name, key in keys.items() if name != key and name not in self._named}

    @classmethod
    def of(cls, schema: Any, fields: Fields, watch: Watch) -> Self:
        """Return the columns of a schema.

        Raises:
            InvalidRow: a named column is missing or duplicate, or does not contain vectors.
        """
        from rowspace.integrations._frames.metadata import is_row_number
        from rowspace.integrations._frames.values import is_text
        from rowspace.integrations._frames.vectors import check_vector_type, is_numbers

        _check_names(schema.names, fields)
        names, vector = [name for name in schema.names if not is_row_number(name)], fields.embedding
        if vector is None and EMBEDDING in names and is_numbers(schema.field(EMBEDDING).type):
            watch.left_out(EMBEDDING)
            names.remove(EMBEDDING)
        # Vectors as JSON text are read as in any other format.
        if vector is None or is_text(schema.field(vector).type):
            return cls(names, None, fields)
        try:
            check_vector_type(vector, schema.field(vector).type, fields.dimension)
        except InvalidVector as error:
            raise InvalidRow(str(error)) from error
        return cls([name for name in names if name != vector], vector, fields)

    def rows(self, batch: Any, number: int, watch: Watch) -> Iterator[Row]:
        """Yield the rows of a batch, the first of which is `number`. Rows with invalid vectors are rejected."""
        from rowspace.integrations._frames.rows import json_values

        vectors, faults = self._vectors(batch)
        columns = [(name, json_values(batch, name), name in self._named) for name in self._others]
        for at in range(len(batch)):
            row = {name: values[at] for name, values, named in columns if named or values[at] is not None}
            row = whole_metadata(row)
            if self._inner and isinstance(row.get(METADATA, {}), Mapping):
                inner = {key: row.pop(name) for name, key in self._inner.items() if name in row}
                row[METADATA] = {**row.get(METADATA, {}), **inner}
            if at in faults:
                vector = batch.column(self._vector)[at].as_py()
                watch.refuse(number + at, faults[at], {**row, str(self._vector): vector})
            else:
                yield number + at, row, None if vectors is None else vectors[at]

    def _vectors(self, batch: Any) -> tuple[Any, dict[int, str]]:
        from rowspace.integrations._frames.vectors import sound_vectors

        if self._vector is None:
            return None, {}
        vectors, errors = sound_vectors(batch.column(self._vector), self._dimension, self._vector)
        if self._dimension is None:
            self._dimension = next((len(vector) for vector in vectors if vector is not None), None)
        if isinstance(vectors, np.ndarray):
            return vectors, {}
        null = {at: f"{self._vector!r} is null." for at, vector in enumerate(vectors) if vector is None}
        return vectors, {**null, **{at: str(error) for at, error in errors.items()}}


def _check_names(names: Sequence[str], fields: Fields) -> None:
    if twice := repeated(names):
        message = f"more than one column is named {twice[0]!r}."
        raise InvalidRow(message)
    for name, option in ((fields.content, "content"), (fields.id, "id"), (fields.embedding, "embedding")):
        if name is not None and name not in names:
            hint = f" Name the field: --{option} FIELD." if fields.hints else ""
            message = f"there is no {name!r}, only {named(names)}.{hint}"
            raise InvalidRow(message)


def matrix_rows(file: BinaryIO, fields: Fields, watch: Watch) -> Iterator[Row]:
    """Yield the documents that belong to a matrix, with its rows as their vectors.

    Raises:
        InvalidRow: the file is not a matrix of numbers, or the number of documents differs from that of its rows.
    """
    path = path_of(file)
    matrix = _Matrix.of(file, fields.dimension)
    beside = documents_beside(path, fields.ids)
    if not beside.is_file():
        hint = " Name another file: --ids FILE." if fields.hints else ""
        message = f"{beside}, which should have a line for each row's document, does not exist.{hint}"
        raise InvalidRow(message)
    given = _documents_in(beside)
    if given != matrix.rows:
        compared = "fewer" if given < matrix.rows else "more"
        message = f"the matrix has {matrix.rows:,} rows, but there are {compared} ids: {given:,} lines in {beside}."
        raise InvalidRow(message)
    watch.counted(matrix.rows)
    with beside.open("rb") as lines:
        documents = _documents(lines, beside, fields, watch)
        for start in range(0, matrix.rows, _ROWS_AT_ONCE):
            block = matrix.block(start)
            vectors, wrong = sound_rows(block)
            for at, vector in enumerate(vectors):
                row = next(documents, _ENDED)
                if row is _ENDED:
                    raise _changed(beside)
                if row is not None and at in wrong:
                    watch.refuse(start + at + 1, str(fault_of(block[at])), {**row, str(fields.embedding): vector})
                elif row is not None:
                    yield start + at + 1, row, vector
        if next(documents, _ENDED) is not _ENDED:
            raise _changed(beside)


def _changed(what: object) -> InvalidRow:
    return InvalidRow(f"{what} changed while it was read. Load it again when no program writes to it.")


def documents_beside(path: Path, ids: str | None) -> Path:
    """Return the path of the file with the documents of a matrix."""
    return path.with_suffix(".ids.jsonl") if ids is None else Path(ids)


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A matrix in an open NumPy file, which is read block by block.

    It parses only the header: `numpy.load` also opens archives and pickles, and reading a memory map of a truncated
    file would crash the process.
    """

    file: BinaryIO
    start: int
    rows: int
    width: int
    dtype: np.dtype[Any]
    by_column: bool

    @classmethod
    def of(cls, file: BinaryIO, dimension: int | None) -> Self:
        """Read the header.

        Raises:
            InvalidRow: the header is invalid, not that of a matrix of numbers, or declares more data than the file has.
        """
        shape, by_column, dtype = _header(file)
        whole = all(type(length) is int and length >= 0 for length in shape)
        if len(shape) != 2 or not whole or shape[1] == 0 or (dimension is not None and shape[1] != dimension):
            wanted = "n" if dimension is None else dimension
            message = f"expected a matrix of shape (rows, {wanted}), got one of {shape}."
            raise InvalidRow(message)
        if dtype.kind not in "iuf":
            message = f"expected a matrix of numbers, got one of {dtype}."
            raise InvalidRow(message)
        start = file.tell()
        wanted, there = shape[0] * shape[1] * dtype.itemsize, file.seek(0, os.SEEK_END) - start
        if wanted > there:
            message = f"not a matrix in NumPy's format: its header states {wanted:,} bytes, but {there:,} follow."
            raise InvalidRow(message)
        return cls(file, start, *shape, dtype, by_column)

    def block(self, first: int) -> Any:
        """Return a block of rows, starting with `first`.

        Raises:
            InvalidRow: the file no longer contains them.
        """
        rows = min(_ROWS_AT_ONCE, self.rows - first)
        if not self.by_column:
            return self._read(first * self.width, rows * self.width).reshape(rows, self.width)
        return np.stack([self._read(column * self.rows + first, rows) for column in range(self.width)], axis=1)

    def _read(self, first: int, count: int) -> Any:
        self.file.seek(self.start + first * self.dtype.itemsize)
        read = self.file.read(count * self.dtype.itemsize)
        if len(read) < count * self.dtype.itemsize:
            raise _changed(path_of(self.file))
        return np.frombuffer(read, self.dtype)


def _header(file: BinaryIO) -> tuple[tuple[Any, ...], bool, np.dtype[Any]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        if version not in readers:
            message = f"version {version} is not supported for a matrix of numbers."
            raise InvalidRow(message)
        return readers[version](file)
    except (ValueError, TypeError, SyntaxError, TokenError) as error:
        message = f"not a matrix in NumPy's format: {_first_line(error)}."
        raise InvalidRow(message) from error


def _first_line(error: Exception) -> str:
    return str(error.args[0] if error.args else error).partition("\n")[0].rstrip(".")


def _documents_in(beside: Path) -> int:
    with beside.open("rb") as lines:
        return sum(1 for line in lines if line.strip() or not _is_jsonl(beside))


def _is_jsonl(path: Path) -> bool:
    return path.suffix.lower() in {".jsonl", ".ndjson"}


def _documents(lines: Iterable[bytes], path: Path, fields: Fields, watch: Watch) -> Iterator[dict[str, Any] | None]:
    """Yield the document of each row, or None for a rejected one."""
    texts = (line for line in decoded(lines, watch.errors) if line.strip() or not _is_jsonl(path))
    for number, line in enumerate(texts, 1):
        if _is_jsonl(path):
            yield json_row(number, line, watch)
        elif id_ := line.rstrip("\r\n"):
            yield {fields.id or "id": id_, fields.content: ""}
        else:
            watch.refuse(number, f"there is no id in {path}.", "")
            yield None
