import pgvector.sqlalchemy
import pytest
from alembic.autogenerate.api import AutogenContext, compare_metadata
from alembic.autogenerate.render import _repr_type, render_op_text
from alembic.migration import MigrationContext
from alembic.operations.ops import CreateIndexOp, CreateTableOp, DropIndexOp, ModifyTableOps, UpgradeOps
from sqlalchemy import ARRAY, JSON, Column, Integer, MetaData, Table, Text, create_engine
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex

from rowspace.indexes import HNSW
from rowspace.migrations import configure_options
from rowspace.migrations.autogenerate import _free_names
from rowspace.types import Bit, HalfVector, SparseVector, Vector


def context(**options):
    migration = MigrationContext.configure(dialect=psycopg.dialect())
    defaults = {"sqlalchemy_module_prefix": "sa.", "alembic_module_prefix": "op.", "user_module_prefix": None}
    made = AutogenContext(migration, opts={**defaults, **configure_options(**options)})
    made.imports = set()
    return made


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (Vector(3), "rowspace.types.Vector(3)"),
        (Vector(), "rowspace.types.Vector()"),
        (HalfVector(4), "rowspace.types.HalfVector(4)"),
        (Bit(8), "rowspace.types.Bit(8)"),
        (SparseVector(9), "rowspace.types.SparseVector(9)"),
        (Vector(3).with_variant(JSON(), "sqlite"), "rowspace.types.Vector(3).with_variant(sa.JSON(), 'sqlite')"),
        (JSON().with_variant(Bit(3), "postgresql"), "sa.JSON().with_variant(rowspace.types.Bit(3), 'postgresql')"),
    ],
)
def test_a_vector_type_renders_with_its_import(type_, expected):
    made = context()
    assert _repr_type(type_, made) == expected
    assert made.imports == {"import rowspace.types"}


def test_types_of_pgvector_and_arrays_of_vectors_get_their_imports_too():
    made = context()
    assert _repr_type(pgvector.sqlalchemy.VECTOR(3), made).endswith(".VECTOR(dim=3)")
    assert _repr_type(ARRAY(HalfVector(3)), made) == "sa.ARRAY(rowspace.types.HalfVector(3))"
    assert {"import rowspace.types", f"import {pgvector.sqlalchemy.VECTOR.__module__}"} == made.imports


def test_other_types_are_left_to_alembic():
    made = context()
    assert _repr_type(Text(), made) == "sa.Text()"
    assert made.imports == set()


def test_the_applications_own_hook_is_asked_first():
    made = context(render_item=lambda kind, item, context: "mine" if isinstance(item, Vector) else False)
    assert _repr_type(Vector(3), made) == "mine"
    assert _repr_type(HalfVector(3), made) == "rowspace.types.HalfVector(3)"


def test_the_applications_own_plugins_are_kept():
    plugins = configure_options(autogenerate_plugins=["alembic.*", "~alembic.autogenerate.comments"])
    assert plugins["autogenerate_plugins"] == [
        "alembic.*",
        "~alembic.autogenerate.comments",
        "rowspace.autogenerate",
    ]


@pytest.mark.parametrize(
    ("column", "quantize", "expected"),
    [
        (Column("vec", Vector(3), key="embedding"), None, "vec vector_l2_ops"),
        (Column("embedding", Vector(3)), "bit", "CAST(binary_quantize(embedding) AS BIT(3)) bit_hamming_ops"),
    ],
)
def test_what_is_rendered_for_a_model_runs(column, quantize, expected):
    index = HNSW("l2", m=8, ef_construction=32, quantize=quantize).index("embedding", name="ix_articles_embedding")
    table = Table("articles", MetaData(), Column("id", Integer, primary_key=True), column, index)
    made = context()
    code = "\n".join(
        render_op_text(made, op) for op in (CreateTableOp.from_table(table), CreateIndexOp.from_index(index))
    )
    calls = []
    recorder = type("Op", (), {"__getattr__": lambda _, name: lambda *args, **kw: calls.append((name, args, kw))})()
    recorder.f = str
    exec("\n".join(["import sqlalchemy as sa", *made.imports, code]), {"op": recorder})  # noqa: S102
    assert repr(calls[0][1][2].type) == "Vector(3)"
    (name, table_name, expressions), options = calls[1][1:]
    made_again = CreateIndexOp(name, table_name, expressions, **options).to_index()
    assert str(CreateIndex(made_again).compile(dialect=psycopg.dialect())) == (
        f"CREATE INDEX ix_articles_embedding ON articles USING hnsw ({expected}) WITH (m = 8, ef_construction = 32)"
    )


def test_another_database_is_left_to_alembic():
    """An application may have SQLite too, whose catalogs are others."""
    wanted = MetaData()
    Table("articles", wanted, Column("id", Integer, primary_key=True), Column("title", Text))
    with create_engine("sqlite://", poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("CREATE TABLE articles (id INTEGER NOT NULL PRIMARY KEY)")
        migration = MigrationContext.configure(connection, opts=configure_options())
        ((change, *_, column),) = compare_metadata(migration, wanted)
    assert (change, column.name) == ("add_column", "title")


def test_an_index_is_dropped_before_one_of_its_name_is_made_on_another_table():
    upgrade = UpgradeOps(
        [
            ModifyTableOps("new", [CreateIndexOp("moved", "new", ["a"])]),
            ModifyTableOps("other", [CreateIndexOp("moved too", "other", ["a"]), CreateIndexOp("own", "other", ["a"])]),
            ModifyTableOps("old", [DropIndexOp("moved", "old"), DropIndexOp("moved too", "old")]),
            ModifyTableOps("same", [DropIndexOp("changed", "same"), CreateIndexOp("changed", "same", ["a"])]),
        ]
    )
    _free_names(context(), upgrade)
    assert [(change.table_name, [op.index_name for op in change.ops]) for change in upgrade.ops] == [
        ("other", ["own"]),
        ("old", ["moved", "moved too"]),
        ("same", ["changed", "changed"]),
        ("new", ["moved"]),
        ("other", ["moved too"]),
    ]
