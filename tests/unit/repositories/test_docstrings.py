"""Every public method of a repository says what it costs."""

from __future__ import annotations

import inspect
import re

import pytest

import rowspace

ENDINGS = ("Advisor", "Builder", "Doctor", "Repository")
CLASSES = [getattr(rowspace, name) for name in rowspace.__all__ if name.endswith(ENDINGS)]
METHODS = [
    method
    for made in CLASSES
    for name, method in inspect.getmembers(made, inspect.isfunction)
    if not name.startswith("_")
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__qualname__)
def test_a_method_says_what_it_costs(method):
    assert re.search(r"\b[Cc]osts?\b", inspect.getdoc(method) or "")
