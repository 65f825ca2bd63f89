"""`rowspace ingest` of every format of file: progress, and bad vectors among good ones."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rowspace import CollectionRepository, Database, DocumentService, MatrixRepository, TableRepository

FORMATS = ["jsonl", "csv", "tsv", "parquet", "npy"]
ROWS = 1_200


def write(path, matrix):
    """Write documents with vectors in the format of a name; a vector may hold what is no number."""
    documents = [{"id": f"r{at}", "content": f"text {at}"} for at in range(len(matrix))]
    vectors = [[float(number) for number in vector] for vector in matrix]
    if path.suffix == ".jsonl":
        path.write_text(lines({**one, "embedding": vector} for one, vector in zip(documents, vectors, strict=True)))
    elif path.suffix == ".parquet":
        columns = {name: [one[name] for one in documents] for name in documents[0]}
        pq.write_table(pa.table({**columns, "embedding": vectors}), path)
    elif path.suffix == ".npy":
        np.save(path, matrix)
        path.with_suffix(".ids.jsonl").write_text(lines(documents))
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerow(["id", "content", "embedding"])
            writer.writerows([*one.values(), json.dumps(v)] for one, v in zip(documents, vectors, strict=True))
    return path


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def matrix():
    return np.random.default_rng(3).normal(size=(ROWS, 4)).astype(np.float32)


def stored(cli, name):
    """Return the vectors of a collection by id."""
    with Database.open(cli.url) as database, database.session() as session:
        found = MatrixRepository(session, CollectionRepository(session).get(name)).read()
    return dict(zip(found.keys, found.vectors.tolist(), strict=True))


def methods(cli):
    found = json.loads(cli("index", "status", "rows", "--json").stdout)
    return sorted(one["method"] for one in found if one["state"] == "valid")


@pytest.mark.parametrize("suffix", FORMATS)
def test_speed_and_time_left_are_told_for_every_format(cli, tmp_path, monkeypatch, matrix, suffix):
    monkeypatch.setattr("rowspace.integrations._progress._REPORT_EVERY", 0)
    file = write(tmp_path / f"rows.{suffix}", matrix)
    said = cli("ingest", file, "-c", "rows", "--embedding", "embedding").stderr.splitlines()
    total = " of 1,200" if suffix in {"parquet", "npy"} else ""
    wanted = [rf"Loading: {done}{total}, [\d,]+/s, \d+:\d\d left" for done in ("500", "1,000")]
    for line, pattern in zip(said, wanted, strict=False):
        assert re.fullmatch(pattern, line), said
    assert re.fullmatch(rf"Loading: 1,200{total}, [\d,]+/s, 0:00 left", said[2])
    assert said[3] == "Building the indexes ..."
    assert said[4].startswith("1,200 documents into 'rows': 1,200 new")
    assert methods(cli) == ["btree", "gin", "gin", "hnsw"]


def test_indexes_can_be_left_for_later(cli, tmp_path, monkeypatch, matrix):
    monkeypatch.setattr("rowspace.integrations._progress._REPORT_EVERY", 0)
    said = cli("ingest", write(tmp_path / "rows.npy", matrix), "-c", "rows", "--no-indexes").stderr
    assert "Building the indexes" not in said
    assert methods(cli) == ["btree"]
    cli("index", "build", "rows")
    assert methods(cli) == ["btree", "gin", "gin", "hnsw"]


def test_standard_input_that_is_a_file_has_an_end(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("rowspace.integrations._progress._REPORT_EVERY", 0)
    file = write(tmp_path / "rows.jsonl", np.ones((3, 2)))
    with file.open("rb") as opened:
        monkeypatch.setattr("rowspace.integrations._ingest.load._standard_input", lambda: opened)
        assert "0:00 left" in cli("ingest", "-", "--format", "jsonl", "-c", "piped").stderr


BAD = {1: [np.nan, 1, 1, 1], 3: [1, np.inf, 1, 1], 700: [1, 1, 1, -np.inf]}


@pytest.mark.parametrize("suffix", FORMATS)
def test_bad_vectors_go_to_the_rejects_and_the_others_are_loaded(cli, tmp_path, matrix, suffix):
    for at, vector in BAD.items():
        matrix[at] = vector
    file, rejects = write(tmp_path / f"rows.{suffix}", matrix), tmp_path / "bad.jsonl"
    said = cli("ingest", file, "-c", "rows", "--embedding", "embedding", "--rejects", rejects).stderr
    assert "1,197 documents into 'rows': 1,197 new" in said
    unit = "row" if suffix in {"parquet", "npy"} else "line"
    assert f"3 {unit}s rejected: see {rejects}." in said
    # Of text the first line is 1, and of CSV the header.
    shift = 2 if suffix in {"csv", "tsv"} else 1
    found = [json.loads(line, parse_constant=pytest.fail) for line in rejects.read_text().splitlines()]
    assert [one["line"] - shift for one in found] == [*BAD]
    assert [one["row"]["id"] for one in found] == ["r1", "r3", "r700"]
    reasons = ["NaN, which is at index 0", "infinity, which is at index 1", "infinity, which is at index 3"]
    assert [one["reason"] for one in found] == [f"A vector cannot contain {reason}." for reason in reasons]
    good = {f"r{at}": vector for at, vector in enumerate(matrix.tolist()) if at not in BAD}
    assert stored(cli, "rows") == good
    # Without the option, the first bad one is named.
    said = cli("ingest", file, "-c", "strict", "--embedding", "embedding", code=1).stderr
    assert f"rows.{suffix}, {unit} {1 + shift}: A vector cannot contain NaN" in said
    assert said.endswith("Nothing was written.\n")


LISTS = {
    "float32": pa.list_(pa.float32()),
    "float64": pa.list_(pa.float64()),
    "float16": pa.list_(pa.float16()),
    "whole numbers": pa.list_(pa.int64()),
    "large": pa.large_list(pa.float64()),
    "fixed": pa.list_(pa.float32(), 2),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("dimension", [None, 2], ids=["a new collection", "one that is there"])
def test_parquet_with_vectors_of_any_type_some_of_them_bad(cli, tmp_path, kind, dimension):
    vectors = [None, [1, 2], [None, 2], [3, 4], *([] if kind == "fixed" else [[5], [], [1, 2, 3]])]
    half = np.float16 if kind == "float16" else float
    given = [v and [x if x is None else half(x) for x in v] for v in vectors]
    file, rejects = tmp_path / "x.parquet", tmp_path / "bad.jsonl"
    ids = [str(at) for at in range(len(given))]
    pq.write_table(pa.table({"id": ids, "content": ids, "v": pa.array(given, LISTS[kind])}), file)
    if dimension is not None:
        cli("collections", "create", "x", "--dimension", dimension)
    cli("ingest", file, "-c", "x", "--embedding", "v", "--rejects", rejects)
    assert stored(cli, "x") == {"1": [1, 2], "3": [3, 4]}
    reasons = {one["line"]: one["reason"] for one in map(json.loads, rejects.read_text().splitlines())}
    assert reasons.pop(1) == "'v' is null."
    assert "with None in it" in reasons.pop(3)
    assert (
        reasons == {}
        if kind == "fixed"
        else {
            5: "Expected 2 dimensions, got 1.",
            6: "Expected 2 dimensions, got 0.",
            7: "Expected 2 dimensions, got 3.",
        }
    )


def test_a_bad_vector_far_down_and_other_faults_beside_it(cli, tmp_path):
    # Parts of 2,000 rows: the dimension is that of the first part.
    vectors = [[1.0, 2.0]] * 2_500 + [[1.0]] + [[3.0, 4.0]] * 2
    contents = ["x"] * 2_501 + ["a\0", None]
    file, rejects = tmp_path / "x.parquet", tmp_path / "bad.jsonl"
    pq.write_table(pa.table({"id": [*map(str, range(2_503))], "content": contents, "v": vectors}), file)
    assert "2,500 documents" in cli("ingest", file, "--embedding", "v", "--rejects", rejects).stderr
    assert [json.loads(line) for line in rejects.read_text().splitlines()] == [
        {"line": 2_501, "reason": "Expected 2 dimensions, got 1.", "row": {"id": "2500", "content": "x", "v": [1.0]}},
        {
            "line": 2_502,
            "reason": "a NUL byte in 'a\\x00', which PostgreSQL cannot store. Remove it, or pass --strip-nul.",
            "row": {"id": "2501", "content": "a\0", "v": [3.0, 4.0]},
        },
        {"line": 2_503, "reason": "'content' is null.", "row": {"id": "2502", "content": None, "v": [3.0, 4.0]}},
    ]
    said = cli("ingest", file, "-c", "other", "--embedding", "v", code=1).stderr
    assert "row 2501: Expected 2 dimensions, got 1. Nothing was written." in said


def test_a_matrix_with_bad_documents_beside_it(cli, tmp_path):
    np.save(tmp_path / "m.npy", np.arange(10).reshape(5, 2))
    file, beside, rejects = tmp_path / "m.npy", tmp_path / "m.ids.jsonl", tmp_path / "bad.jsonl"
    bad = b'{"id": \n{"content": "a\\u0000"}\n{"content": "\xff"}\n'
    beside.write_bytes(b'{"id": "0", "content": "x"}\n\n' + bad + b'{"id": "4", "content": "y"}\n')
    cli("ingest", file, "-c", "m", "--rejects", rejects)
    assert stored(cli, "m") == {"0": [0, 1], "4": [8, 9]}
    assert [json.loads(line)["line"] for line in rejects.read_text().splitlines()] == [2, 3, 4]
    assert "row 2: not JSON" in cli("ingest", file, "-c", "n", code=1).stderr
    (tmp_path / "ids.txt").write_text("a\nb\n\nd\ne\n")
    cli("ingest", file, "-c", "n", "--ids", tmp_path / "ids.txt", "--rejects", rejects)
    assert set(stored(cli, "n")) == {"a", "b", "d", "e"}
    assert json.loads(rejects.read_text())["reason"] == f"there is no id in {tmp_path / 'ids.txt'}."
    said = cli("ingest", file, "--ids", beside, "--rejects", beside, code=2).stderr
    assert "is being read" in said
    beside.unlink()
    assert "m.ids.jsonl, which should have a line" in cli("ingest", file, code=1).stderr


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_load_with_rejects_that_ctrl_c_ended_goes_on_where_it_stopped(cli, tmp_path, monkeypatch, matrix, suffix):
    for at, vector in BAD.items():
        matrix[at] = vector
    file, rejects = write(tmp_path / f"rows.{suffix}", matrix), tmp_path / "bad.jsonl"
    arguments = ["ingest", file, "-c", "rows", "--embedding", "embedding", "--resume", "--rejects", rejects]

    def interrupted(self, done, share=None):
        if done >= 1_000:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rowspace.integrations._progress.ProgressLines.__call__", interrupted)
        assert (
            cli(*arguments, code=130).stderr
            == "Interrupted. Complete batches are kept. Run the command again to continue.\n"
        )
    # The second batch was not committed yet.
    assert len(stored(cli, "rows")) == 500
    said = cli(*arguments).stderr
    assert "1,197 documents into 'rows': 1,197 new, 0 updated, 0 unchanged, 0 duplicates" in said
    assert "3 " in said.splitlines()[-1]
    assert len(rejects.read_text().splitlines()) == 3
    assert stored(cli, "rows") == {f"r{at}": vector for at, vector in enumerate(matrix.tolist()) if at not in BAD}


def test_a_file_is_the_same_from_wherever_its_load_is_resumed(cli, tmp_path, monkeypatch, matrix):
    write(tmp_path / "rows.csv", matrix)
    arguments = ["-c", "rows", "--embedding", "embedding", "--resume"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    def interrupted(self, done, share=None):
        if done >= 1_000:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rowspace.integrations._progress.ProgressLines.__call__", interrupted)
        cli("ingest", "rows.csv", *arguments, code=130)
    monkeypatch.chdir("elsewhere")
    # Under another name for the file, the rows that are there would be unchanged.
    said = cli("ingest", "../rows.csv", *arguments).stderr
    assert "1,200 documents into 'rows': 1,200 new, 0 updated, 0 unchanged" in said


KEYS = [
    {"id": 1, "content": "c", "embedding": [1], "metadata": {"x": 1}, "metadata.id": 3, "metadata.metadata.id": 4},
    {"metadata": 5, "": 2, "$x": 1, "a.b": {"c": [None]}},
    {"mixed": 1, "tags": ["x"], "flag": True, "unsigned": 2**64 - 1, "huge": 2**64 + 1, "odd": 2**53 + 1},
    {"mixed": "1", "text": "数\u2028\"'\\\r\n\t", "json": '{"k": 1}', "number": "007", "ratio": -1.5e-300, "odd": 0.5},
    {},
]
CONTENTS = ["x", "", "a\r\nb", "\ufeffmark\rlone", '"q", ;']


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_key_and_no_text_is_changed_on_its_way_through_a_file(cli, tmp_path, suffix):
    documents = [{"id": f"d{at}", "content": CONTENTS[at], "metadata": meta} for at, meta in enumerate(KEYS)]
    cli("ingest", "-", "--format", "jsonl", "-c", "before", given=lines(documents))
    cli("export", "before", tmp_path / f"x.{suffix}")
    cli("ingest", tmp_path / f"x.{suffix}", "-c", "after", "--embedding", "embedding")
    shown = cli("export", "after", "-", "--no-embeddings").stdout.split("\n")
    found = sorted((json.loads(line) for line in shown if line), key=lambda one: one["id"])
    assert found == documents


def test_parquet_of_other_people(cli, tmp_path):
    table = pa.table({
        "uid": pa.array([b"\0" * 15 + bytes([n]) for n in range(2)], pa.binary(16)).cast(pa.uuid()),
        "text": pa.array(["one", "二"]).dictionary_encode(),
        "vector": ["[1, 2]", "[3, 4.5]"],
        "metadata": ['{"a": 1}', None],
        "took": pa.array([1_500_000, None], pa.duration("us")),
        "at": pa.array([1, 2_000], pa.timestamp("ns", "UTC")),
        "day": pa.array([0, 1], pa.date32()),
        "price": pa.array(["1.50", "2"]).cast(pa.decimal128(5, 2)),
        "pairs": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "nothing": pa.nulls(2),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "x.parquet")
    cli("ingest", tmp_path / "x.parquet", "-c", "x", "--id", "uid", "--content", "text", "--embedding", "vector")
    found = [json.loads(line) for line in cli("export", "x", "-").stdout.splitlines()]
    first, second = sorted(found, key=lambda one: one["id"])
    common = {"content": "one", "embedding": [1, 2]}
    assert first == {"id": "00000000-0000-0000-0000-000000000000", **common, "metadata": {
        "a": 1, "took": "PT1.5S", "at": "1970-01-01T00:00:00.000000001+00:00", "day": "1970-01-01", "price": 1.5,
        "pairs": {"k": 1},
    }}  # fmt: skip
    assert (second["content"], second["embedding"]) == ("二", [3, 4.5])
    assert second["metadata"] == {"at": "1970-01-01T00:00:00.000002000+00:00", "day": "1970-01-02", "price": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--content", "body"], "there is no 'body', only 'content', 'v'. Name the field: --content FIELD."),
        (["--id", "isbn"], "there is no 'isbn', only 'content', 'v'. Name the field: --id FIELD."),
        (["--embedding", "w"], "there is no 'w', only 'content', 'v'. Name the field: --embedding FIELD."),
        (["--embedding", "t"], "row 1: expected an embedding as a JSON array of numbers, got 'x'."),
        (["--embedding", "bin"], "The column 'bin' is binary, expected FixedSizeList<float32> or lists of numbers."),
        ([], "row 1: 'bin' is b'\\x00', which has no JSON form. Omit it, or convert it to text."),
    ],
)
def test_mistakes_about_a_parquet_file(cli, tmp_path, options, message):
    columns = {"content": ["x"], "v": [[1.0]]}
    others = {"bin": [b"\0"]} if "bin" in message else {"t": ["x"]} if "JSON array" in message else {}
    pq.write_table(pa.table(columns | others), tmp_path / "x.parquet")
    said = cli("ingest", tmp_path / "x.parquet", "-c", "x", *options, code=1).stderr
    assert said == f"Error: {tmp_path / 'x.parquet'}, {message} Nothing was written.\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["x.jsonl", "--ids", "ids.txt"], "--ids requires .npy, got jsonl."),
        (["x.parquet", "--detect-types"], "--detect-types requires CSV or TSV, got parquet."),
        (["x.jsonl", "--delimiter", ";"], "--delimiter requires CSV or TSV, got jsonl."),
        (["x.csv", "--delimiter", ";;"], "--delimiter must be one character, or tab, got ';;'."),
        (["x.csv", "--delimiter", '"'], "--delimiter must be one character, or tab, got '\"'."),
        (["-", "--format", "parquet"], "Standard input must be JSON Lines, CSV or TSV, got parquet."),
        (["x.npz"], "'x.npz' is not that of a format"),
        (["x.csv", "--processes", "0"], "greater than or equal to 1"),
    ],
)
def test_options_that_do_not_go_together(cli, options, message):
    assert message in cli("ingest", *options, code=2).stderr


def test_damaged_files_are_named(cli, tmp_path, matrix):
    whole = write(tmp_path / "whole.parquet", matrix).read_bytes()
    (tmp_path / "short.parquet").write_bytes(whole[: len(whole) // 2])
    assert "short.parquet, not a Parquet file: " in cli("ingest", tmp_path / "short.parquet", code=1).stderr
    at = whole.index(b"text 0")
    (tmp_path / "rotten.parquet").write_bytes(whole[: at - 20] + bytes(64) + whole[at + 44 :])
    said = cli("ingest", tmp_path / "rotten.parquet", "-c", "x", code=1).stderr
    assert "rotten.parquet, the file cannot be read to its end: " in said
    npy = write(tmp_path / "x.npy", matrix)
    npy.write_bytes(npy.read_bytes()[:-8])
    assert "x.npy, not a matrix in NumPy's format: " in cli("ingest", npy, code=1).stderr


@pytest.mark.parametrize("kind", ["fortran", "big-endian", "whole numbers", "float64"])
def test_a_matrix_in_any_layout(cli, tmp_path, kind):
    matrix = np.arange(10.0).reshape(5, 2)
    kinds = {"fortran": np.asfortranarray, "big-endian": lambda m: m.astype(">f4"), "float64": lambda m: m}
    np.save(tmp_path / "m.npy", kinds.get(kind, lambda m: m.astype(np.int16))(matrix))
    (tmp_path / "ids.txt").write_text("a\nb\nc\nd\ne\n")
    cli("ingest", tmp_path / "m.npy", "-c", "m", "--ids", tmp_path / "ids.txt")
    assert stored(cli, "m") == dict(zip("abcde", matrix.tolist(), strict=True))


CSV = {
    "semicolons and a byte order mark": ("\ufeffid;content\r\n1;a, b\r\n", ["--delimiter", ";"]),
    "tabs by name": ("id\tcontent\n1\ta, b\n", ["--delimiter", "tab"]),
    "bars": ("id|content\n1|a, b\n", ["--delimiter", "|"]),
}


@pytest.mark.parametrize("name", CSV)
def test_csv_with_another_delimiter(cli, tmp_path, name):
    text, options = CSV[name]
    (tmp_path / "x.csv").write_text(text, newline="")
    said = cli("ingest", tmp_path / "x.csv", "-c", "x", code=1).stderr
    assert f"If the delimiter is different, pass --delimiter {'tab' if 'tab' in name else repr(options[1])}." in said
    cli("ingest", tmp_path / "x.csv", "-c", "x", *options)
    (row,) = map(json.loads, cli("export", "x", "-", "--no-embeddings").stdout.splitlines())
    assert row == {"id": "1", "content": "a, b", "metadata": {}}


def test_what_only_the_server_knows_to_be_bad_is_rejected_too(cli, tmp_path):
    # More distinct words than a tsvector holds: the index of the collection could not be built.
    book = " ".join(f"{at:07x}" for at in range(150_000))
    long, longer = {"id": "long", "content": book}, {"id": "é" * 1_301, "content": "y"}
    rows = [{"id": "a", "content": "x"}, "nonsense", long, longer]
    source, rejects = tmp_path / "x.jsonl", tmp_path / "bad.jsonl"
    source.write_text(lines(rows))
    said = cli("ingest", source, "-c", "x", "--rejects", rejects).stderr
    assert "1 document into 'x': 1 new" in said
    assert "3 lines rejected" in said
    found = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [one["line"] for one in found] == [2, 3, 4]
    assert found[1]["reason"].startswith("content: the text (")
    assert found[1]["row"] == {"id": "long", "content": book, "metadata": {}}
    assert found[2]["reason"].startswith("id: an id can have at most 2,600 bytes, got 2,602")
    source.write_text(lines(rows[:1] + rows[2:]))
    said = cli("ingest", source, "-c", "y", "--resume", code=1).stderr
    assert "x.jsonl, line 2: content: the text (" in said
    assert said.endswith("Complete batches are kept. Run the command again to continue.\n")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet"])
def test_vectors_that_nobody_asked_for_do_not_become_metadata(cli, tmp_path, matrix, suffix):
    file = write(tmp_path / f"x.{suffix}", matrix[:5])
    said = cli("ingest", file, "-c", "x").stderr.splitlines()
    assert (
        said[-1] == "The vectors in 'embedding' were not used because texts were embedded. To load them: --embedding."
    )
    shown = [json.loads(line) for line in cli("export", "x", "-").stdout.splitlines()]
    assert all((one["metadata"], len(one["embedding"])) == ({}, 64) for one in shown)
    cli("ingest", "-", "--format", "jsonl", "-c", "y", given='{"content": "x", "embedding": "by hand"}\n')
    assert json.loads(cli("export", "y", "-", "--no-embeddings").stdout)["metadata"] == {"embedding": "by hand"}


def test_the_index_of_a_frame_does_not_become_metadata(cli, tmp_path):
    frame = pd.DataFrame({"content": ["a", "b", "c", "d"], "year": [1, 2, 3, 4]})
    frame[frame.year != 3].to_parquet(tmp_path / "x.parquet")
    assert "__index_level_0__" in pq.read_schema(tmp_path / "x.parquet").names
    cli("ingest", tmp_path / "x.parquet", "-c", "x")
    shown = [json.loads(line) for line in cli("export", "x", "-", "--no-embeddings").stdout.splitlines()]
    assert sorted(one["metadata"]["year"] for one in shown) == [1, 2, 4]
    assert all(one["metadata"].keys() == {"year"} for one in shown)


def test_an_export_is_of_one_moment(cli, tmp_path, monkeypatch):
    cli("ingest", "-", "--format", "jsonl", "-c", "x", given=lines([{"content": "a", "year": 1}]))
    read = TableRepository.metadata_kinds

    def written_meanwhile(self, **options):
        found = read(self, **options)
        with Database.open(cli.url) as database:
            later = {"content": "b", "metadata": {"year": "of another type"}, "embedding": [1] * 64}
            DocumentService(database).add("x", [later])
        return found

    monkeypatch.setattr(TableRepository, "metadata_kinds", written_meanwhile)
    cli("export", "x", tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").column("year").to_pylist() == [1]
