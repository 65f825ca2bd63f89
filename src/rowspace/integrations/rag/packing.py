"""Which passages the model is shown: as many as fit into the budget, best first, the last one cut at a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rowspace.integrations.rag.models import Source
from rowspace.integrations.rag.sentences import sentence_spans
from rowspace.services import SearchHit

__all__ = ["TokenCounter", "pack"]

TokenCounter = Callable[[str], int]

# Less of a passage than this says nothing.
_LEAST = 24
# Characters beyond a cut that are looked at.
_AFTER = 100


def pack(hits: Sequence[SearchHit], budget: int, count: TokenCounter) -> list[Source]:
    """Return the hits as numbered sources whose contents are at most `budget` tokens together.

    The first that does not fit is cut, after a sentence where one ends in its second half, and is the last. Empty
    ones are left out, and so is the same text a second time.

    Args:
        hits: best first.
        budget: tokens.
        count: how many tokens a text is.
    """
    sources: list[Source] = []
    left, seen = budget, set[str]()
    for hit in hits:
        content = hit.content.strip()
        if not content or content in seen:
            continue
        seen.add(content)
        size = count(content)
        kept = content if size <= left else _cut(content, left, count)
        if kept:
            sources.append(_source(len(sources) + 1, hit, kept, truncated=kept != content))
        if kept != content:
            break
        left -= size
    return sources


def _cut(content: str, left: int, count: TokenCounter) -> str:
    if left < _LEAST:
        return ""
    # The longest prefix that fits, by halving: a counter need not be linear, but it grows.
    low, high = 0, len(content)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(content[:middle]) <= left else (low, middle - 1)
    # What follows tells whether a sentence ends; the rest of a book does not.
    ends = [end for _, end in sentence_spans(content[: low + _AFTER]) if low // 2 < end <= low]
    return content[: ends[-1] if ends else low].rstrip()


def _source(number: int, hit: SearchHit, content: str, *, truncated: bool) -> Source:
    return Source(
        number=number,
        id=hit.id,
        content=content,
        metadata=hit.metadata,
        distance=hit.distance,
        similarity=hit.similarity,
        score=hit.score if hit.score is not None else hit.text_rank,
        truncated=truncated,
    )
