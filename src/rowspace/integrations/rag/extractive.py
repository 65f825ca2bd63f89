"""An answer without a model: the sentences of the sources that are most similar to the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rowspace.distance import Distance
from rowspace.integrations.rag.models import Source
from rowspace.integrations.rag.sentences import is_whole, sentences
from rowspace.ranking import mmr, similarities

__all__ = ["NOTICE", "Candidate", "candidates", "chosen"]

#: The notice for the reader of such an answer.
NOTICE = "This answer is extractive: it quotes sentences of the sources. No language model is configured."

# Each sentence is embedded, so this bounds the cost of a question.
_MOST_SENTENCES = 200
_LONGEST = 600


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence and the number of its source."""

    number: int
    sentence: str


def candidates(sources: Sequence[Source]) -> list[Candidate]:
    """Return up to 200 distinct sentences of the sources, best source first; headings only if there is nothing else."""
    seen: dict[str, Candidate] = {}
    for source in sources:
        for sentence in sentences(source.content):
            short = sentence if len(sentence) <= _LONGEST else sentence[: _LONGEST - 2] + " …"
            seen.setdefault(short, Candidate(source.number, short))
    whole = [one for one in seen.values() if is_whole(one.sentence)]
    return (whole or list(seen.values()))[:_MOST_SENTENCES]


def chosen(given: Sequence[Candidate], query: Any, vectors: Any, count: int) -> list[Candidate]:
    """Return the sentences most similar to the question, without repetition, best first.

    A sentence less than half as similar as the best one is omitted.

    Args:
        given: the sentences.
        query: the vector of the question, of shape (n,).
        vectors: the vectors of the sentences, of shape (sentences, n).
        count: the number of sentences.
    """
    rows = np.asarray(vectors, np.float64)
    relevance = similarities(np.asarray(query, np.float64), rows, distance=Distance.COSINE)
    order = mmr(relevance.tolist(), [*rows], count, distance=Distance.COSINE, lambda_mult=0.8)
    least = 0.5 * float(relevance.max())
    good = [index for index in order if relevance[index] >= least] or order[:1]
    return [given[index] for index in good]
