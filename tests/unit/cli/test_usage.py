"""What is decided before a database is asked: help, usage, hints."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from rowspace.cli.app import app
from rowspace.cli.console import first_line
from rowspace.cli.process import confirm
from rowspace.cli.session import collection_hint
from rowspace.errors import RowspaceError
from rowspace.integrations._progress import plural

ROOT = Path(__file__).resolve().parents[3]


def commands(command, path=()):
    """Yield the words of each command that does something."""
    inner = getattr(command, "commands", {})
    if path and (not inner or command.invoke_without_command):
        yield path
    for name, one in inner.items():
        yield from commands(one, (*path, name))


COMMANDS = list(commands(get_command(app)))


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    # Not to be reached: what comes so far fails with 3.
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/none")
    return lambda *arguments, **options: CliRunner().invoke(app, [*arguments], prog_name="rowspace", **options)


def test_help_tells_commands_codes_and_variables(run):
    said = run("--help").output
    assert all(name in said for name in ("demo", "ingest", "export", "search", "collections", "db "))
    assert "  3    the database cannot be reached, or its tables are not up to date\n" in said
    assert "ROWSPACE_DATABASE_URL" in said
    assert "..." not in said.partition("Commands:")[2].partition("Exit codes")[0]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_examples(run, command):
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert f" rowspace {' '.join(command)}" in done.output.partition("\n  Example")[2].replace("--schema rag ", "")


def test_the_reference_shows_the_help():
    check = [sys.executable, ROOT / "tools/cli_help.py", "--check"]
    assert subprocess.run(check, capture_output=True, text=True, check=False).stderr == ""


def test_version(run):
    assert run("--version").output.startswith("rowspace")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["serch", "x"], "Did you mean 'search', 'serve'?"),
        (["search", "x", "--filtr", "{}"], "--filter"),
        (["db", "upgrad"], "Did you mean 'upgrade'?"),
        (["search"], "a search needs a text or a vector, but not both."),
        (["search", "x", "--vector", "[1]"], "a search needs a text or a vector, but not both."),
        (["search", "x", "--filter", "{"], "Invalid value for --filter: '{' is not JSON"),
        (["search", "x", "--filter", "[" * 100_000], "is not JSON: "),
        (["search", "x", "--filter", "[1]"], "expected an object, as in '{\"year\": 2020}', got '[1]'."),
        (["search", "x", "--mode", "both"], "'vector', 'mmr', 'text' or 'hybrid', got 'both'."),
        (["search", "x", "--k", "0"], "greater than or equal to 1"),
        (
            ["search", "x", "--mode", "text", "--max-distance", "1"],
            "max_distance is only supported in the modes vector, mmr.",
        ),
        (
            ["search", "x", "--max-distance", "1", "--min-similarity", "0"],
            "max_distance and min_similarity express the same limit: pass only one of them.",
        ),
        (
            ["ingest", "file.txt"],
            "'file.txt' is not that of a format. Pass --format with one of jsonl, csv,",
        ),
        (["ingest", "file.json"], "jq -c '.[]' file.json > lines.jsonl"),
        (["ingest", "file.csv.gz"], "gzip -dc file.csv.gz | rowspace ingest - --format csv"),
        (["ingest", "-"], "'-' is not that of a format"),
        (["ingest", "-", "--format", "xml"], "expected one of jsonl, csv, tsv, parquet, npy, got 'xml'."),
        (["ingest", "matrix.npy", "--processes", "2"], "--processes applies to embedding, but this file has vectors"),
        (["ingest", "rows.jsonl", "--embedding", "v", "--processes", "2"], "this file has vectors. Omit it"),
        (["search", "x", "--sql", "--json"], "--sql prints statements and --json prints hits"),
        (["reembed", "x", "--index", "tree"], "expected hnsw, ivfflat, none, or same, got 'tree'."),
        (["reembed", "x", "--abandon", "--embedder", "local"], "Omit --embedder, --index and --processes."),
        (["collections", "create", "x", "--index", "tree"], "for --index: expected hnsw, ivfflat or none, got 'tree'."),
        (
            ["collections", "create", "x", "--index", "none", "--quantize", "bit"],
            "--quantize configures",
        ),
        (["db", "downgrade", "base"], "Standard input is not a terminal; confirm with --yes."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_of_usage(run, arguments, hint):
    done = run(*arguments)
    assert hint in done.stderr
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("postgresql://me:secret@127.0.0.1:1/none", 3, "Connection refused"),
        ("mysql://me:secret@127.0.0.1/none", 1, "Rowspace needs a PostgreSQL URL"),
        ("nothing:secret", 1, "The database URL cannot be read; expected"),
    ],
)
def test_a_database_that_is_none(run, url, code, message):
    done = run("--url", url, "collections")
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert "secret" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_debug_adds_the_traceback(run):
    done = run("--debug", "collections")
    assert done.exit_code == 3
    assert "Traceback (most recent call last)" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RowspaceError("It broke."), 1, "Error: It broke. It is half done.\n"),
        (KeyboardInterrupt(), 130, "Interrupted. It is half done.\n"),
    ],
    ids=["error", "Ctrl-C"],
)
def test_what_was_noted_on_the_way_is_said(run, monkeypatch, error, code, said):
    def fail(_settings):
        error.add_note("It is half done.")
        raise error

    monkeypatch.setattr("rowspace.cli.doctor.open_database", fail)
    done = run("doctor")
    assert (done.exit_code, done.stderr) == (code, said)


def test_offline_sql_needs_no_database(run):
    done = run("--schema", "rag", "db", "upgrade", "--sql")
    assert done.exit_code == 0
    assert "CREATE TABLE rag.documents" in done.stdout
    assert "DROP TABLE" in run("db", "downgrade", "0001:base", "--sql").stdout


@pytest.mark.parametrize(
    ("message", "names", "hint"),
    [
        ("There is no collection 'documentz'.", ["documents", "notes"], "Did you mean 'documents'?"),
        ("There is no collection 'xyz'.", ["notes", "documents"], "Existing collections: documents, notes."),
        ("There is no collection 'xyz'.", [], "There are no collections yet. "),
    ],
)
def test_hint_at_a_collection(message, names, hint):
    assert collection_hint(message, names).startswith(hint)


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("one\ntwo", 20, "one"),
        ("  a \t b ", 20, "a b"),
        ("x" * 20, 20, "x" * 20),
        ("x" * 21, 20, "x" * 17 + "..."),
        ("数据库" * 5, 20, "数据库数据库数据..."),
        ("", 20, ""),
    ],
)
def test_first_line(text, width, expected):
    assert first_line(text, width) == expected


def test_plural():
    assert [plural(count, "document") for count in (0, 1, 1_234)] == ["0 documents", "1 document", "1,234 documents"]


def test_without_the_extra_the_command_names_it():
    program = "import sys; sys.modules['typer'] = None; from rowspace.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: 'typer' is not installed. Install it with: pip install 'rowspace[cli]'\n"


def test_an_interrupt_while_the_command_is_being_imported():
    broken_off = "exec('os.kill(os.getpid(), 2); time.sleep(9)')"
    program = f"""
import os, time, rowspace.cli
from rowspace.__main__ import main

rowspace.cli.main = lambda: {broken_off}
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")


# A command that is stopped by Ctrl-C ends with 130, and one that is not let go on with 1.
@pytest.mark.parametrize(("cause", "raised"), [(KeyboardInterrupt, KeyboardInterrupt), (EOFError, typer.Exit)])
def test_a_question_that_is_not_answered(monkeypatch, capsys, cause, raised):
    def ask(*_, **__):
        try:
            raise cause
        except (KeyboardInterrupt, EOFError):
            raise typer.Abort from None

    monkeypatch.setattr("typer.confirm", ask)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(raised):
        confirm("Drop it?", yes=False)
    # What is said next begins a line of its own.
    assert capsys.readouterr().err.startswith("\n")


@pytest.mark.parametrize("answer", [True, False])
def test_an_answer_decides(monkeypatch, answer):
    monkeypatch.setattr("typer.confirm", lambda *_, **__: answer)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with nullcontext() if answer else pytest.raises(typer.Exit):
        confirm("Drop it?", yes=False)


INTERRUPTED = """
import os, time, typer
from rowspace.cli.process import Program

app = typer.Typer(cls=Program)

@app.callback()
def root(): ...

@app.command()
def wait():
    exec("os.kill(os.getpid(), 2); time.sleep(9)")

app()
"""


def test_an_interrupt_while_something_is_made_of_text_is_one_as_well(tmp_path):
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    command = [sys.executable, "-m", "interrupted", "wait"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")


IN_A_FINALIZER = """
import os, sys, time
import typer
from rowspace.cli.process import Program, prepare

app = typer.Typer(cls=Program)

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        for _ in range(9): ...

@app.callback(invoke_without_command=True)
def go_on():
    Finalized()
    time.sleep(2)

prepare()
app([])
"""


@pytest.mark.parametrize(("number", "said"), [(signal.SIGINT, "Interrupted.\n"), (signal.SIGTERM, "")])
def test_a_signal_in_a_finalizer_ends_the_command_all_the_same(number, said):
    command = [sys.executable, "-c", IN_A_FINALIZER, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (128 + number, said)
