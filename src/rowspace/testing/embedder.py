"""An embedder for tests: no model, no download, the same vectors on every machine."""

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
# Ranges of Han and kana, which are written without spaces: there a word is about two characters.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]{2,}")


class HashingEmbedder:
    """Hashes words and their character trigrams into unit vectors: texts that share words are near each other.

    It has the methods of LangChain's `Embeddings`. It knows nothing of meaning: for tests and examples only.

    Args:
        dimension: numbers in a vector, at least 1; below about 64, unlike words begin to share places.

    Raises:
        ConfigurationError: the dimension is no whole number of at least 1.
    """

    def __init__(self, dimension: int = 64) -> None:
        if type(dimension) is not int or dimension < 1:
            message = f"A HashingEmbedder takes a dimension of at least 1, got {dimension!r}."
            raise ConfigurationError(message)
        self.dimension = dimension
        #: What is recorded with a collection.
        self.name: str = f"hashing-{dimension}"

    def __repr__(self) -> str:
        return f"HashingEmbedder({self.dimension})"

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector a text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a query, which is that of the same text as a document."""
        vector: list[float] = self._embed(text).tolist()
        return vector

    def _embed(self, text: str) -> NDArray[np.float64]:
        vector = np.zeros(self.dimension)
        counts = Counter(_features(unicodedata.normalize("NFKC", text).casefold()))
        # The root, so that a word that comes often does not drown the others.
        for feature, count in counts.items():
            hashed = _hash(feature)
            vector[hashed % self.dimension] += count**0.5 if hashed >> 63 else -(count**0.5)
        if not vector.any():
            # A text without words, or whose words cancel out: still a vector, as a zero has no cosine distance.
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
    # surrogatepass: a test of bad text must get as far as what refuses it.
    return int.from_bytes(blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
