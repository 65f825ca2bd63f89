from __future__ import annotations

import importlib
import sys

import pytest

from rowspace.errors import MissingExtra


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
def test_a_missing_library_is_asked_for_by_its_extra(monkeypatch, module, missing, extra):
    for name in [name for name in sys.modules if name.startswith("rowspace.integrations.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'rowspace\[{extra}\]'"):
        importlib.import_module(f"rowspace.integrations.{module}")
