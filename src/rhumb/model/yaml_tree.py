"""YAML text as plain trees that know their lines, built from libyaml's events.

Scalars resolve as in the YAML of Kubernetes (sigs.k8s.io/yaml): YAML 1.1 booleans, timestamps as
text, keys as text. Depth, size and alias expansion are bounded, so that no text can exhaust the
stack or the memory; the recursive composer of libyaml is not used for that reason.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Protocol, cast

import msgspec
import yaml
from yaml._yaml import CParser

from rhumb.model.not_yaml import YamlError, explained, foreign, no_character

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 100
MAX_NODES = 2_000_000
"""Nodes of one document, aliases expanded at most to MAX_ALIASED of them."""
MAX_ALIASED = 100_000
MAX_DUPLICATES = 1000
"""Keys of one document that are written twice."""

_CONSTANTS: Mapping[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(
        ("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"), True
    ),
    **dict.fromkeys(
        ("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"), False
    ),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_NUMBER_START = frozenset("0123456789+-.")
_INT = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_JSON_ESCAPE = re.compile(r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|.)", re.IGNORECASE)
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_LATER_MARK = re.compile(rf"(?m)^{_MARK}(?=---)|(?<=^---\n){_MARK}")
_TAG = "tag:yaml.org,2002:"


class Map(dict[str, object]):
    """An object: its line, and the line of each key."""

    __slots__ = ("key_lines", "line")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.key_lines: dict[str, int] = {}


class Seq(list[object]):
    """A list: its line, and the line of each item."""

    __slots__ = ("item_lines", "line")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.item_lines: list[int] = []


class Duplicate(msgspec.Struct, frozen=True):
    """A key that stands twice in one object; the last value was kept."""

    key: str
    line: int
    first_line: int


class Tree(msgspec.Struct, frozen=True):
    """One document."""

    root: object
    line: int
    duplicates: tuple[Duplicate, ...] = ()


class _Mark(Protocol):
    line: int


class _Event(Protocol):
    """What is read of PyYAML's events (a field is absent where it makes no sense)."""

    start_mark: _Mark
    anchor: str | None
    tag: str | None
    value: str
    implicit: tuple[bool, bool]


class _Frame:
    """A container that is still open."""

    __slots__ = ("anchor", "container", "key", "key_line", "merges", "size")

    def __init__(self, container: Map | Seq, anchor: str | None) -> None:
        self.container = container
        self.anchor = anchor
        self.key: str | None = None
        self.key_line = 0
        self.merges: list[tuple[object, int]] = []
        self.size = 1


def trees(text: str) -> Iterator[Tree]:
    """Yield the documents of a text one by one; empty documents are left out.

    Raises YamlError where the text cannot be read any further.
    """
    if len(text) > MAX_BYTES:
        raise YamlError(
            f"the file is larger than {MAX_BYTES >> 20} MiB", 1, "split it into several files"
        )
    try:
        parser = CParser(_ready(text))
        while True:
            event = cast("_Event", parser.get_event())
            kind: type[object] = type(event)
            if kind is yaml.DocumentStartEvent:
                tree = _Builder(event.start_mark.line + 1).build(parser)
                if tree.root is not None:
                    yield tree
            elif kind is yaml.StreamEndEvent:
                return
    except YamlError as error:
        raise foreign(text, error.line) or error from None
    except yaml.YAMLError as error:
        raise explained(error, text) from error
    except UnicodeEncodeError as error:
        raise no_character(text, error) from error


def _ready(text: str) -> str:
    """Return the text without byte order marks, and JSON without escapes that YAML lacks; lines stay."""
    if _MARK in text:
        # Files that were joined have marks further down.
        text = _LATER_MARK.sub("", text.removeprefix(_MARK))
    if text.lstrip()[:1] in ("{", "[") and "\\u" in text:
        text = _JSON_ESCAPE.sub(_whole_character, text)
    return text


def _whole_character(escape: re.Match[str]) -> str:
    """Join the two halves that JSON writes for a character beyond U+FFFF."""
    if escape.group(1) is None:
        return escape.group()
    high, low = int(escape.group(1), 16), int(escape.group(2), 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


class _Builder:
    """Builds one document."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[object, int]] = {}
        self._duplicates: list[Duplicate] = []
        self._nodes = 0
        self._aliased = 0
        self._root: object = None

    def build(self, parser: CParser) -> Tree:
        """Consume events up to the end of the document."""
        stack, get_event = self._stack, parser.get_event
        while True:
            event = cast("_Event", get_event())
            kind: type[object] = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._open(Map(event.start_mark.line + 1), event)
            elif kind is yaml.SequenceStartEvent:
                self._open(Seq(event.start_mark.line + 1), event)
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentEndEvent:
                return Tree(self._root, self._line, tuple(self._duplicates))
            else:
                self._close(stack.pop())

    def _open(self, container: Map | Seq, event: _Event) -> None:
        line = container.line
        if len(self._stack) >= MAX_DEPTH:
            raise YamlError(
                f"nested deeper than {MAX_DEPTH} levels",
                line,
                "no kind is that deep; check the indentation",
            )
        if event.tag is not None and event.tag not in (_TAG + "map", _TAG + "seq"):
            raise YamlError(f"unknown tag {event.tag}", line, "remove the tag")
        self._count(line)
        self._stack.append(_Frame(container, event.anchor))

    def _close(self, frame: _Frame) -> None:
        container = frame.container
        if isinstance(container, Map):
            for value, line in frame.merges:
                _merge(container, value, line)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (container, frame.size)
        self._add(container, container.line, frame.size)

    def _scalar(self, event: _Event) -> None:
        line = event.start_mark.line + 1
        value: object = event.value
        plain = event.implicit[0]
        if event.tag is not None and event.tag != _TAG + "str":
            value = _tagged(event, line)
        elif plain and event.tag is None:
            value = resolve(event.value)
        self._count(line)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._add(value, line, 1, merge=plain and event.value == "<<")

    def _alias(self, event: _Event) -> None:
        line = event.start_mark.line + 1
        anchor = event.anchor or ""
        if anchor not in self._anchors:
            raise YamlError(
                f'alias "*{anchor}" refers to no anchor before it',
                line,
                "define it with & first, outside of itself",
            )
        value, size = self._anchors[anchor]
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise YamlError(
                f"aliases expand to more than {MAX_ALIASED} values", line, "write the values out"
            )
        self._add(value, line, size)

    def _count(self, line: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise YamlError(
                f"the document has more than {MAX_NODES} values",
                line,
                "split it into several documents",
            )

    def _add(self, value: object, line: int, size: int, *, merge: bool = False) -> None:
        if not self._stack:
            self._root = value
            return
        frame = self._stack[-1]
        frame.size += size
        container = frame.container
        if isinstance(container, Seq):
            container.append(value)
            container.item_lines.append(line)
        elif frame.key is None:
            frame.key = "<<" if merge else _key(value, line)
            # A plain << is told from a quoted one by its line's sign.
            frame.key_line = -line if merge else line
        else:
            self._pair(frame, container, value)
            frame.key = None

    def _pair(self, frame: _Frame, container: Map, value: object) -> None:
        key, line = str(frame.key), frame.key_line
        if line < 0:
            frame.merges.append((value, -line))
            return
        if key in container:
            self._repeated(key, line, container.key_lines[key])
        container[key] = value
        container.key_lines[key] = line

    def _repeated(self, key: str, line: int, first: int) -> None:
        self._duplicates.append(Duplicate(key, line, first))
        if len(self._duplicates) > MAX_DUPLICATES:
            raise YamlError(
                f"more than {MAX_DUPLICATES} keys are written twice",
                line,
                "start a new object with --- or - ",
            )


def resolve(text: str) -> object:
    """Return what a plain scalar means: None, bool, int, float or text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMBER_START:
        return text
    digits = text.replace("_", "")
    if len(digits) < 128:
        if _INT.match(digits):
            return _integer(digits)
        if _FLOAT.match(digits):
            return float(digits)
    return text


def _integer(digits: str) -> int:
    body = digits.lstrip("+-")
    is_octal = len(body) > 1 and body[0] == "0" and body[1].isdigit()
    value = int(body, 8 if is_octal else 0)
    return -value if digits[0] == "-" else value


_OF_TAG: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
    "timestamp": (str,),
}


def _tagged(event: _Event, line: int) -> object:
    short = str(event.tag).removeprefix(_TAG)
    value = resolve(event.value)
    if short == "binary":
        return event.value
    if not isinstance(value, _OF_TAG.get(short, ())):
        raise YamlError(f'"{event.value}" does not fit the tag {event.tag}', line, "remove the tag")
    return float(value) if short == "float" and isinstance(value, int) else value


def _key(value: object, line: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    what = "empty" if value is None else "an object or a list"
    raise YamlError(
        f"a key is {what}, it must be a text",
        line,
        "write a name before the colon, in quotes if needed",
    )


def _merge(container: Map, value: object, line: int) -> None:
    sources = value if isinstance(value, Seq) else [value]
    for source in sources:
        if not isinstance(source, Map):
            raise YamlError(
                "<< merges objects only", line, "let it refer to an object, or to a list of objects"
            )
        for key, merged in source.items():
            if key not in container:
                container[key] = merged
                container.key_lines[key] = source.key_lines[key]
