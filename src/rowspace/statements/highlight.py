"""Mark the matches in a text: `ts_headline` over spaced characters, and the conversion of its result.

`ts_headline` knows only words, omits what looks like a tag, and escapes nothing. The text passed to it therefore has
control characters instead of `<`, `>` and `&` and around CJK characters, which `Marker` removes again.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, func, literal_column

from rowspace.errors import InvalidSetting
from rowspace.settings import is_whole
from rowspace.statements.identifiers import constant
from rowspace.statements.websearch import CHARACTERS, character_runs, web_query, without_excluded

__all__ = ["HIGHLIGHT", "MARKED", "Highlight", "Marker", "headline"]

#: The label of the marked text, and the names of the parameters with the options of `ts_headline` and with the query of
#: the words to mark.
HIGHLIGHT, HEADLINE, MARKED = "rowspace_highlight", "rowspace_headline", "rowspace_marked"

_SPACE, _START, _STOP, _CUT = "\x01", "\x02", "\x03", "\x07"
_TO_PLAIN = str.maketrans({"\x04": "<", "\x05": ">", "\x06": "&"})
_MARKED_CHARACTER = re.compile(f"{_START}({CHARACTERS}){_STOP}")


@dataclass(frozen=True, slots=True)
class Highlight:
    """How to excerpt and mark a text.

    Args:
        start: inserted before a matching word.
        stop: inserted after it.
        max_words: maximum number of words in an excerpt; a CJK character counts as a word.
        min_words: minimum number of words in an excerpt; less than `max_words`.
        fragments: maximum number of excerpts; 0 for a single excerpt around the best match.
        escape: whether to escape the text for HTML, except `start` and `stop`.
    """

    start: str = "<mark>"
    stop: str = "</mark>"
    max_words: int = 60
    min_words: int = 25
    fragments: int = 0
    escape: bool = True

    def __post_init__(self) -> None:
        numbers = (self.min_words, self.max_words, self.fragments)
        are_whole = all(is_whole(number, 0, 10_000) for number in numbers)
        if not (are_whole and 0 < self.min_words < self.max_words and self.fragments <= 100):
            message = (
                "A highlight needs 0 < min_words < max_words <= 10000 and fragments from 0 to 100, got "
                f"min_words={self.min_words!r}, max_words={self.max_words!r}, fragments={self.fragments!r}."
            )
            raise InvalidSetting(message)

    @property
    def options(self) -> str:
        """The options of `ts_headline`, in its syntax."""
        return (
            f"MaxWords={self.max_words:d}, MinWords={self.min_words:d}, MaxFragments={self.fragments:d}, ShortWord=0, "
            f'StartSel="{_START}", StopSel="{_STOP}", FragmentDelimiter="{_CUT}"'
        )


class Marker:
    """Converts the result of `headline` to readable text, for one query.

    Args:
        highlight: how to mark.
        text: the query as the user wrote it.
    """

    def __init__(self, highlight: Highlight, text: str) -> None:
        self._highlight = highlight
        # `ts_headline` also marks excluded words, which a row can contain if it matches by an `or` or by its vector.
        self._query = web_query(without_excluded(text))
        # `ts_headline` marks each character of a run, wherever it occurs; only the whole run is to be marked.
        runs = sorted(set(character_runs(text)), key=len, reverse=True)
        self._runs = re.compile("|".join(r"\W*".join(map(re.escape, run)) for run in runs)) if runs else None

    @property
    def parameters(self) -> dict[str, str]:
        """The values for the parameters of `headline`."""
        return {HEADLINE: self._highlight.options, MARKED: self._query}

    def render(self, marked: str) -> str:
        """Return the result of `headline` as readable text."""
        text = _MARKED_CHARACTER.sub(r"\1", marked.replace(_SPACE, ""))
        if self._runs is not None:
            text = self._runs.sub(rf"{_START}\g<0>{_STOP}", text)
        text = text.replace(_STOP + _START, "").translate(_TO_PLAIN)
        style = self._highlight
        safe = html.escape(text) if style.escape else text
        return safe.replace(_START, style.start).replace(_STOP, style.stop).replace(_CUT, " … ")


def headline(
    document: ColumnElement[Any], configuration: ColumnElement[Any], query: ColumnElement[Any]
) -> ColumnElement[str]:
    """Return an excerpt of a text with control characters around matches, for `Marker.render`.

    Costs as much as the tsvector of the text: select it only for the rows to return, not for all that are ranked.
    """
    plain = func.translate(document, literal_column(r"E'<>&\x01\x02\x03\x04\x05\x06\x07'"), _escaped("04", "05", "06"))
    pattern = literal_column(constant(CHARACTERS), Text())
    spaced = func.regexp_replace(plain, pattern, literal_column(r"E'\x01\\&\x01'"), literal_column("'g'"))
    options = bindparam(HEADLINE, type_=Text())
    return func.ts_headline(configuration, spaced, query, options, type_=Text()).label(HIGHLIGHT)


def _escaped(*codes: str) -> ColumnElement[str]:
    return literal_column("E'{}'".format("".join(rf"\x{code}" for code in codes)))
