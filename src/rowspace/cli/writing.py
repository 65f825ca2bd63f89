"""Convert columns of documents to JSON Lines, CSV or a matrix. Nothing here needs a database."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from rowspace.integrations._ingest.formats import Format
from rowspace.integrations._progress import Advance
from rowspace.vectors import to_text
from rowspace.wire.columns import RawColumn

__all__ = ["write_lines", "write_matrix"]

Part = Mapping[str, RawColumn]


def write_lines(
    out: BinaryIO,
    format_: Format,
    parts: Iterable[Part],
    *,
    dimension: int,
    embeddings: bool,
    advance: Advance,
) -> int:
    """Write documents as UTF-8, part by part, and return their number.

    Metadata is a JSON object and an embedding a JSON array; in CSV, both are text. An empty CSV file has a header.
    """
    delimiter = "\t" if format_ is Format.TSV else ","
    if format_ is not Format.JSONL:
        out.write(_csv([["id", "content", "metadata", *(["embedding"] if embeddings else [])]], delimiter))
    rows = 0
    for part in parts:
        if format_ is Format.JSONL:
            out.writelines(_json_lines(part, dimension))
        else:
            # Up to Python 3.12, the csv module does not quote a carriage return, and then cannot read its own output.
            returns = any(b"\r" in part[name].data for name in ("id", "content"))
            out.write(_csv(_rows(part, dimension), delimiter, csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL))
        rows += len(part["id"])
        advance(rows)
    return rows


def write_matrix(matrix: BinaryIO, lines: BinaryIO, parts: Iterable[Part], *, dimension: int, advance: Advance) -> int:
    """Write embeddings as a float32 matrix in NumPy's format, and their documents as JSON Lines to another file."""
    rows = 0
    _npy_header(matrix, rows, dimension)
    for part in parts:
        matrix.write(part["embedding"].matrix(dimension).astype("<f4").tobytes())
        lines.writelines(_json_lines({name: part[name] for name in part if name != "embedding"}, dimension))
        rows += len(part["id"])
        advance(rows)
    # The number of rows is known only now. NumPy pads the header, so the real one fits in its place.
    matrix.seek(0)
    _npy_header(matrix, rows, dimension)
    return rows


def _npy_header(out: BinaryIO, rows: int, dimension: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(out, header)


def _rows(part: Part, dimension: int) -> Iterator[Sequence[str | None]]:
    """Yield the id, the content, the metadata as JSON text, and the embedding, if included, as JSON text."""
    columns: list[Iterable[str | None]] = [part[name].texts() for name in ("id", "content", "meta")]
    if "embedding" in part:
        columns.append(map(_json_array, part["embedding"].matrix(dimension)))
    return zip(*columns, strict=True)


def _json_array(vector: NDArray[np.float32]) -> str:
    # A JSON parser reads -0 as an integer and loses its sign.
    return to_text(vector).replace("-0,", "-0.0,").replace("-0]", "-0.0]")


def _json_lines(part: Part, dimension: int) -> Iterator[bytes]:
    for id_, content, metadata, *embedding in _rows(part, dimension):
        vector = f', "embedding": {embedding[0]}' if embedding else ""
        text = f'"id": {_quoted(id_)}, "content": {_quoted(content)}, "metadata": {metadata}'
        yield f"{{{text}{vector}}}\n".encode()


_quoted = json.JSONEncoder(ensure_ascii=False).encode


def _csv(rows: Iterable[Sequence[str | None]], delimiter: str, quoting: Literal[0, 1] = csv.QUOTE_MINIMAL) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=quoting).writerows(rows)
    return text.getvalue().encode()
