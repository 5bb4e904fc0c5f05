"""Tables as istioctl prints them: columns aligned, plain text, as wide as it takes."""

import json
from collections.abc import Iterable, Sequence

import click


def show(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    lines = [head, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    for number, line in enumerate(lines):
        text = "     ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo(click.style(text.rstrip(), bold=True) if number == 0 else text.rstrip())


def document(value: object, output: str) -> None:
    """Print data as JSON or YAML."""
    if output == "yaml":
        import yaml  # only here

        text = yaml.dump(
            value, Dumper=yaml.CSafeDumper, allow_unicode=True, width=120, sort_keys=False
        )
    else:
        text = json.dumps(value, indent=4, ensure_ascii=False)
    click.echo(text.rstrip("\n"))
