"""What is searched for is one line, whatever the model wrote."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage

from rowspace.errors import ModelError
from rowspace.integrations.rag.chat import Reply
from rowspace.integrations.rag.condensing import Sought


def reply(text, **usage):
    made = Reply()
    made.add(AIMessage(text, usage_metadata=usage or None))
    return made


def counts(total):
    return {"input_tokens": total - 1, "output_tokens": 1, "total_tokens": total}


def test_one_line_of_bounded_length_without_what_no_reader_sees():
    assert Sought.from_reply(reply(" How\n\tlong\x00 is\u202e 茶?\n")).text == "How long is 茶?"
    assert len(Sought.from_reply(reply("word " * 1_000)).text) == 1_000


def test_nothing_is_no_question():
    with pytest.raises(ModelError, match="rewrite the question"):
        Sought.from_reply(reply("\u200b"))


def test_tokens_of_both_replies_are_added():
    sought = Sought.from_reply(reply("why?", **counts(10)))
    assert sought.usage_with(reply("because", **counts(5))) == {
        "input_tokens": 13, "output_tokens": 2, "total_tokens": 15
    }  # fmt: skip
    assert sought.usage_with(reply("because")) == counts(10)
    assert Sought("why?").usage_with(reply("because")) is None
