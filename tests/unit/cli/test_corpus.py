from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rowspace.cli.corpus import _imported, documents
from rowspace.cli.wording import searchable

DIGEST = """
import hashlib
from rowspace.cli.corpus import documents
print(hashlib.sha256("".join(one.model_dump_json() for one in documents(None)).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def found():
    return list(documents(None))


@pytest.fixture(scope="module")
def corpus(found):
    return {one.id: one for one in found}


def test_it_is_large_and_distinct(corpus, found):
    assert 4_500 < len(corpus) < 8_000
    assert len({one.content for one in found}) == len(corpus) == len(found)


def test_things_have_the_names_that_people_call_them_by(corpus):
    expected = {"json.loads", "open", "os.path.join", "random.choice", "str.join", "concurrent.futures.Executor.map"}
    assert expected <= corpus.keys()
    assert not {"builtins.open", "posixpath.join", "random.Random.choice"} & corpus.keys()


def test_what_is_told_of_a_thing(corpus):
    found = corpus["json.loads"]
    assert found.content.startswith("json.loads: Deserialize s to a Python object.\n")
    assert found.metadata["kind"] == "function"
    assert found.metadata["module"] == "json"
    assert found.metadata["summary"].startswith("Deserialize ``s``")
    assert found.metadata["signature"].startswith("(s, *, cls=None, object_hook=None,")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("json", "module"),
        ("zipfile.ZipFile", "class"),
        ("json.JSONDecodeError", "exception"),
        ("math.gcd", "function"),
        ("str.join", "method"),
        ("ipaddress.IPv4Address.packed", "property"),
    ],
)
def test_kinds(corpus, name, kind):
    assert corpus[name].metadata["kind"] == kind


def test_it_is_the_same_in_every_process():
    def digest(seed):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "ROWSPACE_SECRET": "f00d" + seed}
        command = [sys.executable, "-c", DIGEST]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    assert digest("1") == digest("2")


@pytest.mark.parametrize("name", ["antigravity", "this"])
def test_modules_that_act_when_they_are_imported_are_not(monkeypatch, name):
    imported = []
    monkeypatch.setattr("rowspace.cli.corpus.import_module", imported.append)
    assert [*_imported(name), *imported] == []


def test_nothing_of_the_environment_is_in_it(corpus):
    # The default value of a parameter of cgi.parse is os.environ.
    values = [value for value in os.environ.values() if len(value) > 12]
    assert [one.id for one in corpus.values() for value in values if value in repr(one)] == []
    assert [one.id for one in corpus.values() if " at 0x" in repr(one)] == []


@pytest.mark.parametrize(
    ("name", "docstring", "expected"),
    [
        ("a.b", "Do it.", "a.b: Do it.\na b. a b."),
        (
            "a.fooBar_baz",
            "Do ``it`` (now (or later)) *well*.\n\nMore.",
            "a.fooBar_baz: Do it well.\na foo Bar baz. ",
        ),
        ("x.loads", "Read a str.", "x.loads: Read a string.\nx load from string. x load from string."),
        ("d.pop", "D.pop(k[,d]) -> v, remove it.\nIf not found, stop.", "d.pop: If not found, stop.\nd pop. d pop."),
        ("d.get", "d.get(k)", "d.get: d.get\nd get. d get."),
    ],
)
def test_wording(name, docstring, expected):
    assert searchable(name, docstring).startswith(expected)


def test_a_long_docstring_is_cut_at_a_sentence():
    text = searchable("a", "One sentence. " * 50).partition("\n")[0]
    assert len(text) < 160
    assert text.endswith("sentence.")
