"""Where a sentence ends, in Latin and in Chinese or Japanese text, and how long a text is in tokens, roughly."""

from __future__ import annotations

import re

__all__ = ["approximate_tokens", "is_whole", "sentence_spans", "sentences"]

# A mark of CJK text ends a sentence wherever it stands; a Latin one where a space or the end follows, closing quotes
# and brackets included. An empty line always does: what stands above it is a heading or a paragraph. So does a new item
# of a list. A run of marks is looked at from its beginning alone: from each of them would be its length squared.
_END = re.compile(
    r"[。！？｡]+[”’」』）》]*"
    r"|(?<![.!?…])[.!?…]++[\"'”’)\]]*(?=\s|$)"
    r"|\n\s*\n"
    r"|\n(?=\s*(?:[-*•]|\d{1,3}[.)])\s)"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|approx|vol|fig|dr|mr|mrs|ms|prof|jr|sr|inc|ltd|z\.B|u\.a|bzw|ca)|\b[A-Z])\.$",
    re.IGNORECASE,
)
# It looks back no farther than this: many of them may follow each other, as in an index ("p. 7, p. 9").
_LONGEST = 10
_ITEM = re.compile(r"\s*\d+")
_WHOLE = re.compile(r"[.!?…。！？｡][\"'”’)\]」』）》]*$")
_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return where each sentence begins and ends; white space between them belongs to none."""
    spans, start = [], 0
    for match in _END.finditer(text):
        if _is_abbreviation(text, start, match):
            continue
        spans.append((start, match.end()))
        start = match.end()
    spans.append((start, len(text)))
    return [trimmed for trimmed in (_trimmed(text, *span) for span in spans) if trimmed[0] < trimmed[1]]


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, each on one line."""
    return [" ".join(text[start:end].split()) for start, end in sentence_spans(text)]


def is_whole(sentence: str) -> bool:
    """Tell a sentence that ends as one from a heading or a scrap."""
    return _WHOLE.search(sentence) is not None


def approximate_tokens(text: str) -> int:
    """Return about how many tokens a text is: one a CJK character, one each four of the others."""
    wide = len(_CJK.findall(text))
    return wide + -(-(len(text) - wide) // 4)


def _is_abbreviation(text: str, start: int, match: re.Match[str]) -> bool:
    """Tell the point of an abbreviation, of an initial, or of the number of an item from a full stop."""
    if match[0] != "." or match.end() == len(text):
        return False
    if _ITEM.fullmatch(text, start, match.start()):
        return True
    return _ABBREVIATION.search(text, max(start, match.end() - _LONGEST), match.end()) is not None


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
