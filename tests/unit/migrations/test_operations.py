import io

import pytest
from alembic.autogenerate import render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import UpgradeOps
from sqlalchemy.exc import ProgrammingError

from rowspace.errors import PermissionDenied, SchemaNotReady
from rowspace.migrations import CreateExtensionOp, DropExtensionOp
from rowspace.migrations.operations import _create, _drop


def offline(run):
    stream = io.StringIO()
    opts = {"as_sql": True, "output_buffer": stream}
    run(Operations(MigrationContext.configure(dialect_name="postgresql+psycopg", opts=opts)))
    return stream.getvalue().strip()


def test_extensions_are_created_and_dropped_as_operations():
    assert offline(lambda op: op.create_extension("vector")) == "CREATE EXTENSION IF NOT EXISTS vector;"
    assert offline(lambda op: op.drop_extension("uuid-ossp")) == 'DROP EXTENSION IF EXISTS "uuid-ossp";'


def test_extension_operations_render_and_reverse_themselves():
    upgrade = UpgradeOps([CreateExtensionOp("vector")])
    assert "op.create_extension('vector')" in render_python_code(upgrade)
    assert "op.drop_extension('vector')" in render_python_code(upgrade.reverse())
    assert upgrade.reverse().reverse().as_diffs() == upgrade.as_diffs() == [("create_extension", "vector")]
    assert DropExtensionOp("vector").to_diff_tuple() == ("drop_extension", "vector")


class Refusing:
    """An `op` whose database refuses."""

    def __init__(self, sqlstate):
        self.error = ProgrammingError("EXTENSION", {}, type("Origin", (Exception,), {"sqlstate": sqlstate})("no."))

    def get_context(self):
        return MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True})

    def execute(self, _):
        raise self.error


@pytest.mark.parametrize(
    ("sqlstate", "expected", "words"),
    [
        ("42501", PermissionDenied, "administrator run CREATE EXTENSION vector; once in this database"),
        ("0A000", SchemaNotReady, "not installed on the database server"),
        ("58P01", SchemaNotReady, "not installed on the database server"),
        ("40001", ProgrammingError, "no"),
    ],
)
def test_what_an_administrator_must_do_is_said(sqlstate, expected, words):
    with pytest.raises(expected, match=words):
        _create(Refusing(sqlstate), CreateExtensionOp("vector"))


@pytest.mark.parametrize("sqlstate", ["42501", "2BP01"])
def test_an_extension_that_cannot_be_dropped_may_stay(sqlstate):
    with pytest.raises(PermissionDenied, match=r"no\. To keep it, remove op\.drop_extension\('vector'\) from"):
        _drop(Refusing(sqlstate), DropExtensionOp("vector"))
    with pytest.raises(ProgrammingError):
        _drop(Refusing("40001"), DropExtensionOp("vector"))
