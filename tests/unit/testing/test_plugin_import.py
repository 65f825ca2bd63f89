from __future__ import annotations

import subprocess
import sys

import pytest

import rowspace.testing

# What the plugin brings into every run of pytest of everybody who has Rowspace installed.
CODE = """
import sys, pytest
before = set(sys.modules)
import rowspace.testing.plugin
print(*set(sys.modules) - before)
"""


def test_the_plugin_costs_nothing_until_a_fixture_is_asked_for():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert {name for name in imported if name.startswith("rowspace")} == {
        "rowspace",
        "rowspace.testing",
        "rowspace.testing.plugin",
    }
    assert len(imported) < 10


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match=r"module 'rowspace\.testing' has no attribute 'Nothing'"):
        rowspace.testing.Nothing  # noqa: B018
