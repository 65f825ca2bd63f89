"""Write and read a million rows, and measure the memory of the client: `python -m benchmarks.million`.

A generator creates the rows on demand, with random vectors, because the subject is the memory of the client, not the
results of searches. The only index is that of the primary key. The commands `rowspace export` and `rowspace ingest`
write and read the files, in this process.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from typer.main import get_command

from benchmarks.database import open_database
from benchmarks.memory import forget_peak, memory
from rowspace import Collection, CollectionRepository, Database, DocumentRepository, MatrixRepository
from rowspace.cli.app import app

#: How many vectors are created at once.
_BLOCK = 10_000


def main() -> None:
    """Load, stream back, export, ingest and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--directory", help="where the Parquet file goes, 1.6 kB a row")
    options = parser.parse_args()
    with open_database() as database, tempfile.TemporaryDirectory(dir=options.directory) as directory:
        with database.begin() as session:
            collection = CollectionRepository(session).create("million", options.dimension, index=None)
            CollectionRepository(session).create("million by file", options.dimension, index=None)
        file = Path(directory) / "million.parquet"
        _measure("load", lambda: _load(database, collection, options.rows, options.dimension))
        _measure("stream", lambda: _stream(database, collection))
        _measure("export to Parquet", lambda: _export(database, file))
        print(f"  {file.stat().st_size / 1e6:,.0f} MB")
        _measure("ingest of Parquet", lambda: _ingest(database, file))
        _check(database, options.rows)


def _load(database: Database, collection: Collection, rows: int, dimension: int) -> int:
    with database.begin() as session:
        return DocumentRepository(session, collection).upsert(_rows(rows, dimension)).written


def _stream(database: Database, collection: Collection) -> int:
    with database.session() as session, MatrixRepository(session, collection).stream() as parts:
        return sum(len(part.keys) for part in parts)


def _export(database: Database, file: Path) -> int:
    _rowspace(database, "export", "million", str(file))
    return _rows_in(file)


def _ingest(database: Database, file: Path) -> int:
    _rowspace(database, "ingest", str(file), "-c", "million by file", "--embedding", "embedding", "--no-indexes")
    return _rows_in(file)


def _rows_in(file: Path) -> int:
    with pq.ParquetFile(file) as written:
        return int(written.metadata.num_rows)


def _check(database: Database, rows: int) -> None:
    """Raise an error if rows were lost on the way."""
    with database.session() as session:
        found = DocumentRepository(session, CollectionRepository(session).get("million by file")).count()
    if found != rows:
        message = f"{rows:,} rows went out, and {found:,} came in."
        raise RuntimeError(message)


def _rowspace(database: Database, *arguments: str) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    get_command(app).main(["--url", url, *arguments], prog_name="rowspace", standalone_mode=False)


def _rows(count: int, dimension: int) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(1)
    for start in range(0, count, _BLOCK):
        block = random.standard_normal((min(_BLOCK, count - start), dimension), np.float32)
        for number, vector in enumerate(block, start):
            yield {"id": f"row-{number:07d}", "content": f"The text of row {number}.", "embedding": vector}


def _measure(name: str, work: Callable[[], int]) -> None:
    """Print the number of rows, the rate, and the peak of the client's memory."""
    base, began = forget_peak(), perf_counter()
    rows = work()
    seconds, peak = perf_counter() - began, memory("VmHWM")
    print(f"{name}: {rows:,} rows in {seconds:.0f} s, {rows / seconds:,.0f} a second; "
          f"peak of the client {peak:.0f} MB, of which {peak - base:.0f} MB for this", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
