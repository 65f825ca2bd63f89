from __future__ import annotations

import datetime as dt
import decimal
import json
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import (
    ARRAY,
    DateTime,
    Double,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    cast,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column

from rowspace import (
    Collection,
    CollectionRepository,
    Document,
    DocumentRepository,
    HalfVector,
    MatrixRepository,
    Vector,
)
from rowspace.errors import (
    CollectionExists,
    CollectionNotFound,
    ConfigurationError,
    DimensionMismatch,
    InvalidRow,
    InvalidVector,
    RowspaceError,
)
from rowspace.integrations.arrow import (
    export_parquet,
    load_parquet,
    open_parquet,
    parquet_batches,
    read_batches,
    read_table,
    write_table,
)

LOCAL = dt.datetime.fromisoformat("2026-01-02T03:04:05.000678")


class Base(DeclarativeBase):
    pass


class Part(Base):
    __tablename__ = "parts"
    line: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    small: Mapped[int | None] = mapped_column(SmallInteger)
    price: Mapped[decimal.Decimal | None] = mapped_column(Numeric(10, 2))
    ratio: Mapped[float | None] = mapped_column(Double)
    made: Mapped[dt.date | None]
    seen: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    local: Mapped[dt.datetime | None] = mapped_column(DateTime)
    active: Mapped[bool | None]
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    serial: Mapped[uuid.UUID | None]
    labels: Mapped[list[str] | None] = mapped_column(ARRAY(String))
    data: Mapped[dict | None] = mapped_column(JSONB)
    shape: Mapped[np.ndarray | None] = mapped_column(Vector(3))
    color: Mapped[np.ndarray | None] = mapped_column(HalfVector(2))


def make_parts():
    return [
    Part(
        line=1, code="ä'", small=-3, price=decimal.Decimal("12.50"), ratio=0.1, made=dt.date(1999, 12, 31),
        seen=dt.datetime(1969, 7, 20, 20, 17, tzinfo=dt.UTC), local=LOCAL, active=True,
        raw=b"\x00\xff", serial=uuid.UUID(int=7), labels=["a", 'b"', "c,d"], data={"k": [1, None]},
        shape=np.array([1, 2, 3]), color=np.array([0.5, 2]),
    ),
    Part(line=2, code="b"),
    ]  # fmt: skip


@pytest.fixture
def parts(session):
    Base.metadata.create_all(session.connection())
    session.add_all(make_parts())
    session.flush()
    return Part


def by_id(table):
    return table.sort_by("id").combine_chunks()


def test_a_table_comes_back_as_it_was(session, table):
    report = write_table(session, "kept", table)
    assert (report.received, report.inserted) == (len(table), len(table))
    back = by_id(read_table(session, "kept"))
    assert back.schema.names == table.schema.names
    for name in table.schema.names:
        assert back[name].type == table[name].type, name
        assert back[name].to_pylist() == table[name].to_pylist(), name


def test_the_embedding_is_a_fixed_size_list_and_the_same_bits(session, table, matrix):
    write_table(session, "bits", table)
    back = by_id(read_table(session, "bits", columns=["id", "embedding"]))
    assert back.schema.names == ["id", "embedding"]
    assert back.schema.field("embedding").type == pa.list_(pa.float32(), matrix.shape[1])
    assert np.array_equal(back["embedding"].chunk(0).flatten().to_numpy().reshape(matrix.shape), matrix)


def test_a_stream_is_bounded_and_may_be_left_early(session, vectors):
    wide = np.ones((6_000, 512), np.float32)
    stream = (
        pa.record_batch(
            {"id": [str(n + at) for at in range(500)], "content": ["x"] * 500, "embedding": vectors(wide[:500])}
        )
        for n in range(0, 6_000, 500)
    )
    first = next(stream)
    reader = pa.RecordBatchReader.from_batches(first.schema, iter([first, *stream]))
    assert write_table(session, "wide", reader, build_indexes=False).inserted == 6_000
    with read_batches(session, "wide") as batches:
        sizes = [len(batch) for batch in batches]
    assert sum(sizes) == 6_000
    assert max(sizes) * 512 * 4 < 8 << 20
    assert len(sizes) > 2
    with read_batches(session, "wide") as batches:
        next(batches)
    assert CollectionRepository(session).get("wide").dimension == 512


def test_filter_columns_and_json(session, table):
    write_table(session, "some", table)
    old = read_table(session, "some", where={"year": {"$lt": 1993}}, columns=["id", "year", "tags"])
    assert old.schema.names == ["id", "year", "tags"]
    assert set(old["year"].to_pylist()) == {1990, 1991, 1992}
    assert len(old) == 300
    one = read_table(session, "some", where={"maybe": 0}, metadata="json")
    assert one.schema.names == ["id", "content", "metadata", "embedding"]
    assert '"year": 1990' in one["metadata"][0].as_py()
    # What was read as JSON can be written as JSON.
    write_table(session, "again", one)
    assert read_table(session, "again", columns=["metadata"], metadata="json")["metadata"] == one["metadata"]


def test_keys_of_mixed_kinds_are_text_and_names_that_collide_are_told_apart(session):
    collection = CollectionRepository(session).create("mixed", 1)
    metas = [{"a": 1, "b": 1, "id": 9}, {"a": "x", "b": 1.5}, {"a": [1], "n": None, "big": 2**63}, {}]
    rows = [{"id": str(n), "content": "", "meta": meta, "embedding": [n]} for n, meta in enumerate(metas)]
    DocumentRepository(session, collection).upsert(rows)
    back = by_id(read_table(session, collection))
    assert back.schema.names == ["id", "content", "a", "b", "big", "metadata.id", "n", "embedding"]
    assert back["a"].to_pylist() == ["1", '"x"', "[1]", None]
    assert back["b"].to_pylist() == [1.0, 1.5, None, None]
    assert back["big"].to_pylist() == [None, None, float(2**63), None]
    assert back["metadata.id"].to_pylist() == [9, None, None, None]
    write_table(session, "mixed 2", back)
    again = DocumentRepository(session, CollectionRepository(session).get("mixed 2")).get(["0", "1", "2"])
    assert [document.meta.get("a") for document in again] == [1, "x", [1]]
    assert again[0].meta["id"] == 9


#: Numbers of one key, and whether a float holds them all.
NUMBERS = {
    "beyond 64 bits": ([2**64 + 1, 1], False),
    "below them": ([-(2**63) - 1, 2], False),
    "beyond any float": ([10**400, 1.5], False),
    "exact beside a fraction": ([2**53 + 1, 0.5], False),
    "what floats are": ([2.0**53, 1e22, -1.7976931348623157e308, 1e-7, 2**53], True),
    "floats that look whole": ([123456789012345678901234.0, 0.1], True),
}


@pytest.mark.parametrize(("numbers", "fit"), NUMBERS.values(), ids=NUMBERS)
def test_whole_numbers_keep_their_digits(session, tmp_path, numbers, fit):
    collection = CollectionRepository(session).create("numbers", 1)
    rows = [{"id": str(n), "content": "", "meta": {"n": n_}, "embedding": [n]} for n, n_ in enumerate(numbers)]
    DocumentRepository(session, collection).upsert(rows)
    export_parquet(session, collection, tmp_path / "x.parquet")
    read = by_id(pq.read_table(tmp_path / "x.parquet"))
    assert read.schema.field("n").type == (pa.float64() if fit else pa.string())
    found = read["n"].to_pylist() if fit else [json.loads(text) for text in read["n"].to_pylist()]
    assert found == numbers
    load_parquet(session, "again", tmp_path / "x.parquet")
    again = DocumentRepository(session, CollectionRepository(session).get("again")).get(map(str, range(len(numbers))))
    stored = [document.meta["n"] for document in again]
    # JSONB writes a large float with all its digits, which Python reads as a whole number.
    assert (list(map(float, stored)) if fit else stored) == numbers


def test_a_model_of_any_types_comes_back(session, parts):
    table = read_table(session, parts)
    one, two = table.sort_by("line").to_pylist()
    assert two == {name: {"line": 2, "code": "b"}.get(name) for name in table.schema.names}
    assert one["price"] == decimal.Decimal("12.50")
    assert one["seen"] == dt.datetime(1969, 7, 20, 20, 17, tzinfo=dt.UTC)
    assert one["local"] == LOCAL
    assert (one["made"], one["raw"], one["small"], one["active"]) == (dt.date(1999, 12, 31), b"\x00\xff", -3, True)
    assert (one["labels"], one["data"]) == (
        ["a", 'b"', "c,d"],
        '{"k": [1, null]}',
    )
    assert uuid.UUID(one["serial"]).int == 7
    assert (one["shape"], one["color"]) == ([1, 2, 3], [0.5, 2])
    assert table.schema.field("small").type == pa.int16()
    with pytest.raises(CollectionExists, match="if_exists='append' or 'replace'"):
        write_table(session, parts, table)
    assert write_table(session, parts, table, if_exists="append").updated == 2
    assert write_table(session, parts, table, if_exists="replace").inserted == 2
    assert read_table(session, parts).sort_by("line") == table.sort_by("line")
    assert len(read_table(session, parts, where=[Part.small < 0])) == 1


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "294276-12-31"])
def test_a_time_that_arrow_cannot_say_is_refused(session, parts, moment):
    session.execute(update(parts).values(local=cast(literal(moment, String), DateTime)))
    with pytest.raises(InvalidRow, match="'local' contains a date or time that is infinite or too far away for Arrow"):
        read_table(session, parts)


def test_a_select_comes_in_its_order(session, parts, table):
    statement = select(Part.code, Part.shape, Part.price, (Part.line * 2).label("twice")).order_by(Part.line.desc())
    found = read_table(session, statement)
    assert found["twice"].to_pylist() == [4, 2]
    assert found["shape"].to_pylist() == [None, [1, 2, 3]]
    assert found["price"].type == pa.decimal128(10, 2)
    assert len(read_table(session, select(Part).where(Part.line > 5))) == 0
    write_table(session, "documents", table)
    collection = CollectionRepository(session).get("documents")
    documents = select(Document.id, Document.embedding, Document.meta).where(Document.collection_id == collection.id)
    assert read_table(session, documents)["embedding"].type == pa.list_(pa.float32(), 16)
    with pytest.raises(ConfigurationError, match="Omit columns and where"):
        read_table(session, statement, columns=["code"])
    other = aliased(Part)
    pairs = select(Part.line, other.line, Part.code).join(other, other.line == Part.line)
    assert read_table(session, pairs).schema.names == ["line", "line_1", "code"]


def test_if_exists(session, table):
    write_table(session, "there", table.slice(0, 10), create={"distance": "l2"})
    with pytest.raises(CollectionExists, match="'there'"):
        write_table(session, "there", table)
    report = write_table(session, "there", table.slice(5, 10), if_exists="append")
    assert (report.inserted, report.updated) == (5, 5)
    write_table(session, "there", table.slice(0, 3), if_exists="replace")
    collection = CollectionRepository(session).get("there")
    assert (collection.distance, len(MatrixRepository(session, collection).read())) == ("l2", 3)
    with pytest.raises(ConfigurationError, match="must be fail, append or replace, got 'upsert'"):
        write_table(session, "there", table, if_exists="upsert")


def test_a_collection_is_dropped_when_its_replacement_is_loaded(session, table):
    locks = text(
        "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'documents'::regclass "
        "AND mode = 'AccessExclusiveLock'"
    )
    write_table(session, "there", table.slice(0, 10), create={"distance": "l2", "language": "english", "index": None})
    held = []

    def watched():
        for batch in table.slice(0, 6).to_batches(max_chunksize=2):
            held.append(session.scalar(locks))
            yield batch

    reader = pa.RecordBatchReader.from_batches(table.schema, watched())
    write_table(session, "there", reader, if_exists="replace", chunksize=2)
    assert set(held) == {0}
    assert session.scalar(locks) == 1
    (there,) = CollectionRepository(session).list()
    assert (there.name, there.distance, there.language, there.index) == ("there", "l2", "english", {})
    assert len(MatrixRepository(session, there).read()) == 6


def test_ids_that_are_numbers_come_back_as_numbers(session, table):
    numbered = table.slice(0, 20).set_column(0, "id", pa.array(range(20)))
    write_table(session, "numbered", numbered)
    assert sorted(read_table(session, "numbered")["id"].to_pylist()) == list(range(20))


def test_a_row_group_is_read_by_the_rows_that_are_asked_for(tmp_path):
    pq.write_table(pa.table({"n": range(7_000)}), tmp_path / "n.parquet", row_group_size=4_000)
    with open_parquet(tmp_path / "n.parquet") as file:
        parts = [*parquet_batches(file, 1_500)]
    assert [len(part) for part in parts] == [1_500, 1_500, 1_000, 1_500, 1_500]
    assert [n for part in parts for n in part["n"].to_pylist()] == [*range(7_000)]


def test_parquet_there_and_back(session, table, tmp_path):
    write_table(session, "first", table)
    path = tmp_path / "rows.parquet"
    assert export_parquet(session, "first", path) == len(table)
    with pytest.raises(FileExistsError):
        export_parquet(session, "first", path)
    assert export_parquet(session, "first", path, overwrite=True, where={"sold": True}) == len(table) // 2
    assert load_parquet(session, "second", path, chunksize=100).inserted == len(table) // 2
    back = by_id(read_table(session, "second"))
    assert back.schema.types == table.schema.types
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]


def test_an_export_that_fails_leaves_no_file(session, tmp_path):
    with pytest.raises(CollectionNotFound):
        export_parquet(session, "nobody", tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []


BAD = {
    "missing column": (lambda t: t.drop_columns(["content"]), InvalidRow, "no column 'content', only id, year"),
    "no embedding": (lambda t: t.drop_columns(["embedding"]), InvalidRow, "no column 'embedding'"),
    "text for vectors": (
        lambda t: t.set_column(11, "embedding", pa.array(["[1]"] * len(t))),
        InvalidVector,
        "'embedding' is string, expected FixedSizeList<float32>",
    ),
    "a ragged embedding": (
        lambda t: t.set_column(11, "embedding", pa.array([[1.0] * (3 if n == 1700 else 2) for n in range(len(t))])),
        DimensionMismatch,
        "Row 1700: Expected 2 dimensions, got 3",
    ),
    "a null embedding": (
        lambda t: t.set_column(11, "embedding", pa.array([None if n == 2500 else [1.0] for n in range(len(t))])),
        InvalidRow,
        "Row 2500: 'embedding' is null",
    ),
    "a NaN": (
        lambda t: t.set_column(11, "embedding", pa.array([[float("nan") if n == 7 else 1.0] for n in range(len(t))])),
        InvalidVector,
        "Row 7: A vector cannot contain NaN, which is at index 0",
    ),
    "a null in a vector": (
        lambda t: t.set_column(11, "embedding", pa.array([[1.0, None]] * len(t))),
        InvalidVector,
        r"Row 0: Expected a vector of numbers, got list \[1.0, None\]",
    ),
    "an id twice": (
        lambda t: t.set_column(0, "id", pa.array([str(n % 2999) for n in range(len(t))])),
        InvalidRow,
        "Row 2999: the key '0' repeats that of row 0",
    ),
    "a null id": (
        lambda t: t.set_column(0, "id", pa.array([None, *map(str, range(1, len(t)))])),
        InvalidRow,
        "Row 0: 'id' is null",
    ),
    "numbers for text": (
        lambda t: t.set_column(1, "content", pa.array(range(len(t)))),
        InvalidRow,
        "'content' is int64; Text\\(\\) takes string",
    ),
    "a column twice": (lambda t: t.append_column("id", t["id"]), InvalidRow, "More than one column is named 'id'"),
    "no table": (
        lambda t: t.to_pylist(),
        InvalidRow,
        "Expected an Arrow table .*, got list",
    ),
}


@pytest.mark.parametrize(("spoil", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_before_anything_is_written(session, table, spoil, error, message):
    with pytest.raises(error, match=message):
        write_table(session, "bad", spoil(table))
    with pytest.raises(CollectionNotFound):
        CollectionRepository(session).get("bad")


@pytest.mark.parametrize("name", ["a ragged embedding", "a null embedding", "a NaN", "an id twice", "a null id"])
def test_a_stream_that_turns_bad_leaves_nothing(session, table, name):
    bad = BAD[name][0](table)
    stream = pa.RecordBatchReader.from_batches(bad.schema, bad.to_batches(max_chunksize=100))
    with pytest.raises(RowspaceError, match=r"Row|rows"):
        write_table(session, "bad", stream, chunksize=50)
    with pytest.raises(CollectionNotFound):
        CollectionRepository(session).get("bad")


def test_tensors_of_one_dimension_are_vectors(session):
    rows = {"id": ["a", "b"], "content": ["x", "y"]}
    flat = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    write_table(session, "flat", pa.table({**rows, "embedding": flat}))
    assert read_table(session, "flat")["embedding"].to_pylist() == [[0, 1, 2], [3, 4, 5]]
    square = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((2, 2, 2), np.float32))
    with pytest.raises(InvalidVector, match="expected FixedSizeList<float32>"):
        write_table(session, "square", pa.table({**rows, "embedding": square}))


@pytest.mark.parametrize("type_", [pa.timestamp("s"), pa.timestamp("us", "UTC"), pa.date32(), pa.date64()], ids=str)
def test_times_that_python_does_not_know_are_refused(session, table, type_):
    integers = pa.int32() if type_ == pa.date32() else pa.int64()
    far = pa.array([2**30 if type_ == pa.date32() else 2**62] * len(table), integers).view(type_)
    with pytest.raises(InvalidRow, match="The column 'far' cannot be written: "):
        write_table(session, "far", table.append_column("far", far))


def test_a_metadata_key_that_is_called_as_the_type_of_the_ids_is_kept(session):
    vectors = pa.array([[1, 2]], pa.list_(pa.float32(), 2))
    write_table(session, "kept", pa.table({"id": ["a"], "content": ["x"], "embedding": vectors, "$id": [7]}))
    (row,) = read_table(session, "kept").to_pylist()
    assert (row["id"], row["$id"]) == ("a", 7)


def test_another_dimension_than_that_of_the_collection(session, table):
    collection = CollectionRepository(session).create("three", 3)
    with pytest.raises(DimensionMismatch, match="vectors of 16 dimensions, expected 3"):
        write_table(session, collection, table, if_exists="append")
    assert isinstance(collection, Collection)


def test_names_and_unknown_columns(session, parts, table):
    renamed = table.rename_columns(["isbn", "summary", *table.schema.names[2:]])
    write_table(session, "books", renamed, names={"isbn": "id", "summary": "content"})
    with pytest.raises(ConfigurationError, match="names has 'isbn', which is not a column"):
        write_table(session, "more", table, names={"isbn": "id"})
    with pytest.raises(InvalidRow, match="no column 'year' to write to"):
        write_table(session, parts, pa.table({"line": [1], "code": ["x"], "year": [1]}), if_exists="append")
    with pytest.raises(InvalidRow, match=r"cannot be written.*3\.5"):
        write_table(session, parts, pa.table({"line": [1], "code": ["x"], "small": [3.5]}), if_exists="append")
    with pytest.raises(ConfigurationError, match="no column 'nothing'"):
        read_table(session, parts, columns=["nothing"])
    with pytest.raises(ConfigurationError, match=r"rejects must be a function, such as list\.append, got list"):
        write_table(session, "more", table, rejects=[])
    known = "dimension, distance, embedder, index, indexed_keys, language, metadata"
    with pytest.raises(ConfigurationError, match=f"create can have {known}, got 'metric'"):
        write_table(session, "more", table, create={"metric": "l2"})
    with pytest.raises(ConfigurationError, match=r"create applies only to a new collection, .*Part"):
        write_table(session, parts, pa.table({"line": [1], "code": ["x"]}), create={"distance": "l2"})


@pytest.mark.parametrize("view", [pa.list_view, pa.large_list_view])
@pytest.mark.parametrize("part", [slice(0, 4), slice(1, 4), slice(3, 4)])
def test_list_views_and_runs_are_read_as_what_they_stand_for(session, view, part):
    Base.metadata.create_all(session.connection())
    numbers = [1, 2, 3, 4]
    lists = [["a", None], None, [], ["b", "c"]]
    shapes = [[1, 2, 3], None, [4, 5, 6], [7, 8, 9]]
    table = pa.table({
        "line": numbers,
        "code": pa.RunEndEncodedArray.from_arrays([3, 4], ["x", "y"]),
        "labels": pa.array(lists, view(pa.string())),
        "shape": pa.array(shapes, view(pa.float64())),
    }).slice(part.start)  # fmt: skip
    assert write_table(session, Part, table).inserted == len(numbers[part])
    rows = session.execute(select(Part.line, Part.code, Part.labels, Part.shape).order_by(Part.line)).all()
    found = [(line, code, labels, None if shape is None else shape.tolist()) for line, code, labels, shape in rows]
    assert found == list(zip(numbers, "xxxy", lists, shapes, strict=True))[part]
