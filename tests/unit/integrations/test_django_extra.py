from __future__ import annotations

import sys
from importlib import import_module

import pytest

from rowspace.errors import MissingExtra


@pytest.mark.parametrize("module", ["", ".models", ".querysets", ".apps", ".admin"])
def test_without_django_the_extra_is_named(monkeypatch, module):
    for name in [name for name in sys.modules if name.startswith("rowspace.integrations.django")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "django", None)
    with pytest.raises(MissingExtra, match=r"pip install 'rowspace\[django\]'"):
        import_module(f"rowspace.integrations.django{module}")
