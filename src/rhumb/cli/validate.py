"""`rhumb validate`: is this configuration accepted?"""

import sys

import click
import msgspec

from rhumb.app import loading
from rhumb.cli import inputs
from rhumb.cli.printer import Exit, say
from rhumb.model.finding import Finding, Level


@click.command(epilog="Example: rhumb validate -f mesh/ -o json")
@inputs.PATHS
@click.argument("more", nargs=-1, metavar="[PATH]...")
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
def command(paths: tuple[str, ...], more: tuple[str, ...], namespace: str, output: str) -> None:
    """Check configuration files by the rules of Istio's API.

    Prints one line for each finding. Exit code: 0 when every object is accepted, with or without
    warnings; 1 when one is rejected; 2 when the check itself could not run.
    """
    loaded = loading.load(inputs.texts(inputs.named(paths, more)), namespace=namespace)
    findings = loading.ordered((*loaded.findings, *loading.fights(loaded.world)))
    if output == "json":
        rows = [_row(finding) for finding in findings]
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    else:
        for finding in findings:
            click.echo(inputs.line(finding))
    warnings = sum(f.level is Level.WARNING for f in findings)
    accepted = len(loaded.world.resources)
    say(f"{accepted} accepted, {loaded.rejected} rejected, {warnings} warnings")
    sys.exit(Exit.FOUND if loaded.rejected else Exit.OK)


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
