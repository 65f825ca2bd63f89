from __future__ import annotations

import pytest

from rowspace import Highlight
from rowspace.distance import Distance
from rowspace.errors import InvalidSetting
from rowspace.models import Document
from rowspace.repositories.texts import marker_of
from rowspace.statements.search import Target
from rowspace.statements.text import TextTarget

TARGET = TextTarget(Target(Document, "embedding", Distance.COSINE, 3), "content")


@pytest.mark.parametrize("highlight", [None, "yes", 1, {"start": "<b>"}])
def test_a_highlight_is_a_truth_value_or_a_highlight(highlight):
    with pytest.raises(InvalidSetting, match="highlight must be True, False or a Highlight"):
        marker_of(highlight, TARGET, "word")


def test_true_is_the_usual_highlight():
    assert marker_of(False, TARGET, "word") is None
    assert marker_of(True, TARGET, "word").parameters == marker_of(Highlight(), TARGET, "word").parameters
