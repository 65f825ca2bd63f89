"""Choose the passages for the model: as many as fit into the budget, best first. The last one can be truncated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rowspace.integrations.rag.models import Source
from rowspace.integrations.rag.sentences import sentence_spans
from rowspace.services import SearchHit

__all__ = ["TokenCounter", "pack"]

TokenCounter = Callable[[str], int]

# A shorter passage is not useful.
_LEAST = 24
# How many characters after a cut are inspected.
_AFTER = 100


def pack(hits: Sequence[SearchHit], budget: int, count: TokenCounter) -> list[Source]:
    """Return the hits as numbered sources with at most `budget` tokens together.

    The first hit that does not fit is the last one. It is truncated, after a sentence if one ends in its second half.
    Empty and duplicate texts are skipped.

    Args:
        hits: best first.
        budget: the maximum number of tokens.
        count: counts the tokens of a text.
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
    # Bisect for the longest prefix that fits: token counts grow with the length, but not linearly.
    low, high = 0, len(content)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(content[:middle]) <= left else (low, middle - 1)
        # The text after the cut shows whether a sentence ends there. A few characters suffice.
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
