"""Sentences in several scripts, and roughly how many tokens a text is."""

from __future__ import annotations

from time import thread_time

import pytest

from rowspace.integrations.rag.sentences import approximate_tokens, sentence_spans, sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("向量数据库很快。它支持索引！你知道吗？知道", ["向量数据库很快。", "它支持索引！", "你知道吗？", "知道"]),
        ("他说：“好。”然后走了。", ["他说：“好。”", "然后走了。"]),
        ("ベクトル検索です。速い。", ["ベクトル検索です。", "速い。"]),
        ('He said "yes." Then he left.', ['He said "yes."', "Then he left."]),
        (
            "Version 3.14 is out, e.g. on Linux. See www.example.org/a.b for more.",
            ["Version 3.14 is out, e.g. on Linux.", "See www.example.org/a.b for more."],
        ),
        ("Dr. E. Codd wrote it. So did C. Date.", ["Dr. E. Codd wrote it.", "So did C. Date."]),
        ("A heading\n\nA text over\ntwo lines.", ["A heading", "A text over two lines."]),
        ("Wait... what", ["Wait...", "what"]),
        ("Take:\n- a cup\n- water of 80.5 °C\n1. Boil.", ["Take:", "- a cup", "- water of 80.5 °C", "1. Boil."]),
        ("mixed 中文。English. 混合", ["mixed 中文。", "English.", "混合"]),
        ("  \n\n ", []),
        ("", []),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "count"), [("p. 7, " * 20_000, 1), ("." * 100_000 + "x", 1), ("A heading " + "." * 100_000 + " 7", 2)]
)
def test_a_long_text_takes_time_by_its_length_alone(text, count):
    """An index, dotted lines: from each mark on, the text before it was read again."""
    began = thread_time()
    assert len(sentences(text)) == count
    # Of this thread's own: on a busy machine it takes longer by the clock, and no more of the processor.
    assert thread_time() - began < 5


def test_spans_are_those_of_the_text():
    text = " One.  Two \n\n三。 "
    assert [text[start:end] for start, end in sentence_spans(text)] == ["One.", "Two", "三。"]


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("数据库", 3), ("数据 ab", 3)]
)
def test_tokens(text, tokens):
    assert approximate_tokens(text) == tokens
