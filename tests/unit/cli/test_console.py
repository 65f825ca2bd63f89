"""What is printed for a person: nothing that a document or a name makes the terminal do."""

from __future__ import annotations

import re
import sys

import pytest

from rowspace import Finding
from rowspace.cli.console import print_hits, print_rows
from rowspace.cli.doctor import _print
from rowspace.cli.process import say
from rowspace.services import SearchHit

# Clears the screen, sets the title and the clipboard, begins a sequence in one byte.
HOSTILE = "a\x1b[2Jb\x1b]0;title\x07c\x1b]52;c;eA==\x07d\x9b31me\x7f\rf"
WRITTEN = r"a\x1b[2Jb\x1b]0;title\x07c\x1b]52;c;eA==\x07d\x9b31me\x7f"


CONTROLS = {*map(chr, (*range(9), *range(11, 32), *range(127, 160)))}


@pytest.fixture
def shown(monkeypatch, capsys):
    """Return what a function prints on a terminal."""
    for name, value in {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)

    def run(print_it, *arguments) -> str:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        print_it(*arguments)
        # The heads of columns are bold.
        text = re.sub(r"\x1b\[[01]m", "", capsys.readouterr().out)
        assert not {*text} & CONTROLS
        return text

    return run


def test_hits(shown):
    hit = SearchHit(rank=1, id=HOSTILE, content=HOSTILE, metadata={}, distance=0.5)
    assert shown(print_hits, [hit], lambda hit: hit.content).count(WRITTEN) == 2


def test_rows(shown):
    assert WRITTEN in shown(print_rows, ["name"], [[HOSTILE]])


def test_findings(shown):
    assert shown(_print, [Finding("index", "warning", "the index", HOSTILE, HOSTILE, HOSTILE)]).count(WRITTEN) == 3


def test_what_is_said(capsys):
    say(f"ein Wörtchen\tund 中文\n{HOSTILE}")
    assert capsys.readouterr().err == f"ein Wörtchen\tund 中文\n{WRITTEN}\\rf\n"
