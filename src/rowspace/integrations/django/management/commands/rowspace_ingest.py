"""`manage.py rowspace_ingest`: load documents from a file into a collection, all of them or none."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from rowspace.integrations._ingest.load import Ingest
from rowspace.integrations._ingest.options import FILE, OPTIONS, Option
from rowspace.integrations._progress import Advance, Pace, ProgressLines
from rowspace.integrations.django.conf import parallel_embedder
from rowspace.integrations.django.management.base import RowspaceCommand
from rowspace.integrations.django.transactions import document_service

__all__ = ["Command"]

#: The exit code of a command that Ctrl-C ended, as in a shell.
_INTERRUPTED = 130


class Command(RowspaceCommand):
    """Load documents, by default in one transaction. The options are those of `rowspace ingest`."""

    help = (
        "Load documents from JSON Lines, CSV, Parquet or a NumPy matrix into a collection, which is created if it is "
        "missing. A document whose id exists is updated, and an unchanged text is not embedded again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the file and its options."""
        super().add_arguments(parser)
        parser.add_argument("file", help=FILE)
        parser.add_argument("--collection", "-c", required=True, metavar="NAME", help="The collection to load into.")
        for name, option in OPTIONS.items():
            parser.add_argument(f"--{name.replace('_', '-')}", **_argument(option))

    def run(self, **options: Any) -> None:
        """Read the documents, create the collection if it is missing, and write them."""
        wanted = Ingest.of(options["file"], options)
        try:
            self._load(wanted, options)
        except KeyboardInterrupt:
            message = f"Interrupted. {wanted.kept}"
            raise CommandError(message, returncode=_INTERRUPTED) from None

    def _load(self, wanted: Ingest, options: dict[str, Any]) -> None:
        using, name = options["database"], options["collection"]
        parallel = options["processes"] > 1 and not wanted.fields.embedding
        with (
            parallel_embedder(options["processes"]) if parallel else nullcontext() as embedder,
            wanted.opened() as source,
            transaction.atomic(using=using) if wanted.in_one_transaction else nullcontext(),
        ):
            report = source.load(document_service(using, embed=embedder), name, self._progress(options["verbosity"]))
        if options["verbosity"]:
            self.stdout.write(f"{source.summary(report, name)}.")
            for remark in source.remarks:
                self.stdout.write(remark)

    def _progress(self, verbosity: int) -> Any:
        def begin(total: int | None, then: str | None) -> Advance:
            return ProgressLines("Loading", Pace(total), self.stderr.write if verbosity else lambda _: None, then)

        return begin


def _argument(option: Option) -> dict[str, Any]:
    if option.metavar is None:
        return {"help": option.help, "action": "store_true"}
    kind = str if option.default is None else type(option.default)
    return {"help": option.help, "metavar": option.metavar, "default": option.default, "type": kind}
