from __future__ import annotations

import json

from rowspace.errors import ModelUnavailable
from rowspace.integrations.rag.models import AnswerEvent
from rowspace.integrations.rest.events import event_text, failure_text


def test_an_event_is_two_lines_whatever_it_holds():
    text = event_text(AnswerEvent(type="token", token="a\n\nevent: b"))
    kind, data, *rest = text.split("\n")
    assert (kind, rest) == ("event: token", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {"type": "token", "token": "a\n\nevent: b"}


def test_a_failure_says_what_may_be_said():
    text = failure_text(ModelUnavailable("key sk-secret"), "abc-1")
    assert text.startswith("event: error\ndata: {")
    assert '"status": 503' in text
    assert '"request_id": "abc-1"' in text
    assert "secret" not in text
