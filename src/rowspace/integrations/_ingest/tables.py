"""Rows from files that are tables and not lines: Parquet, and a matrix of NumPy's with its documents beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeAlias

import numpy as np

from rowspace.errors import InvalidRow, InvalidVector
from rowspace.integrations._ingest.lines import EMBEDDING, METADATA, Watch, decoded, json_row, whole_metadata
from rowspace.vectors import fault_of, sound_rows

if TYPE_CHECKING:
    from rowspace.integrations._ingest.documents import Fields

__all__ = ["Row", "documents_beside", "matrix_rows", "parquet_rows", "path_of"]

_ROWS_AT_ONCE = 2_000

#: A row's number from 1, its values, and its vector if that is not among them.
Row: TypeAlias = tuple[int, dict[str, Any], Any]


def path_of(file: BinaryIO) -> Path:
    """Return the path of an open file.

    Raises:
        InvalidRow: it is a pipe.
    """
    name = getattr(file, "name", None)
    if not file.seekable() or not isinstance(name, str) or not Path(name).is_file():
        message = "this format is read from a file, not from a pipe."
        raise InvalidRow(message)
    return Path(name)


def parquet_rows(file: BinaryIO, fields: Fields, watch: Watch) -> Iterator[Row]:
    """Yield the rows of a Parquet file, part by part; nulls are left out.

    Raises:
        InvalidRow: it is no such file, or its vectors are none and nobody takes them; the message names the row.
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
        with _explained("the file cannot be read on"):
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
    """The columns of a table of documents: the vectors, where they are lists, apart from all others."""

    def __init__(self, others: list[str], vector: str | None, fields: Fields) -> None:
        from rowspace.integrations._frames.metadata import key_of

        self._others = others
        self._vector = vector
        self._dimension = fields.dimension
        # What is null there is told as null, and not as missing.
        self._named = {fields.content, fields.id}
        keys = {name: key_of(name, {"id", "content", "embedding", METADATA}) for name in others}
        # Keys of the metadata that are called like another column, in what `rowspace export` writes.
        self._inner = {name: key for name, key in keys.items() if name != key and name not in self._named}

    @classmethod
    def of(cls, schema: Any, fields: Fields, watch: Watch) -> Self:
        """Return the columns of a schema.

        Raises:
            InvalidRow: one that is named is missing or comes twice, or is no vector.
        """
        from rowspace.integrations._frames.metadata import is_row_number
        from rowspace.integrations._frames.values import is_text
        from rowspace.integrations._frames.vectors import check_vector_type, is_numbers

        _check_names(schema.names, fields)
        names, vector = [name for name in schema.names if not is_row_number(name)], fields.embedding
        if vector is None and EMBEDDING in names and is_numbers(schema.field(EMBEDDING).type):
            watch.left_out(EMBEDDING)
            names.remove(EMBEDDING)
        # JSON text is read as in any other format.
        if vector is None or is_text(schema.field(vector).type):
            return cls(names, None, fields)
        try:
            check_vector_type(vector, schema.field(vector).type, fields.dimension)
        except InvalidVector as error:
            raise InvalidRow(str(error)) from error
        return cls([name for name in names if name != vector], vector, fields)

    def rows(self, batch: Any, number: int, watch: Watch) -> Iterator[Row]:
        """Yield the rows of a batch, whose first has a number; those with a bad vector are refused."""
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
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        message = f"more than one column is called {repeated[0]!r}."
        raise InvalidRow(message)
    for name, option in ((fields.content, "content"), (fields.id, "id"), (fields.embedding, "embedding")):
        if name is not None and name not in names:
            hint = f" Name the field: --{option} FIELD." if fields.hints else ""
            message = f"there is no {name!r}, only {', '.join(map(repr, names)) or 'nothing'}.{hint}"
            raise InvalidRow(message)


def matrix_rows(file: BinaryIO, fields: Fields, watch: Watch) -> Iterator[Row]:
    """Yield the documents beside a matrix with its rows as their vectors.

    Raises:
        InvalidRow: it is no matrix of numbers, or has another number of rows than there are documents.
    """
    path = path_of(file)
    rows, width = _shape(path, fields.dimension)
    beside = documents_beside(path, fields.ids)
    if not beside.is_file():
        hint = " Name another file: --ids FILE." if fields.hints else ""
        message = f"there is no {beside}, where its documents are, a line for each row.{hint}"
        raise InvalidRow(message)
    given = _documents_in(beside)
    if given != rows:
        compared = "fewer" if given < rows else "more"
        message = f"the matrix has {rows:,} rows, and there are {compared} ids: {given:,} lines in {beside}."
        raise InvalidRow(message)
    watch.counted(rows)
    with beside.open("rb") as lines:
        documents = _documents(lines, beside, fields, watch)
        for start in range(0, rows, _ROWS_AT_ONCE):
            block, wrong = sound_rows(_block(path, start))
            faults = {at: str(fault_of(_block(path, start)[at], dimension=width)) for at in wrong}
            for at, (vector, row) in enumerate(zip(block, documents, strict=False)):
                if row is None:
                    continue
                if at in faults:
                    watch.refuse(start + at + 1, faults[at], {**row, str(fields.embedding): vector})
                else:
                    yield start + at + 1, row, vector


def documents_beside(path: Path, ids: str | None) -> Path:
    """Return the file with the documents of a matrix."""
    return path.with_suffix(".ids.jsonl") if ids is None else Path(ids)


def _shape(path: Path, dimension: int | None) -> tuple[int, int]:
    try:
        # Not read into memory as a whole. allow_pickle is off: a file from elsewhere may run no code.
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        message = f"not a matrix in NumPy's format: {str(error).rstrip('.')}."
        raise InvalidRow(message) from error
    shape = matrix.shape
    if matrix.ndim != 2 or shape[1] == 0 or (dimension is not None and shape[1] != dimension):
        wanted = "n" if dimension is None else dimension
        message = f"expected a matrix of shape (rows, {wanted}), got one of {shape}."
        raise InvalidRow(message)
    if matrix.dtype.kind not in "iuf":
        message = f"expected a matrix of numbers, got one of {matrix.dtype}."
        raise InvalidRow(message)
    return shape[0], shape[1]


def _block(path: Path, start: int) -> Any:
    # A map of its own for each block: pages that were read count as memory of this process until they are unmapped.
    return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[start : start + _ROWS_AT_ONCE])


def _documents_in(beside: Path) -> int:
    with beside.open("rb") as lines:
        return sum(1 for line in lines if line.strip() or not _is_jsonl(beside))


def _is_jsonl(path: Path) -> bool:
    return path.suffix.lower() in {".jsonl", ".ndjson"}


def _documents(lines: Iterable[bytes], path: Path, fields: Fields, watch: Watch) -> Iterator[dict[str, Any] | None]:
    """Yield the document of each row, None for one that is refused."""
    texts = (line for line in decoded(lines, watch.errors) if line.strip() or not _is_jsonl(path))
    for number, line in enumerate(texts, 1):
        if _is_jsonl(path):
            yield json_row(number, line, watch)
        elif id_ := line.rstrip("\r\n"):
            yield {fields.id or "id": id_, fields.content: ""}
        else:
            watch.refuse(number, f"there is no id in {path}.", "")
            yield None
