import pytest

from rowspace.errors import ConfigurationError
from rowspace.migrations.urls import migration_url


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://ada:s3cret@db:5433/app",
        "postgres://ada:s3cret@db:5433/app",
        "postgresql+psycopg2://ada:s3cret@db:5433/app",
        "postgresql+psycopg_async://ada:s3cret@db:5433/app",
        "postgresql+asyncpg://ada:s3cret@db:5433/app",
    ],
)
def test_every_postgresql_url_becomes_psycopg_3(given):
    url = migration_url(given)
    assert url.render_as_string(hide_password=False) == "postgresql+psycopg://ada:s3cret@db:5433/app"


def test_what_only_asyncpg_understands_is_translated():
    url = migration_url("postgresql+asyncpg://db/app?ssl=require&prepared_statement_cache_size=0&application_name=x")
    assert dict(url.query) == {"sslmode": "require", "application_name": "x"}


@pytest.mark.parametrize(
    "given",
    [
        "mysql://ada:s3cret@db/app",
        "s3cret",
        "postgresql://ada:s3cret@db:port/app",
        "postgresql://ada:p@s3cret/x@db/app",
    ],
)
def test_an_unusable_url_is_refused_without_its_password(given):
    with pytest.raises(ConfigurationError) as caught:
        migration_url(given)
    assert "postgresql://" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
