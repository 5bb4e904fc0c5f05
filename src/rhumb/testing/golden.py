"""Golden cases: a folder with input, beside it the output that was looked at and accepted."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message


def check(case: Path, actual: Mapping[str, str], *, bless: bool) -> None:
    """Compare {file name: text} with case/expected; blessing writes it, and removes what is no longer made.

    Raises AssertionError that names the case and shows the difference.
    """
    folder = case / "expected"
    if bless:
        folder.mkdir(exist_ok=True)
        for stale in {p.name for p in folder.iterdir()} - actual.keys():
            (folder / stale).unlink()
        for name, text in actual.items():
            (folder / name).write_text(text)
    expected = {p.name: p.read_text() for p in folder.iterdir()} if folder.is_dir() else {}
    assert dict(actual) == expected, f"{case.name}: rerun with --bless if this is what you meant"


def as_yaml(messages: Iterable[Message]) -> str:
    """Write messages as YAML, Any values unpacked, keys in order."""
    found = [json.loads(MessageToJson(m, preserving_proto_field_name=True)) for m in messages]
    return yaml.safe_dump(found, sort_keys=True, width=120, allow_unicode=True)
