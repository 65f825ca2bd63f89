from __future__ import annotations

import errno
import os
import pwd
import subprocess

import pytest

from rowspace.embedded import default_data_dir
from rowspace.embedded._wheel import reason
from rowspace.errors import StoreUnavailable


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


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def unknown(_):
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(StoreUnavailable, match=r"no home\. Set ROWSPACE_DATA_DIR"):
        default_data_dir()


@pytest.mark.parametrize("at", [".", ".."])
def test_a_place_that_cannot_be_written_to_is_named_with_the_way_out(tmp_path, at):
    (tmp_path / "PG_VERSION").touch()
    (tmp_path / "log").write_text("LOG:  shut down\n")
    denied = OSError(errno.EACCES, os.strerror(errno.EACCES), str((tmp_path / at).resolve()))
    assert reason(denied, tmp_path).endswith(
        f"{denied.filename}'. Set ROWSPACE_DATA_DIR to a directory that this user can create or write to."
    )


def test_a_program_that_may_not_be_run_is_no_fault_of_the_place(tmp_path):
    assert reason(OSError(errno.EACCES, "Permission denied", "/wheel/initdb"), tmp_path) == (
        "[Errno 13] Permission denied: '/wheel/initdb'"
    )

    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "x"))
    assert reason(full, tmp_path / "x").endswith("x'. Make room on the disk, and run it again.")


def test_a_full_disk_is_why_and_not_the_end_that_it_leads_to(tmp_path):
    full = '2026-11-30 11:25:45 UTC [98] FATAL:  could not write to file "pg_wal/xlogtemp.98": No space left on device'
    (tmp_path / "log").write_text(
        f"[7] LOG:  starting PostgreSQL 18\n[8] FATAL:  something else, of the last time\n"
        f"[9] LOG:  starting PostgreSQL 18\n{full}\n[9] LOG:  database system is shut down\n"
    )
    failed = subprocess.CalledProcessError(1, "pg_ctl")
    assert reason(failed, tmp_path) == f"{full}. Make room on the disk, and run it again."
    with (tmp_path / "log").open("a") as log:
        log.write("[10] LOG:  starting PostgreSQL 18\n[10] LOG:  database system is shut down\n")
    assert reason(failed, tmp_path) == "[10] LOG:  database system is shut down"
