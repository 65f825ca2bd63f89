"""`rowspace ingest --resume` and `--rejects`, and `rowspace reembed`, in this process."""

from __future__ import annotations

import json
import subprocess
import sys


def lines(*rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


MIXED = lines({"content": "one"}, '{"content": ', {"content": "a\0"}, {"content": "two"})


def collections(cli):
    return {one["name"]: one for one in json.loads(cli("collections", "--json").stdout)}


def test_rejects_go_to_a_file(cli, tmp_path):
    source, bad = tmp_path / "mixed.jsonl", tmp_path / "bad.jsonl"
    source.write_text(MIXED)
    said = cli("ingest", str(source), "-c", "mixed", "--rejects", str(bad)).stderr
    assert "2 documents into 'mixed': 2 new" in said
    assert said.endswith(f"2 lines rejected: see {bad}.\n")
    found = [json.loads(line) for line in bad.read_text().splitlines()]
    assert [(one["line"], one["row"]) for one in found] == [(2, '{"content":'), (3, {"content": "a\0"})]
    assert "NUL byte" in found[1]["reason"]
    assert "line 2: not JSON" in cli("ingest", str(source), "-c", "strict", code=1).stderr
    assert "--rejects requires the name of a file, got -" in cli("ingest", str(source), "--rejects", "-", code=2).stderr
    assert "is being read" in cli("ingest", str(source), "--rejects", str(source), code=2).stderr
    assert source.read_text() == MIXED


def test_what_is_read_by_another_name_is_not_written_over(cli, tmp_path):
    source, linked = tmp_path / "mixed.jsonl", tmp_path / "linked.jsonl"
    source.write_text(MIXED)
    linked.hardlink_to(source)
    assert "is being read" in cli("ingest", source, "--rejects", linked, code=2).stderr
    with source.open() as standard_input:
        done = subprocess.run(
            [sys.executable, "-m", "rowspace", "ingest", "-", "--format", "jsonl", "--rejects", source],
            stdin=standard_input,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, "is being read" in done.stderr) == (2, True)
    assert source.read_text() == MIXED


def test_rejects_that_have_no_room_stop_the_load(cli, tmp_path):
    source = tmp_path / "mixed.jsonl"
    source.write_text(MIXED)
    said = cli("ingest", str(source), "-c", "mixed", "--rejects", "/dev/full", code=1).stderr
    assert said.endswith("/dev/full: No space left on device.\n")
    assert "mixed" not in collections(cli)


def test_nothing_but_rejects(cli, tmp_path):
    bad = tmp_path / "bad.jsonl"
    said = cli("ingest", "-", "--format", "jsonl", "--rejects", str(bad), given=lines("x", "y")).stderr
    assert "0 documents into 'documents'" in said
    assert "2 lines rejected" in said


def test_a_file_that_changed_is_not_resumed(cli, tmp_path):
    source = tmp_path / "rows.jsonl"
    rows = [{"content": f"text {at}"} for at in range(700)]
    source.write_text(lines(*rows, "broken"))
    assert "Complete batches are kept" in cli("ingest", str(source), "-c", "rows", "--resume", code=1).stderr
    assert collections(cli)["rows"]["documents"] == 500
    source.write_text(lines({"content": "another"}, *rows))
    said = cli("ingest", str(source), "-c", "rows", "--resume", code=1).stderr
    assert "The first 500 documents differ from those that the interrupted load read" in said
    said = cli("ingest", str(source), "-c", "rows", "--resume").stderr
    assert "701 documents into 'rows': 201 new, 0 updated, 500 unchanged" in said


def test_a_file_that_was_mended_is_resumed(cli, tmp_path):
    source = tmp_path / "rows.jsonl"
    rows = [{"content": f"text {at}"} for at in range(700)]
    source.write_text(lines(*rows, "broken"))
    cli("ingest", str(source), "-c", "rows", "--resume", code=1)
    source.write_text(lines(*rows, {"content": "mended"}))
    said = cli("ingest", str(source), "-c", "rows", "--resume", "--processes", "2").stderr
    assert "701 documents into 'rows': 701 new, 0 updated, 0 unchanged, 0 duplicates" in said
    index = collections(cli)["rows"]
    assert (index["documents"], index["embedder"]) == (701, "hashing-64")


def test_reembed(cli, monkeypatch, tmp_path):
    cli("ingest", "-", "--format", "jsonl", "-c", "rows", given=lines(*({"content": f"text {at}"} for at in range(20))))
    (tmp_path / "other_embedder.py").write_text(
        "from rowspace.testing import HashingEmbedder\nsmaller = HashingEmbedder(32)\n"
        "class Stopped(HashingEmbedder):\n"
        "    def __init__(self):\n        super().__init__(32)\n"
        "    def embed_documents(self, texts):\n        raise KeyboardInterrupt\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    said = cli("reembed", "rows", "--embedder", "other_embedder:Stopped", code=130).stderr
    assert "The collection is unchanged. To continue, run the command again; to give up, --abandon." in said
    assert "is being re-embedded by 'hashing-32'" in cli("reembed", "rows", code=1).stderr
    assert "'rows' is unchanged." in cli("reembed", "rows", "--abandon").stderr
    said = cli("reembed", "rows", "--embedder", "other_embedder:smaller", "--index", "none").stderr
    assert said.endswith("'rows': 20 documents by 'hashing-32', 32 dimensions.\n")
    found = collections(cli)["rows"]
    assert (found["dimension"], found["embedder"], found["index"]) == (32, "hashing-32", {})
    assert "was filled by the embedder 'hashing-32'" in cli("search", "text 7", "-c", "rows", code=1).stderr
    monkeypatch.setenv("ROWSPACE_EMBEDDER", "other_embedder:smaller")
    assert json.loads(cli("search", "text 7", "-c", "rows", "--json").stdout)[0]["content"] == "text 7"
    cli("reembed", "rows", "--embedder", "rowspace.testing:HashingEmbedder", "--index", "ivfflat")
    found = collections(cli)["rows"]
    assert (found["dimension"], found["index"]["method"]) == (64, "ivfflat")
    assert "There is no collection 'none'" in cli("reembed", "none", code=1).stderr


def test_reembed_ends_its_processes(cli, monkeypatch):
    closed = []

    def close(embedder):
        closed.append(embedder)

    monkeypatch.setattr("rowspace.integrations.embedding.ParallelEmbedder.close", close)
    assert "There is no collection 'none'" in cli("reembed", "none", "--processes", "2", code=1).stderr
    assert len(closed) == 1
