from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

from rowspace.cli.session import embedder_for
from rowspace.integrations._ingest.documents import Fields, Format, numbered_documents
from rowspace.integrations._ingest.lines import Watch
from rowspace.integrations._ingest.rejects import Rejects
from rowspace.integrations._progress import Pace


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_speed_and_the_time_that_is_left(clock):
    pace = Pace(clock=clock)
    clock.now += 2
    assert pace.at(3_000, 0.25) == "3,000, 1,500/s, 0:06 left"
    clock.now += 2
    assert pace.at(6_000, None) == "6,000, 1,500/s"
    assert Pace(clock=clock).at(0) == "0"


def test_the_speed_is_that_of_the_last_seconds(clock):
    pace = Pace(10_000_000, clock=clock)
    # A load that goes on where it stopped begins with a jump.
    clock.now += 1
    pace.at(1_000_000)
    for _ in range(30):
        clock.now += 1
        words = pace.at(pace._marks[-1][1] + 1_000)
    assert words == "1,030,000 of 10,000,000, 1,000/s, 2:29:30 left"


def rejected(text, format_=Format.JSONL, **fields):
    bad = []
    lines = (text if isinstance(text, bytes) else text.encode()).splitlines(keepends=True)
    watch = Watch(format_.unit, lambda *given: bad.append(given))
    return [one.content for _, one in numbered_documents(lines, format_, Fields(**fields), watch)], bad


def test_bad_lines_are_handed_over_and_the_good_ones_come():
    text = '{"content": "a", "v": [1, 2]}\n{"content": \n[1]\n{"text": "b"}\n{"content": "c\\u0000", "v": [1, 2]}\n\n'
    text += '{"content": "d", "v": [1]}\n{"content": "e", "v": [1, NaN]}\n{"content": "f", "v": [3, 4]}\n'
    good, bad = rejected(text, embedding="v")
    assert good == ["a", "f"]
    assert [(number, row) for number, _, row in bad][:4] == [
        (2, '{"content":'),
        (3, [1]),
        (4, {"text": "b"}),
        (5, {"content": "c\0", "v": [1, 2]}),
    ]
    assert [reason.partition(",")[0][:30] for _, reason, _ in bad] == [
        "not JSON: Expecting value: lin",
        "expected a JSON object",
        "there is no 'content'",
        "a NUL byte in 'c\\x00'",
        "Expected 2 dimensions",
        "A vector cannot contain NaN",
    ]


def test_bytes_that_are_not_utf8():
    good, ((number, reason, row),) = rejected(b'{"content": "ok"}\n{"content": "\xff"}\n{"content": "too"}\n')
    assert (good, number, row) == (["ok", "too"], 2, {"content": "\udcff"})
    assert "lone surrogate" in reason


def test_csv_goes_on_after_a_bad_row():
    good, bad = rejected('id,content\n1,a\n2\n3,"b\nb"x\n4,c\n5,\xff\n'.encode("latin-1"), Format.CSV)
    assert good == ["a", "c"]
    assert [number for number, _, _ in bad] == [3, 4, 7]
    assert bad[0][1:] == ("1 cells under 2 column names.", ["2"])
    assert bad[1][1].startswith("not CSV: ")


def test_the_file_of_rejects(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text("of an earlier load")
    with Rejects(path) as rejects:
        rejects(3, "because", {"content": "中\udcff"})
    assert rejects.count == 1
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"line": 3, "reason": "because", "row": {"content": "中\udcff"}}
    ]
    with Rejects(None) as nothing:
        assert nothing.count == 0


def test_values_that_json_has_no_form_for_are_text_in_the_file_of_rejects(tmp_path):
    row = {"n": float("nan"), "i": [float("-inf")], "b": b"x", "d": dt.date(2026, 1, 2), "v": np.ones(2), 1: None}
    with Rejects(tmp_path / "bad.jsonl") as rejects:
        rejects(1, "because", row)
    found = json.loads((tmp_path / "bad.jsonl").read_text(), parse_constant=pytest.fail)
    shown = {"n": "nan", "i": ["-inf"], "b": "b'x'", "d": "2026-01-02", "v": [1, 1], "1": None}
    assert found["row"] == shown


def test_a_row_that_is_too_deep_to_be_written_is_refused_without_it(tmp_path):
    row = value = {}
    for _ in range(2_000):
        value["a"] = value = {}
    with Rejects(tmp_path / "bad.jsonl") as rejects:
        rejects(1, "because", row)
        rejects(2, "too", {})
    found = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert found == [{"line": 1, "reason": "because", "row": None}, {"line": 2, "reason": "too", "row": {}}]


def test_a_full_disk_names_the_file_of_rejects():
    with pytest.raises(OSError, match="No space left") as caught, Rejects(Path("/dev/full")) as rejects:
        rejects(1, "because", "row")
    assert caught.value.filename == "/dev/full"


def test_an_embedder_a_process():
    with embedder_for("rowspace.testing:HashingEmbedder", processes=2) as embedder:
        assert embedder._processes == 2
