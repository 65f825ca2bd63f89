from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own: pandas and Polars look for pyarrow once, when they are first imported.
PROBE = """
import sys
sys.modules[sys.argv[2]] = None
from rowspace.errors import MissingExtra
try:
    __import__(f"rowspace.integrations.{sys.argv[1]}")
except MissingExtra as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "missing", "extra"),
    [
        ("arrow", "pyarrow", "arrow"),
        ("pandas", "pandas", "pandas"),
        ("pandas", "pyarrow", "pandas"),
        ("polars", "polars", "polars"),
        ("polars", "pyarrow", "polars"),
    ],
)
def test_a_missing_library_is_asked_for_by_its_extra(module, missing, extra):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, module, missing], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"pip install 'rowspace[{extra}]'" in done.stdout, done.stderr
