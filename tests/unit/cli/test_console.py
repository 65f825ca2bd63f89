"""What is printed for a person: nothing that a document or a name makes the terminal do."""

from __future__ import annotations

import re
import sys
from functools import partial

import pytest
from pydantic import SecretStr

from rowspace import Finding
from rowspace.cli.console import print_hits, print_rows
from rowspace.cli.demo import _what_next
from rowspace.cli.doctor import _print
from rowspace.cli.index import _bar
from rowspace.cli.process import say
from rowspace.cli.search import _print as _print_hits
from rowspace.cli.settings import Settings
from rowspace.diagnosis import BuildProgress
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


@pytest.mark.parametrize(
    ("mode", "measures"),
    [("vector", "distance similarity"), ("text", "text_rank"), ("hybrid", "score distance text_rank")],
)
def test_hits_have_the_measures_of_their_search(shown, mode, measures):
    hit = SearchHit(rank=1, id="a", content="b", metadata={}, distance=0.5)
    found = " ".join(shown(partial(_print_hits, as_json=False), [hit], mode).split())
    assert found.startswith(f"{measures} id text ")


def test_rows(shown):
    assert WRITTEN in shown(print_rows, ["name"], [[HOSTILE]])


def test_findings(shown):
    assert shown(_print, [Finding("index", "warning", "the index", HOSTILE, HOSTILE, HOSTILE)]).count(WRITTEN) == 3


def test_what_is_said(capsys):
    say(f"ein Wörtchen\tund 中文\n{HOSTILE}")
    assert capsys.readouterr().err == f"ein Wörtchen\tund 中文\n{WRITTEN}\\rf\n"


def test_a_bar_keeps_out_of_what_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with _bar() as show:
        show(BuildProgress("ix_big", "loading tuples", 50.0, 1.0))
    printed = capsys.readouterr()
    assert (printed.out, "ix_big: loading tuples" in printed.err) == ("", True)


@pytest.mark.parametrize("is_terminal", [False, True], ids=["no terminal", "a dumb one"])
def test_where_no_bar_can_move_a_phase_is_a_line(monkeypatch, capsys, is_terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.setenv("TERM", "dumb")
    with _bar() as show:
        for phase, percent in (("loading tuples", 5.0), ("loading tuples", 50.0), ("waiting", None)):
            show(BuildProgress("ix_big", phase, percent, 1.0))
    assert capsys.readouterr().err == "ix_big: loading tuples\nix_big: waiting\n"


@pytest.mark.parametrize(("url", "is_asked_for"), [(None, False), ("postgresql://host/name", True)])
def test_the_demo_says_what_its_commands_need(monkeypatch, capsys, url, is_asked_for):
    monkeypatch.delenv("ROWSPACE_DATABASE_URL", raising=False)
    _what_next(Settings().overridden(database_url=url and SecretStr(url)), "[b]demo")
    printed = capsys.readouterr().out
    assert ("the same --url" in printed) is is_asked_for
    # No markup of rich's.
    assert printed.count("--collection '[b]demo'") == 3
