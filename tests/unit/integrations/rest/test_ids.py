"""Request ids that are fit for a log."""

from __future__ import annotations

import pytest

from rowspace.integrations.rest.ids import request_id


@pytest.mark.parametrize("given", ["a", "5f1c-0", "a/b+c=d_e.f:g", "x" * 128])
def test_the_callers_own(given):
    assert request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "a b", "a\nb", "a\x1b[2J", "<b>", "茶", "x" * 129])
def test_a_new_one(given):
    made = request_id(given)
    assert len(made) == 32
    assert made != request_id(given)
