"""The tools that check what is generated and what is packed: each finds the fault that it is there for."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(autouse=True)
def _columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")  # cli_help sets it, which is not to outlive the test


def load(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "target", "word"), [("cli_help", "PAGE", "Show this message"), ("openapi", "PATH", "title")]
)
def test_what_is_stale_is_found_and_written_anew(monkeypatch, tmp_path, name, target, word):
    module = load(name)
    fresh = getattr(module, target).read_text("utf-8")
    stale, copy = fresh.replace(word, "other"), tmp_path / "copy"
    copy.write_text(stale, "utf-8")
    monkeypatch.setattr(module, target, copy)
    monkeypatch.setattr(sys, "argv", [name, "--check"])
    with pytest.raises(SystemExit, match="is stale; run: python tools/"):
        module.main()
    assert copy.read_text("utf-8") == stale
    monkeypatch.setattr(sys, "argv", [name])
    module.main()
    assert copy.read_text("utf-8") == fresh
    monkeypatch.setattr(sys, "argv", [name, "--check"])
    module.main()


def test_a_command_without_a_block_is_found(monkeypatch, tmp_path):
    module = load("cli_help")
    page = module.PAGE.read_text("utf-8")
    for command in ("", " collections", " collections drop"):
        page = page.replace(f"$ rowspace{command} --help\n", "$ other\n")
    (tmp_path / "cli.md").write_text(page, "utf-8")
    monkeypatch.setattr(module, "PAGE", tmp_path / "cli.md")
    with pytest.raises(SystemExit, match=r"cli\.md has no block for: , collections, collections drop$"):
        module.main()


def test_a_description_that_is_not_there_is_made(monkeypatch, tmp_path):
    module = load("openapi")
    monkeypatch.setattr(module, "PATH", tmp_path / "openapi.json")
    monkeypatch.setattr(sys, "argv", ["openapi"])
    module.main()
    assert module.PATH.read_text("utf-8") == module.described()


@pytest.mark.parametrize("lost", ["rowspace/py.typed", "rowspace/_alembic/env.py", "rowspace/_alembic/alembic.ini"])
def test_a_file_that_is_not_in_the_wheel_is_found(monkeypatch, lost):
    module = load("smoke_wheel")

    def build(*command, cwd):
        assert "build" in command, "it goes on with a wheel that is not complete"
        with ZipFile(cwd / "rowspace.whl", "w") as wheel:
            for name in module.expected() - {lost}:
                wheel.writestr(name, "")

    monkeypatch.setattr(module, "run", build)
    with pytest.raises(SystemExit, match=f"not in the wheel: {lost}$"):
        module.main()


def test_a_step_that_fails_ends_it_with_what_it_said(tmp_path):
    module = load("smoke_wheel")
    module.run(sys.executable, "-c", "pass", cwd=tmp_path)
    with pytest.raises(SystemExit, match="why\n\nsmoke_wheel: command failed: "):
        module.run(sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)", cwd=tmp_path)
