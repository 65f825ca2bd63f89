"""`manage.py rowspace_ingest` has what `rowspace ingest` has."""

from __future__ import annotations

import json
import re
from io import StringIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.main import get_command

from rowspace.cli.app import app

ROWS = 1_200


@pytest.fixture
def call(django_project):
    """Run the command, and return what it printed on both streams."""
    from django.core.management import call_command

    def run(*args):
        out, err = StringIO(), StringIO()
        call_command("rowspace_ingest", *map(str, args), stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()

    return run


@pytest.fixture
def committed(ground):
    """Names of collections that are dropped after the test, as what it loads is committed."""
    from rowspace.integrations.django.models import Collection

    yield ["rows"]
    Collection.objects.filter(name__in=["rows"]).delete()


def count(name):
    from rowspace.integrations.django import document_service

    return document_service().count(name)


@pytest.fixture
def matrix():
    return np.random.default_rng(3).normal(size=(ROWS, 3)).astype(np.float32)


@pytest.fixture
def npy(tmp_path, matrix):
    np.save(tmp_path / "rows.npy", matrix)
    (tmp_path / "rows.ids.jsonl").write_text(
        "".join(json.dumps({"id": f"r{at}", "content": f"text {at}"}) + "\n" for at in range(ROWS))
    )
    return tmp_path / "rows.npy"


def test_the_options_are_those_of_the_command_line(django_project):
    from django.core.management import load_command_class

    parser = load_command_class("rowspace.integrations.django", "rowspace_ingest").create_parser("manage.py", "x")
    django = {flag for action in parser._actions for flag in action.option_strings}
    ours = {flag for one in get_command(app).commands["ingest"].params for flag in one.opts if flag.startswith("-")}
    assert ours - django == set()


@pytest.mark.usefixtures("db")
def test_a_matrix_with_its_documents_beside_it(call, npy):
    assert call(npy, "-c", "m")[0] == "1,200 documents into 'm': 1,200 new, 0 updated, 0 unchanged, 0 duplicates.\n"
    npy.with_name("ids.txt").write_text("".join(f"{at}\n" for at in range(ROWS)))
    assert "1,200 new" in call(npy, "-c", "ids", "--ids", npy.with_name("ids.txt"))[0]
    assert count("ids") == ROWS


@pytest.mark.usefixtures("db")
def test_rejects_go_to_a_file(call, tmp_path):
    from django.core.management import CommandError

    file, rejects = tmp_path / "x.parquet", tmp_path / "bad.jsonl"
    vectors = [[1.0, 2.0], [float("nan"), 1.0], None, [3.0, 4.0]]
    pq.write_table(pa.table({"id": [*"abcd"], "content": [*"abcd"], "v": vectors}), file)
    out, _ = call(file, "-c", "x", "--embedding", "v", "--rejects", rejects)
    assert out.splitlines() == [
        "2 documents into 'x': 2 new, 0 updated, 0 unchanged, 0 duplicates.",
        f"2 rows rejected: see {rejects}.",
    ]
    assert [json.loads(line)["line"] for line in rejects.read_text().splitlines()] == [2, 3]
    with pytest.raises(CommandError, match=r"x\.parquet, row 2: A vector cannot contain NaN.*Nothing was written\."):
        call(file, "-c", "y", "--embedding", "v")
    with pytest.raises(CommandError, match="is being read"):
        call(file, "-c", "y", "--rejects", file)


def test_an_interrupted_load_goes_on_where_it_stopped(call, committed, npy, monkeypatch):
    from django.core.management import CommandError

    def interrupted(self, done, share=None):
        if done >= 1_000:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rowspace.integrations._progress.ProgressLines.__call__", interrupted)
        with pytest.raises(CommandError, match=r"Interrupted\. Complete batches are kept") as caught:
            call(npy, "-c", *committed, "--resume")
    assert caught.value.returncode == 130
    assert count("rows") == 500
    monkeypatch.setattr("rowspace.integrations._progress._REPORT_EVERY", 0)
    out, err = call(npy, "-c", *committed, "--resume")
    assert "1,200 documents into 'rows': 1,200 new, 0 updated, 0 unchanged" in out
    assert re.fullmatch(r"Loading: 1,200 of 1,200, [\d,]+/s, 0:00 left", err.splitlines()[-1])


def test_an_interrupted_load_leaves_nothing_unless_it_is_to(call, committed, npy, monkeypatch):
    from django.core.management import CommandError

    from rowspace.integrations.django.models import Collection

    def interrupted(self, done, share=None):
        raise KeyboardInterrupt

    monkeypatch.setattr("rowspace.integrations._progress.ProgressLines.__call__", interrupted)
    with pytest.raises(CommandError, match=r"Interrupted\. Nothing was written\."):
        call(npy, "-c", *committed)
    assert not Collection.objects.filter(name="rows").exists()
    with pytest.raises(CommandError, match="Interrupted"):
        call(npy, "-c", *committed, "--commit-batches")
    assert Collection.objects.filter(name="rows").exists()


@pytest.mark.usefixtures("db")
def test_texts_are_embedded_by_processes(call, tmp_path, settings_of):
    from django.core.management import CommandError

    file = tmp_path / "x.csv"
    file.write_text("id;content\n1;one\n2;two\n")
    assert "2 new" in call(file, "-c", "x", "--delimiter", ";", "--processes", "2")[0]
    with settings_of(ROWSPACE={}), pytest.raises(CommandError, match=r"ROWSPACE\['EMBEDDER'\] is not set"):
        call(file, "-c", "x", "--processes", "2")
    with pytest.raises(CommandError, match="--processes must be at least 1, got 0"):
        call(file, "-c", "x", "--processes", "0")
