"""What is shown to the model: within the budget, best first, numbered."""

from __future__ import annotations

import pytest

from rowspace.integrations.rag.packing import pack
from rowspace.integrations.rag.sentences import approximate_tokens
from rowspace.services import SearchHit


def hits(*contents):
    return [
        SearchHit(rank=n, id=f"d{n}", content=content, metadata={"n": n}, distance=0.5)
        for n, content in enumerate(contents, 1)
    ]


def words(text):
    return len(text.split())


@pytest.mark.parametrize("budget", [3, 50])
def test_what_fits_is_whole(budget):
    sources = pack(hits("one two", "three"), budget, words)
    assert [(s.number, s.id, s.content, s.truncated, s.distance) for s in sources] == [
        (1, "d1", "one two", False, 0.5),
        (2, "d2", "three", False, 0.5),
    ]


def test_the_one_that_does_not_fit_is_cut_at_a_sentence_and_is_the_last():
    long = " ".join(f"Sentence number {n} has seven words here." for n in range(20))
    sources = pack(hits("one two", long, "three"), 40, words)
    assert [source.number for source in sources] == [1, 2]
    assert sources[1].truncated
    assert sources[1].content.endswith("Sentence number 4 has seven words here.")
    assert sum(words(source.content) for source in sources) <= 40


@pytest.mark.parametrize("budget", [50, 51, 63, 200])
@pytest.mark.parametrize("text", ["word " * 1000, "数据库。" * 1000, "x" * 10_000])
def test_the_budget_is_kept(budget, text):
    sources = pack(hits(text, text + "more"), budget, approximate_tokens)
    assert len(sources) == 1
    assert sources[0].truncated
    assert budget * 0.8 < approximate_tokens(sources[0].content) <= budget


def test_too_little_room_is_left_empty():
    assert [source.id for source in pack(hits("w " * 40, "v " * 40), 60, words)] == ["d1"]


def test_empty_and_repeated_texts_are_left_out():
    sources = pack(hits("a", " \n", "a ", "b"), 50, words)
    assert [(source.number, source.id) for source in sources] == [(1, "d1"), (2, "d4")]


def test_nothing_makes_nothing():
    assert pack([], 50, words) == []
