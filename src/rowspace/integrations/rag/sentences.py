"""Split Latin, Chinese and Japanese text into sentences, and estimate the number of tokens."""

from __future__ import annotations

import re

__all__ = ["approximate_tokens", "is_whole", "sentence_spans", "sentences"]

# A CJK mark ends a sentence anywhere. A Latin one does so before white space or the end, after closing quotes and
# brackets. An empty line always ends one, because a heading or paragraph precedes it, and so does a new list item.
# A run of marks is matched only from its start. Trying each mark of it would take quadratic time.
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
# Abbreviations are at most this long. The search looks back no farther, because an index ("p. 7, p. 9") has many.
_LONGEST = 10
_ITEM = re.compile(r"\s*\d+")
_WHOLE = re.compile(r"[.!?…。！？｡][\"'”’)\]」』）》]*$")
_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the start and end of each sentence, without the white space between them."""
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
    """Return whether a sentence is complete, unlike a heading or a fragment."""
    return _WHOLE.search(sentence) is not None


def approximate_tokens(text: str) -> int:
    """Estimate the number of tokens of a text: one per CJK character, one per four other characters."""
    wide = len(_CJK.findall(text))
    return wide + -(-(len(text) - wide) // 4)


def _is_abbreviation(text: str, start: int, match: re.Match[str]) -> bool:
    """Return whether a period belongs to an abbreviation, an initial or the number of a list item."""
    if match[0] != "." or match.end() == len(text):
        return False
    if _ITEM.fullmatch(text, start, match.start()):
        return True
    return _ABBREVIATION.search(text, max(start, match.end() - _LONGEST), match.end()) is not None


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
