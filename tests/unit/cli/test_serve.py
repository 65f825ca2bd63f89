"""For whom a server is: for this machine alone, or for whoever reaches it."""

from __future__ import annotations

import hashlib
import json

import pytest

from rowspace.cli.serve import _is_local


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_a_server_on_the_loopback_is_for_this_machine(host, capsys):
    assert _is_local(host)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com"])  # noqa: S104 -- is not bound
def test_of_any_other_without_keys_the_person_is_warned(host, capsys):
    assert not _is_local(host)
    assert f"is empty, so anyone who can reach {host} can read and change everything." in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 -- is not bound
def test_with_keys_it_is_for_those_who_have_one(host, monkeypatch, capsys):
    monkeypatch.setenv("ROWSPACE_API_KEYS", json.dumps([{"sha256": hashlib.sha256(b"key").hexdigest()}]))
    assert not _is_local(host)
    assert capsys.readouterr().err == ""
