"""An embedder for tests. It has no model and no download, and returns the same vectors on every machine."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from rowspace.errors import ConfigurationError

__all__ = ["HashingEmbedder"]

_WORD = re.compile(r"\w+")
# Ranges of Han and kana characters, which are written without spaces. A word has about two of them.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]{2,}")


class HashingEmbedder:
    """Hashes words and their character trigrams to unit vectors, so that texts with common words are near each other.

    It has the methods of LangChain's `Embeddings`. It does not capture meaning; use it only for tests and examples.

    Args:
        dimension: the length of a vector, at least 1; below about 64, different words share components.

    Raises:
        ConfigurationError: the dimension is not an integer of at least 1.
    """

    def __init__(self, dimension: int = 64) -> None:
        if type(dimension) is not int or dimension < 1:
            message = f"Expected a dimension of at least 1 for HashingEmbedder, got {dimension!r}."
            raise ConfigurationError(message)
        self.dimension = dimension
        #: The name that a collection records.
        self.name: str = f"hashing-{dimension}"

    def __repr__(self) -> str:
        return f"HashingEmbedder({self.dimension})"

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector per text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a query. A document with the same text has the same vector."""
        vector: list[float] = self._embed(text).tolist()
        return vector

    def _embed(self, text: str) -> NDArray[np.float64]:
        vector = np.zeros(self.dimension)
        counts = Counter(_features(unicodedata.normalize("NFKC", text).casefold()))
        # Use the square root, so that a frequent word does not dominate.
        for feature, count in counts.items():
            hashed = _hash(feature)
            vector[hashed % self.dimension] += count**0.5 if hashed >> 63 else -(count**0.5)
        if not vector.any():
            # The text has no words, or they cancel out. A zero vector would have no cosine distance.
            vector[0] = 1.0
        return vector / np.linalg.norm(vector)


def _features(text: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        yield word
        padded = f"<{word}>"
        yield from (padded[at : at + 3] for at in range(len(padded) - 2))
    for run in _UNSPACED.findall(text):
        yield from (run[at : at + 2] for at in range(len(run) - 1))


@lru_cache(100_000)
def _hash(feature: str) -> int:
    # surrogatepass: tests with invalid text must reach the code that rejects it.
    return int.from_bytes(blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
