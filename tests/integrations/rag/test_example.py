"""The example runs with one command, on a server that it starts itself."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from rowspace.testing import HashingEmbedder

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "rag"

TEA = "# Tea\n\nTea is made with hot water. It draws for three minutes.\n\n## Green tea\n\nGreen tea is bitter.\n"
ROWS = "# Rows\n\nPostgreSQL stores rows.\n\n## Nothing\n\n# Vectors\n\nA vector index is built by CREATE INDEX.\n"
PAGES = {"tea.md": TEA, "db/rows.md": ROWS}


@pytest.fixture
def pages(tmp_path):
    for name, text in PAGES.items():
        path = tmp_path / "pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path / "pages"


def test_one_command(pages):
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as directory:
        nowhere = {"ROWSPACE_DATABASE_URL": "", "ROWSPACE_DATA_DIR": f"{directory}/pg"}
        done = subprocess.run(
            [sys.executable, EXAMPLE, "--docs", pages, "How long does tea draw?"],
            env={**os.environ, **nowhere},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("4 sections, 4 of them new or changed, 0 deleted.\n")
    assert "It draws for three minutes. [1]" in done.stdout
    assert "This answer is extractive" in done.stdout
    assert "[1] tea.md: Tea" in done.stdout


@pytest.fixture
def main(pages, new_database, monkeypatch):
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", new_database())
    example = runpy.run_path(str(EXAMPLE / "__main__.py"))["main"]
    monkeypatch.setitem(example.__globals__, "LocalEmbedder", lambda: HashingEmbedder(128))
    return lambda *arguments: example(["--docs", str(pages), *arguments])


def test_questions_are_asked_for_and_only_changes_are_embedded(main, pages, monkeypatch, capsys):
    asked = iter(["how is a vector index built", ""])
    monkeypatch.setattr("builtins.input", lambda _prompt: next(asked))
    assert main() == 0
    assert "A vector index is built by CREATE INDEX. [1]" in capsys.readouterr().out
    (pages / "tea.md").write_text("# Tea\n\nTea is cold.\n", "utf-8")
    assert main("tea") == 0
    assert "3 sections, 1 of them new or changed, 1 deleted." in capsys.readouterr().out


def test_code_is_left_out_and_rows_of_tables_are_sentences(main, pages, capsys):
    text = "# Tea\n\n| What | Minutes |\n|---|---|\n| black tea draws | five |\n\n```console\n$ tea draws\n```\n"
    (pages / "tea.md").write_text(text, "utf-8")
    assert main("how long does black tea draw") == 0
    shown = capsys.readouterr().out
    assert "black tea draws: five. [1]" in shown
    assert "$ tea" not in shown


def test_a_model_answers(main, monkeypatch, capsys):
    model = GenericFakeChatModel(messages=iter([AIMessage("By hot water [1].")]))
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda _name: model)
    assert main("--model", "fake:model", "how is tea made") == 0
    shown = capsys.readouterr().out
    assert "By hot water [1].\n" in shown
    assert "extractive" not in shown


def test_an_error_is_one_line(main, monkeypatch, capsys):
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    assert main("Why?") == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "secret" not in told
