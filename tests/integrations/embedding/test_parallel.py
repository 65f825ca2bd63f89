"""Embedding by processes: in order, and what becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic, sleep

import numpy as np
import pytest

from rowspace.errors import ConfigurationError, EmbedderFailed
from rowspace.integrations.embedding import ParallelEmbedder
from rowspace.services import embedder_name
from rowspace.testing import HashingEmbedder

TEXTS = [f"text {at}" for at in range(50)]

# Importable by the processes, as tests are not.
EMBEDDERS = """
import os
from rowspace.testing import HashingEmbedder

class Whose(HashingEmbedder):
    def embed_query(self, text):
        if text == "crash":
            os._exit(7)
        if text == "error":
            raise ValueError("a text that it cannot embed")
        return [float(os.getpid())]

def broken():
    raise LookupError("no model here")
"""


@pytest.fixture
def embedders(tmp_path, monkeypatch):
    (tmp_path / "some_embedders.py").write_text(EMBEDDERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    import some_embedders

    yield some_embedders
    del sys.modules["some_embedders"]


def test_vectors_come_in_the_order_of_the_texts():
    with ParallelEmbedder(partial(HashingEmbedder, 16), processes=2, chunk_size=3) as embedder:
        assert embedder_name(embedder) == "hashing-16"
        vectors = embedder.embed_documents(TEXTS)
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors, np.float32(HashingEmbedder(16).embed_documents(TEXTS)))
        assert embedder.embed_query("a").tolist() == np.float32(HashingEmbedder(16).embed_query("a")).tolist()
        assert len(embedder.embed_documents([])) == 0


def test_threads_that_come_at_once_share_the_processes(embedders):
    """As the first requests to a server do."""
    with ParallelEmbedder(embedders.Whose, processes=1) as embedder, ThreadPoolExecutor(6) as threads:
        assert len({float(vector[0]) for vector in threads.map(embedder.embed_query, "abcdef")}) == 1


def test_processes_that_end_are_an_error_and_are_replaced(embedders):
    with ParallelEmbedder(embedders.Whose, processes=1) as embedder:
        first = embedder.embed_query("a")[0]
        with pytest.raises(ValueError, match="a text that it cannot embed"):
            embedder.embed_documents(["a", "error"])
        assert embedder.embed_query("a")[0] == first, "an error of the embedder ends no process"
        with pytest.raises(EmbedderFailed, match=r"has ended: it was killed, for example because memory ran out"):
            embedder.embed_documents(["a", "crash"])
        second = embedder.embed_query("a")[0]
        assert second not in {first, os.getpid()}
        os.kill(int(second), signal.SIGINT)
        assert embedder.embed_query("a")[0] == second, "Ctrl-C is for the process that began"


def test_what_the_factory_says_is_heard(embedders):
    with ParallelEmbedder(embedders.broken, processes=1) as embedder, pytest.raises(LookupError, match="no model here"):
        embedder.embed_query("a")
    for number in (-1, 0):
        with pytest.raises(ConfigurationError, match=f"processes must be a whole number of at least 1, got {number}"):
            ParallelEmbedder(embedders.broken, processes=number)


KILLED = """
import os, signal, sys, some_embedders
from rowspace.integrations.embedding import ParallelEmbedder
if __name__ == "__main__":
    print(int(ParallelEmbedder(some_embedders.Whose, processes=1).embed_query("a")[0]), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_end_with_the_one_that_began(embedders, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    run = subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True)
    worker = int(run.stdout.readline())
    run.wait(60)
    run.stdout.close()
    deadline = monotonic() + 60
    while alive(worker):
        assert monotonic() < deadline
        sleep(0.05)


def alive(process):
    try:
        with open(f"/proc/{process}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
