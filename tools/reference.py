"""Write the reference pages that are made from code: the commands, and the schema of rhumb.yaml.

Usage: python tools/reference.py [--check]. With --check nothing is written; exit code 1 when a page
is not current.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from rhumb.cli.main import COMMANDS, cli
from rhumb.local.topology import MeshSpec

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
_DOCSTRING = re.compile(r'^    (\w+): [^\n]*\n    """(.+?)"""$', re.MULTILINE | re.DOTALL)


def pages() -> dict[str, str]:
    """Return file name -> text."""
    return {"cli.md": commands(), "rhumb.schema.json": schema()}


def commands() -> str:
    """Return every command's help as Markdown."""
    parts = [
        "# Commands\n\nMade from the commands themselves; `rhumb COMMAND --help` says the same.\n",
        _section("rhumb", cli, click.Context(cli, info_name="rhumb")),
    ]
    context = click.Context(cli, info_name="rhumb")
    for name in sorted(COMMANDS):
        found = cli.get_command(context, name)
        assert found is not None
        parts += _tree(f"rhumb {name}", found, click.Context(found, context, info_name=name))
    return "\n".join(parts)


def _tree(name: str, command: click.Command, context: click.Context) -> Iterator[str]:
    yield _section(name, command, context)
    if isinstance(command, click.Group):
        for child in sorted(command.commands):
            found = command.commands[child]
            yield from _tree(
                f"{name} {child}", found, click.Context(found, context, info_name=child)
            )


def _section(name: str, command: click.Command, context: click.Context) -> str:
    context.terminal_width = 80
    # Outside main() a context does not inherit these.
    context.help_option_names = ["-h", "--help"]
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"## {name}\n\n```text\n{text}\n```\n"


def schema() -> str:
    """Return the JSON Schema (2020-12) of rhumb.yaml."""
    found: dict[str, Json] = {}
    _struct(MeshSpec, found)
    text = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rhumb.yaml",
        "$ref": f"#/$defs/{MeshSpec.__name__}",
        "$defs": dict(sorted(found.items())),
    }
    return json.dumps(text, indent=2, ensure_ascii=False) + "\n"


def _struct(kind: type, found: dict[str, Json]) -> Json:
    """Describe a Struct once; return the reference to it."""
    reference: Json = {"$ref": f"#/$defs/{kind.__name__}"}
    if kind.__name__ in found:
        return reference
    made: Json = {"type": "object", "description": (kind.__doc__ or "").partition("\n")[0]}
    found[kind.__name__] = made
    said = _descriptions(kind)
    properties: Json = {}
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        one = _type(field.type, found)
        if field.name in said:
            one["description"] = said[field.name]
        properties[field.encode_name] = one
    # A field that is not known is an error in the file, so it is one here.
    made |= {"properties": properties, "additionalProperties": False}
    return reference


def _type(kind: msgspec.inspect.Type, found: dict[str, Json]) -> Json:
    match kind:
        case msgspec.inspect.StructType():
            return _struct(kind.cls, found)
        case msgspec.inspect.DictType():
            return {"type": "object", "additionalProperties": _type(kind.value_type, found)}
        case msgspec.inspect.VarTupleType():
            return {"type": "array", "items": _type(kind.item_type, found)}
        case msgspec.inspect.UnionType():
            # What may be left out is None in code; nobody writes null.
            types = [t for t in kind.types if not isinstance(t, msgspec.inspect.NoneType)]
            made = [_type(t, found) for t in types]
            return made[0] if len(made) == 1 else {"anyOf": made}
        case msgspec.inspect.IntType():
            return {"type": "integer", "minimum": kind.ge, "maximum": kind.le}
        case msgspec.inspect.StrType():
            return {"type": "string"}
        case msgspec.inspect.BoolType():
            return {"type": "boolean"}
    raise TypeError(f"no schema for {kind}")


def _descriptions(kind: type) -> dict[str, str]:
    """Return the docstrings below a class's fields."""
    body = inspect.getsource(kind)
    return {m.group(1): " ".join(m.group(2).split()) for m in _DOCSTRING.finditer(body)}


def main(arguments: list[str]) -> int:
    """Write the pages, or check them."""
    check = "--check" in arguments
    stale = [
        name
        for name, text in pages().items()
        if not (PAGES / name).exists() or (PAGES / name).read_text() != text
    ]
    for name in stale:
        print(
            f"docs/reference/{name} is {'not current: run tools/reference.py' if check else 'written'}"
        )
        if not check:
            PAGES.mkdir(parents=True, exist_ok=True)
            (PAGES / name).write_text(pages()[name])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
