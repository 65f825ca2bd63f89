"""The demo's corpus: the docstrings of the standard library of the running Python.

It is real text that is available wherever the demo runs, with nothing to download or license. Collecting it imports
the standard library into this process, so it runs only once, to fill the collection.
"""

from __future__ import annotations

import builtins
import inspect
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from itertools import chain, islice
from types import ModuleType
from typing import Any, NamedTuple

from rowspace.cli.wording import searchable
from rowspace.services import DocumentIn

__all__ = ["documents"]

# These act on import (open a browser, print a poem, require a display), or contain nothing that people search for.
_SKIPPED = {
    *("antigravity", "distutils", "encodings", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "rlcompleter"),
    *("test", "tests", "this", "tkinter", "turtle", "turtledemo"),
}
# Names that people use instead of the module's own.
_KNOWN_AS = {"posixpath": "os.path"}


class _Found(NamedTuple):
    name: str
    module: str
    kind: str
    value: Any


def documents(limit: int | None) -> Iterator[DocumentIn]:
    """Yield a document per docstring, always in the same order. Of equal docstrings, only the first is used.

    Args:
        limit: the maximum number of documents; None means all, about 5,500.
    """
    return islice(_distinct(), limit)


def _distinct() -> Iterator[DocumentIn]:
    seen: set[str] = set()
    for found in _everything():
        text = _docstring(found.value)
        # Compare names too: unittest.main is both a module and a class.
        if text and seen.isdisjoint({text, found.name}):
            seen |= {text, found.name}
            yield _document(found, text)


def _document(found: _Found, text: str) -> DocumentIn:
    metadata = {"kind": found.kind, "module": found.module, "summary": text.partition("\n")[0]}
    if signature := _signature(found.value):
        metadata["signature"] = signature
    return DocumentIn(id=found.name, content=searchable(found.name, text), metadata=metadata)


def _everything() -> Iterator[_Found]:
    modules = _modules()
    things = [thing for name, module in modules for thing in _members(name, module)]
    # Methods last: random.choice has the same docstring as random.Random.choice, and is the name that people use.
    return chain(
        (_Found(name, name, "module", module) for name, module in modules),
        things,
        chain.from_iterable(_methods(thing) for thing in things if inspect.isclass(thing.value)),
    )


def _modules() -> list[tuple[str, ModuleType]]:
    """Return the public modules of the standard library that can be imported here, top-level ones first."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        found = dict(chain.from_iterable(_imported(name) for name in sorted(sys.stdlib_module_names)))
    return sorted(found.items(), key=lambda item: (item[0].count("."), item[0]))


def _imported(name: str) -> Iterator[tuple[str, ModuleType]]:
    last = name.rpartition(".")[2]
    if last.startswith("_") or last in _SKIPPED:
        return
    try:
        module = import_module(name)
    except (Exception, SystemExit):  # noqa: BLE001 -- a module for another system, or one that lacks a library
        return
    yield _KNOWN_AS.get(name, name), module
    for inner in sorted(info.name for info in pkgutil.iter_modules(getattr(module, "__path__", []))):
        yield from _imported(f"{name}.{inner}")


def _members(name: str, module: ModuleType) -> Iterator[_Found]:
    listed = getattr(module, "__all__", None)
    for attribute in sorted(vars(module) if listed is None else listed):
        value = vars(module).get(attribute)
        kind = _kind(value)
        if kind and not attribute.startswith("_") and (listed is not None or _belongs_to(module, value)):
            yield _Found(attribute if name == "builtins" else f"{name}.{attribute}", name, kind, value)


def _belongs_to(module: ModuleType, value: Any) -> bool:
    home = getattr(value, "__module__", None) or module.__name__
    return home == module.__name__ or home.startswith("_") or module is builtins


def _kind(value: Any) -> str | None:
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if inspect.isroutine(value) else None


def _methods(thing: _Found) -> Iterator[_Found]:
    for attribute, held in sorted(vars(thing.value).items()):
        value = held.__func__ if isinstance(held, staticmethod | classmethod) else held
        kind = "method" if inspect.isroutine(value) else "property" if inspect.isdatadescriptor(value) else None
        if kind and not attribute.startswith("_"):
            yield _Found(f"{thing.name}.{attribute}", thing.module, kind, value)


def _docstring(value: Any) -> str | None:
    text = getattr(value, "__doc__", None)
    return inspect.cleandoc(text) if isinstance(text, str) else None


def _signature(value: Any) -> str | None:
    try:
        parameters = inspect.signature(value).parameters if callable(value) else None
    except Exception:  # noqa: BLE001 -- inspect evaluates default values, which can raise anything
        return None
    if parameters is None:
        return None
    signature = inspect.Signature([_harmless(one) for one in parameters.values()])
    return str(signature).replace("=Ellipsis", "=...")


def _harmless(parameter: inspect.Parameter) -> inspect.Parameter:
    """Keep only simple default values: that of `cgi.parse` is the environment, with every secret in it."""
    plain = type(parameter.default) in {int, float, bool, type(None)} or parameter.default is parameter.empty
    default = parameter.default if plain else ...
    return parameter.replace(default=default, annotation=parameter.empty)
