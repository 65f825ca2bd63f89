"""SQL LIKE patterns as the regular expressions of PostgreSQL, for jsonpath's `like_regex` with its flag `s`."""

from __future__ import annotations

import re

# Adjacent `%` and `_` are combined, because `.*..*.` costs the regex compiler far more than `...*`.
_TOKEN = re.compile(r"\\(?P<escaped>.)|(?P<wildcards>[%_]+)|(?P<plain>.)", re.DOTALL)
_METACHARACTERS = frozenset(r".^$*+?()[]{}|\\")


def ends_in_escape(pattern: str) -> bool:
    """Return whether the last backslash escapes nothing, which is an error in LIKE."""
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


def to_regex(pattern: str) -> str:
    """Return the anchored regular expression that matches the same strings as the LIKE pattern."""
    return "^" + "".join(_translated(token) for token in _TOKEN.finditer(pattern)) + "$"


def _translated(token: re.Match[str]) -> str:
    if wildcards := token["wildcards"]:
        return "." * wildcards.count("_") + (".*" if "%" in wildcards else "")
    character = token["escaped"] or token["plain"]
    return f"\\{character}" if character in _METACHARACTERS else character
