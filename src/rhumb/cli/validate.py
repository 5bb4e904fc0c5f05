"""`rhumb validate`: is this configuration accepted?"""

import sys
from collections.abc import Iterator

import click
import msgspec

from rhumb.cli import inputs
from rhumb.cli.printer import Exit, say
from rhumb.model.codec import Document
from rhumb.model.finding import Finding, Level
from rhumb.model.resource import Key, Location, Resource
from rhumb.validation.load import Loader


@click.command()
@click.option(
    "-f",
    "--file",
    "paths",
    multiple=True,
    required=True,
    metavar="PATH",
    help="File or directory (with all below it), - for standard input; may be repeated.",
)
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="For objects that name none."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Format of the findings.",
)
def command(paths: tuple[str, ...], namespace: str, output: str) -> None:
    """Check configuration files by the rules of Istio's API.

    Prints one line for each finding. Exit code: 0 when every object is accepted, with or without
    warnings; 1 when one is rejected; 2 when the check itself could not run.
    """
    checked, loader = _Checked(), Loader()
    for file, text in inputs.texts(paths):
        checked.take(loader.load(text, file, namespace=namespace))
    if output == "json":
        rows = [_row(finding) for finding in checked.findings]
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    else:
        for finding in checked.findings:
            click.echo(inputs.line(finding))
    say(checked.summary())
    sys.exit(Exit.FOUND if checked.has_errors else Exit.OK)


class _Checked:
    """What all files together came to."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.has_errors = False
        self._accepted: dict[Key, Location] = {}
        self._rejected = 0

    def take(self, documents: Iterator[Document]) -> None:
        """Count the objects of one file."""
        for document in documents:
            found = list(document.findings)
            if document.resource is not None:
                found += self._twice(document.resource)
            is_refused = any(f.level is Level.ERROR for f in found)
            self.has_errors = self.has_errors or is_refused
            self._rejected += is_refused
            self.findings += found

    def _twice(self, resource: Resource) -> Iterator[Finding]:
        first = self._accepted.setdefault(resource.key, resource.location)
        if first is not resource.location:
            yield Finding(
                level=Level.ERROR,
                key=resource.key,
                location=resource.location,
                message=f"is defined in {first} already, which is used",
                fix="remove one of them",
            )

    def summary(self) -> str:
        """Return one line that says how it went."""
        warnings = sum(f.level is Level.WARNING for f in self.findings)
        return f"{len(self._accepted)} accepted, {self._rejected} rejected, {warnings} warnings"


def _row(finding: Finding) -> dict[str, object]:
    key = finding.key
    return {
        "file": finding.location.file,
        "line": finding.location.line,
        "kind": key.kind if key else "",
        "namespace": key.namespace if key else "",
        "name": key.name if key else "",
        "field": finding.field,
        "level": finding.level.value,
        "message": finding.message,
        "fix": finding.fix,
    }
