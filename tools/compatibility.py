"""Write docs/compatibility.md from the table in rhumb.model.compatibility.

Usage: python tools/compatibility.py [--check]. With --check nothing is written; exit code 1 when the
page is not current.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from rhumb.model.compatibility.entry import Entry, State
from rhumb.model.compatibility.table import fields, reachable
from rhumb.model.kinds.known import NOT_YET
from rhumb.model.kinds.table import KINDS, KindInfo
from rhumb.model.kinds.wire import Kind

PAGE = Path(__file__).resolve().parents[1] / "docs" / "compatibility.md"
HEAD = """# Compatibility with Istio

What becomes of each field of each kind. Made by `tools/compatibility.py` from the table by which `rhumb validate` speaks
(`rhumb.model.compatibility`): what is said here is what a user is told.

- **supported**: decoded strictly, validated by Istio's rules, and in force.
- **accepted with a warning**: `validate`, the log and `rhumb status` say what happens instead.
- **rejected**: the resource is refused, and the finding says why and what to write.

A field that is not listed is unknown: an error with its line. Messages that several kinds share stand where they come first.
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    shown: set[type[Kind]] = set()
    parts += [_kind(info, shown) for info in KINDS]
    parts.append("## Kinds that are not served\n")
    parts.append("Objects of these kinds are left alone; a warning says so.\n")
    for group, kinds in NOT_YET.items():
        if kinds:
            parts.append(f"- {group or 'v1'}: {', '.join(kinds)}")
    return "\n".join(parts).rstrip() + "\n"


def _kind(info: KindInfo, shown: set[type[Kind]]) -> str:
    versions = ", ".join(info.versions)
    served = f"{info.group} ({versions})" if info.group else versions
    rows = [f"## {info.kind}", "", f"Served as {served}.", ""]
    for struct in reachable(info.struct):
        if struct not in shown:
            shown.add(struct)
            rows += _message(struct)
    return "\n".join(rows)


def _message(struct: type[Kind]) -> Iterator[str]:
    entries = [(field.name, field.entry) for field in fields(struct)]
    supported = [name for name, entry in entries if entry and entry.state is State.SUPPORTED]
    others = [(n, e) for n, e in entries if e is not None and e.state is not State.SUPPORTED]
    if not entries and not struct.OPEN:
        return
    yield f"### {struct.__name__}\n"
    if struct.OPEN:
        yield "Fields that are not listed are Kubernetes' own, and passed over.\n"
    if supported:
        yield f"Supported: {', '.join(f'`{name}`' for name in supported)}.\n"
    if others or struct.REMOVED:
        yield "| field | state | what happens |"
        yield "| --- | --- | --- |"
        for name, entry in others:
            yield f"| `{name}`{_values(entry)} | {entry.state} | {_says(entry)} |"
        for name, fix in struct.REMOVED.items():
            yield f"| `{name}` | rejected | was removed from the API: {fix} |"
        yield ""


def _values(entry: Entry) -> str:
    return f" = {', '.join(f'`{value}`' for value in entry.values)}" if entry.values else ""


def _says(entry: Entry) -> str:
    text = f"{entry.says}; {entry.fix}" if entry.fix else entry.says
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    text = page()
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    if "--check" in arguments:
        print("docs/compatibility.md is not current: run tools/compatibility.py")
        return 1
    PAGE.write_text(text)
    print("docs/compatibility.md is written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
