"""Every ```python block of README.md and docs/ runs, each page as one module.

What is not to run is not fenced as python, but as text, pycon, console. `await` works at the top level of a block.
"""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from inspect import CO_COROUTINE
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest
from sqlalchemy import inspect

from rowspace import CollectionRepository, Database, DocumentService
from rowspace.migrations import is_rowspace_table
from rowspace.testing import HashingEmbedder

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)]
BLOCK = re.compile(r"^( *)```python\n(?P<code>.*?)^\1```$", re.DOTALL | re.MULTILINE)
PYTHON_FENCE = re.compile(
    r"^ *(?:`{3,}|~{3,}|:{3,}) *(?:\{code(?:-block|-cell)?\} *)?(?:python|py)\d?\b.*$", re.MULTILINE | re.IGNORECASE
)


def blocks_of(text: str) -> list[tuple[int, str]]:
    """Return the line that each python block begins on, and its code."""
    return [(text.count("\n", 0, match.start("code")) + 1, dedent(match["code"])) for match in BLOCK.finditer(text)]


def run_page(page: Path, module: ModuleType) -> None:
    """Run the blocks of `page` one after the other in `module`, the awaiting ones on one event loop."""
    with asyncio.Runner() as runner:
        for line, code in blocks_of(page.read_text("utf-8")):
            # The empty lines in front make the page's own line numbers appear in tracebacks.
            source = "\n" * (line - 1) + code
            try:
                compiled = compile(source, page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
                waiting = eval(compiled, vars(module))  # noqa: S307 -- exec would drop the coroutine
                if compiled.co_flags & CO_COROUTINE:
                    runner.run(waiting)
            except Exception as error:
                error.add_note(f"In the block that begins at {page}:{line}")
                raise


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A registered module: SQLAlchemy and dataclasses look annotations up in sys.modules."""
    page = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)
    return page


@pytest.mark.usefixtures("docs_database")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_runs(page, module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page, module)
    # Readers run one page after the other on one database, and a page again.
    assert left_behind() == set()


# As langchain-postgres 0.0.19, llama-index-vector-stores-postgres 0.9.0, pgvector-haystack 8.1.2 and vecs 0.4.5 make
# them. They cannot be installed beside this: they pin older packages.
TABLES = """
    CREATE TABLE langchain_pg_collection (uuid UUID PRIMARY KEY, name VARCHAR UNIQUE NOT NULL, cmetadata JSON);
    CREATE TABLE langchain_pg_embedding (
        id VARCHAR PRIMARY KEY, collection_id UUID REFERENCES langchain_pg_collection ON DELETE CASCADE,
        embedding VECTOR, document VARCHAR, cmetadata JSONB
    );
    CREATE TABLE handbook (
        langchain_id UUID PRIMARY KEY, content TEXT NOT NULL, embedding VECTOR(2) NOT NULL, year INTEGER,
        langchain_metadata JSON
    );
    CREATE TABLE data_handbook (
        id BIGSERIAL PRIMARY KEY, text VARCHAR NOT NULL, metadata_ JSON, node_id VARCHAR, embedding VECTOR(2)
    );
    CREATE TABLE haystack_documents (
        id VARCHAR PRIMARY KEY, embedding VECTOR(2), content TEXT, blob_data BYTEA, blob_meta JSONB,
        blob_mime_type VARCHAR, meta JSONB
    );
    CREATE SCHEMA vecs;
    CREATE TABLE vecs.handbook (id VARCHAR PRIMARY KEY, vec VECTOR(2) NOT NULL, metadata JSONB NOT NULL DEFAULT '{}');

    INSERT INTO langchain_pg_collection VALUES (gen_random_uuid(), 'tea'), (gen_random_uuid(), 'other');
    INSERT INTO langchain_pg_embedding
        SELECT n, uuid, ARRAY[1, n]::vector, 'Text ' || n, CASE n WHEN 2 THEN '{"n": 2}'::jsonb END
        FROM generate_series(1, 3) n JOIN langchain_pg_collection ON name = CASE n WHEN 3 THEN 'other' ELSE 'tea' END;
    INSERT INTO handbook SELECT ('0000000' || n || '-0000-0000-0000-000000000000')::uuid, 'Text ' || n,
        ARRAY[1, n]::vector, n, CASE n WHEN 2 THEN '{"n": 2}'::json END FROM generate_series(1, 2) n;
    INSERT INTO data_handbook (text, metadata_, node_id, embedding) SELECT 'Text ' || n,
        CASE n WHEN 2 THEN '{"n": 2, "_node_content": "{}", "_node_type": "TextNode"}'::json END, n, ARRAY[1, n]::vector
        FROM generate_series(1, 2) n;
    INSERT INTO haystack_documents (id, embedding, content, meta) SELECT n, ARRAY[1, n]::vector,
        CASE WHEN n < 3 THEN 'Text ' || n END, CASE n WHEN 2 THEN '{"n": 2}'::jsonb END FROM generate_series(1, 3) n;
    INSERT INTO vecs.handbook SELECT n, ARRAY[1, n]::vector,
        jsonb_build_object('text', 'Text ' || n) || CASE n WHEN 2 THEN '{"n": 2}'::jsonb ELSE '{}' END
        FROM generate_series(1, 2) n;
"""


@pytest.mark.usefixtures("docs_database")
def test_documents_of_other_libraries_move_as_the_page_says(module):
    page = ROOT / "docs" / "howto" / "moving.md"
    for _, code in blocks_of(page.read_text("utf-8")):
        exec(code, vars(module))  # noqa: S102 -- that is what is tested
    embedder = HashingEmbedder(2)
    with Database.open() as database:
        with database.begin() as session:
            session.connection().exec_driver_sql(TABLES)
        for library in ("PGVECTOR", "PGVECTORSTORE", "LLAMA_INDEX", "HAYSTACK", "VECS"):
            parameters = {"name": "tea"} if library == "PGVECTOR" else {}
            assert module.move(database, embedder, library, getattr(module, library), **parameters).inserted == 2
            metadata = [{"year": 1}, {"year": 2}] if library == "PGVECTORSTORE" else [{}, {}]
            hits = DocumentService(database, embedder).search(library, [1, 2])
            assert [(hit.content, hit.metadata) for hit in hits] == [
                ("Text 2", {"n": 2, **metadata[1]}),
                ("Text 1", metadata[0]),
            ]
            ids = [hit.id.partition("-")[0].lstrip("0") for hit in hits]
            assert (ids, hits[0].distance) == (["2", "1"], pytest.approx(0, abs=1e-6))


def left_behind() -> set[str]:
    """Return the collections, and the tables that are not Rowspace's."""
    with Database.open() as database, database.session() as session:
        names = {collection.name for collection in CollectionRepository(session).list()}
        tables = inspect(session.connection()).get_table_names()
        return names | {table for table in tables if not is_rowspace_table(table)}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(page):
    # Those between the pages of docs/ are checked by Sphinx.
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", (ROOT / page).read_text("utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_python_escapes(page):
    fences = [fence.strip() for fence in PYTHON_FENCE.findall(page.read_text("utf-8"))]
    assert fences == ["```python"] * len(blocks_of(page.read_text("utf-8")))


PAGE = """\
1. In a list:

   ```python
   import asyncio
   values = [1]

   async def double(x: "int", by=Unknown):
       return x * by
   ```

```text
values = None
```

```python
values.append(await double(await asyncio.sleep(0, 4)))
```
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_blocks_share_a_namespace_and_an_event_loop(tmp_path, module):
    page = PAGE.replace("Unknown", "2")
    run_page(write(tmp_path / "page.md", page), module)
    assert module.values == [1, 8]


def test_a_failure_names_file_and_line(tmp_path, module):
    page = write(tmp_path / "page.md", PAGE)
    with pytest.raises(NameError, match="Unknown") as failure:
        run_page(page, module)
    assert failure.value.__notes__ == [f"In the block that begins at {page}:4"]
    assert (failure.traceback[-1].path, failure.traceback[-1].lineno + 1) == (page, 7)


@pytest.mark.parametrize(
    "fence", ["~~~python", "```{code-block} python", "````python", "```py", "  ```Python", "```python3"]
)
def test_other_spellings_of_a_python_fence_are_seen(fence):
    assert PYTHON_FENCE.findall(f"text\n{fence}\nx\n") == [fence]
