r"""How a docstring is worded for search: of several layouts the one that put the obvious answers first.

A name is one word to the model until it is split into words, abbreviations mean less to it than the words they stand
for, and what stands in parentheses or after the first paragraph draws the vector away from what a thing is for.
Tried on 36 questions in English, Chinese and French with the docstrings of CPython 3.11: 32 have an expected answer
among the first five hits. With the first paragraph as it stands it were 23, with the whole docstring still fewer.
"""

from __future__ import annotations

import re

__all__ = ["searchable"]

_WORDS = {
    "arg": "argument", "args": "arguments", "async": "asynchronous", "attr": "attribute", "bool": "boolean",
    "char": "character", "chars": "characters", "cls": "class", "dict": "dictionary", "dir": "directory",
    "dirs": "directories", "dst": "destination", "dumps": "dump to string", "env": "environment",
    "fd": "file descriptor", "fp": "file", "func": "function", "iff": "if and only if", "init": "initialize",
    "int": "integer", "len": "length", "loads": "load from string", "msg": "message", "num": "number",
    "obj": "object", "param": "parameter", "pid": "process id", "re": "regular expression",
    "regex": "regular expression", "repr": "representation", "seq": "sequence", "src": "source",
    "stdin": "standard input", "stdout": "standard output", "str": "string", "sub": "substitute",
}  # fmt: skip
_ABBREVIATION = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b")
_PARENTHESES = re.compile(r"\s*\([^()]*\)")
_SENTENCE_END = re.compile(r"(?<=[.:;])\s")
# "D.pop(k[,d]) -> v, remove ..." and "abs(x, /)\n--\n...": functions in C have their signature in their docstring.
_SIGNATURE = re.compile(r".*?(?:->\s*[^.\n]*?[.\n]|--|[.:]\s|\n\n|$)", re.DOTALL)
_LONGEST = 150


def searchable(name: str, docstring: str) -> str:
    """Return the text of a document: the name and what it is for; on a second line the name in words, twice."""
    paragraph = " ".join(_without_signature(name, docstring).partition("\n\n")[0].split())
    text = _first_sentences(_without_parentheses(paragraph.translate(_NO_MARKUP)))
    words = _spelled_out(_split(name))
    return f"{name}: {_spelled_out(text)}\n{words}. {words}."


_NO_MARKUP = str.maketrans("", "", "`*")


def _split(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace(".", " ").replace("_", " ")


def _spelled_out(text: str) -> str:
    return _ABBREVIATION.sub(lambda match: _WORDS[match[0]], text)


def _without_signature(name: str, docstring: str) -> str:
    last = re.escape(name.rpartition(".")[2])
    if not re.match(rf"(?:\w+\.)?{last}\(", docstring):
        return docstring
    match = _SIGNATURE.match(docstring)
    return (docstring[match.end() :].strip() if match else "") or docstring


def _without_parentheses(text: str) -> str:
    shorter = _PARENTHESES.sub("", text)
    return shorter if shorter == text else _without_parentheses(shorter)


def _first_sentences(text: str) -> str:
    first, *others = _SENTENCE_END.split(text)
    for sentence in others:
        if len(first) + len(sentence) > _LONGEST:
            break
        first = f"{first} {sentence}"
    return first[:_LONGEST]
