from __future__ import annotations

import pytest

from rowspace.embedded import default_data_dir


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ROWSPACE_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ".local/share/rowspace/postgresql-18"),
        ({"XDG_DATA_HOME": ""}, ".local/share/rowspace/postgresql-18"),
        ({"XDG_DATA_HOME": "{home}/data"}, "data/rowspace/postgresql-18"),
        ({"XDG_DATA_HOME": "{home}/data", "ROWSPACE_DATA_DIR": "~/given"}, "given"),
    ],
)
def test_where_the_data_is_by_default(monkeypatch, tmp_path, variables, expected):
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    assert default_data_dir() == tmp_path / expected
