"""Convert the input of a search box to text for `websearch_to_tsquery` over spaced characters.

PostgreSQL's parser reads a run of Chinese, Japanese or Korean characters as one word. `rowspace.statements.text` puts
spaces around each of these characters before indexing. This module does the same to the query, so that a run becomes a
phrase.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby

__all__ = ["CHARACTERS", "character_runs", "spaced", "web_query", "without_excluded"]

#: Characters that are separate words, as a class for regular expressions of both PostgreSQL and Python: CJK radicals to
#: Yi, Hangul, compatibility forms, full and half widths, and the supplementary ideographs.
CHARACTERS = r"[\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003fffd]"
_CHARACTER = re.compile(CHARACTERS)

#: A phrase with its closing quote, or a word; both with preceding minus signs.
_TOKEN = re.compile(r'(?P<minus>-*)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"-][^\s"]*))|-+')

#: Consecutive minus signs, which become one: with more than 32, PostgreSQL fails with "tsquery stack too small".
_MINUSES = re.compile(r'(?<![^\s"])-(?:\s*-)+')

#: Quotes and minus signs of other keyboards.
_TYPED = str.maketrans(dict.fromkeys("“”„\uff02「」『』«»", '"') | {"\uff0d": "-", "\0": " "})


def spaced(text: str) -> str:
    """Return text with spaces around every character that is a separate word."""
    return _CHARACTER.sub(r" \g<0> ", text)


def web_query(text: str) -> str:
    """Return a query in the syntax of `websearch_to_tsquery`, which accepts any query of up to 1,000 characters.

    `"a phrase"`, `or` and `-without` keep their meaning. A run of CJK characters becomes a phrase, also inside a word:
    `PG数据库` searches for `PG` and for 数据库. Typographic and corner quotes count as quotes, NUL as a space, and a
    lone surrogate as `?`, since PostgreSQL stores neither.
    """
    typed = _typed(text)
    if not _CHARACTER.search(typed):
        return typed
    return " ".join(part for token in _TOKEN.finditer(typed) for part in _parts(token))


def character_runs(text: str) -> list[str]:
    """Return the runs of CJK characters in a query as they are written, without excluded ones."""
    asked = [token["phrase"] or token["word"] or "" for token in _TOKEN.finditer(_typed(text)) if not token["minus"]]
    return ["".join(run) for part in asked for kind, run in groupby(part, _kind) if kind == "character"]


def without_excluded(text: str) -> str:
    """Return a query without the words and phrases that it excludes, for marking matches of the others."""
    # An empty phrase in their place preserves the operators: an `or` at the start would be a word.
    return " ".join('""' if token["minus"] else token[0] for token in _TOKEN.finditer(_typed(text)))


def _typed(text: str) -> str:
    return _MINUSES.sub("-", text.translate(_TYPED).encode("utf-8", "replace").decode())


def _parts(token: re.Match[str]) -> Iterator[str]:
    minus, phrase, word = "-" if token["minus"] else "", token["phrase"], token["word"]
    if phrase is not None:
        yield f'{minus}"{spaced(phrase)}"'
    elif word is None:
        return
    elif not _CHARACTER.search(word):
        yield minus + word
    elif minus:
        # The whole word is excluded, as one phrase, because a minus applies to a single phrase.
        yield f'-"{" ".join(_runs(word))}"'
    else:
        # Quoted, so that an `or` or a minus between two characters is not an operator.
        yield from (f'"{run}"' for run in _runs(word))


def _runs(word: str) -> Iterator[str]:
    """Yield the parts of a word: runs of spaced characters, runs of others, without CJK punctuation."""
    for kind, characters in groupby(word, _kind):
        run = "".join(characters)
        if kind == "character":
            yield " ".join(run)
        elif kind == "other":
            yield run


def _kind(character: str) -> str:
    if not _CHARACTER.match(character):
        return "other"
    # Not by the category of letters: this version of Python may not know the newest ideographs.
    category = unicodedata.category(character)
    return "punctuation" if category[0] in "PZ" or category in {"Cc", "Cf"} else "character"
