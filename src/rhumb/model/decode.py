"""Trees to Structs by the rules of protobuf JSON, with a Problem for each thing that does not fit.

Accepted besides the canonical form: snake_case names, integers as text, enums by number,
null for unset, unpadded and URL-safe base64.
"""

import base64
import binascii
import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping

import msgspec

from rhumb.base.durations import Duration
from rhumb.model.kinds.wire import Kind, WireEnum

MAX_PROBLEMS = 50
"""More of one resource help nobody."""

_FEW = 8
"""Fields that fit into a sentence."""

_MAX_DURATION_NS = 315_576_000_000 * 1_000_000_000


class Problem(msgspec.Struct, frozen=True):
    """One thing that does not fit, by field path."""

    field: str
    message: str
    fix: str = ""


class _NotFittingError(Exception):
    """A scalar that does not fit; the caller knows the field."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


Read = Callable[[object, str, list[Problem]], object]
"""Value, path and problems to the decoded value; raises _NotFittingError for scalars."""


class Decoder:
    """Decodes Structs of one kind, and all that they contain."""

    def __init__(self) -> None:
        self._plans: dict[type[Kind], _Plan] = {}
        self._reads: dict[object, Read] = {}

    def decode(
        self, struct: type[Kind], tree: object, path: str, problems: list[Problem]
    ) -> Kind | None:
        """Return the Struct, or None when it could not be built; what is wrong goes to `problems`."""
        before = len(problems)
        try:
            value = self._plan(struct).read(tree, path, problems)
        except _NotFittingError as error:
            problems.append(Problem(path, str(error), error.fix))
            return None
        return value if isinstance(value, Kind) and len(problems) == before else None

    def _plan(self, struct: type[Kind]) -> "_Plan":
        plan = self._plans.get(struct)
        if plan is None:
            plan = self._plans[struct] = _Plan(struct)
            plan.fill(self._read)
        return plan

    def _read(self, wanted: object) -> Read:
        read = self._reads.get(wanted)
        if read is None:
            read = self._reads[wanted] = self._make(wanted)
        return read

    def _make(self, wanted: object) -> Read:
        origin, args = typing.get_origin(wanted), typing.get_args(wanted)
        if origin is types.UnionType or origin is typing.Union:
            return self._union(args)
        if origin is typing.Annotated:
            return _integer_read(args[1])
        if origin is tuple:
            return _Many(self._read(args[0])).read
        if origin is not None and issubclass(origin, Mapping):
            return _Table(self._read(args[0]), self._read(args[1])).read
        if isinstance(wanted, type) and issubclass(wanted, Kind):
            return self._plan(wanted).read
        if isinstance(wanted, type) and issubclass(wanted, WireEnum):
            return _enum_read(wanted)
        return _SCALARS[wanted]

    def _union(self, args: tuple[object, ...]) -> Read:
        members = [a for a in args if a is not type(None)]
        if len(members) == 1:
            return self._read(members[0])
        lists = [m for m in members if typing.get_origin(m) is tuple]
        if lists:
            return _text_or_list(self._read(lists[0]))
        return _int_or_text


class _Plan:
    """How to read one Struct."""

    def __init__(self, struct: type[Kind]) -> None:
        self._struct = struct
        self._fields: dict[str, tuple[str, Read]] = {}
        self._names: list[str] = []

    def fill(self, read_of: Callable[[object], Read]) -> None:
        """Look up the reader of each field (apart from making, since Structs may be recursive)."""
        hints = typing.get_type_hints(self._struct, include_extras=True)
        for field in msgspec.structs.fields(self._struct):
            entry = (field.name, read_of(hints[field.name]))
            self._names.append(field.encode_name)
            self._fields[field.encode_name] = entry
            self._fields.setdefault(field.name.rstrip("_"), entry)

    def read(self, tree: object, path: str, problems: list[Problem]) -> object:
        """Read an object."""
        if not isinstance(tree, dict):
            advice = 'remove the "- "' if isinstance(tree, list) else self._has("indent below it: ")
            raise _NotFittingError(f"must be an object, not {describe(tree)}", advice)
        values: dict[str, object] = {}
        fields = self._fields
        for key, raw in tree.items():
            if len(problems) > MAX_PROBLEMS:
                break
            entry = fields.get(key)
            if entry is None:
                if not self._struct.OPEN:
                    problems.append(self._unknown(path, key))
                continue
            if raw is None:
                continue
            name, read = entry
            at = f"{path}.{key}" if path else key
            if name in values:
                problems.append(Problem(at, "is written twice, in two spellings", "keep one"))
                continue
            try:
                values[name] = read(raw, at, problems)
            except _NotFittingError as error:
                problems.append(Problem(at, str(error), error.fix))
        if self._struct.ONEOFS:
            self._check_oneofs(tree, path, problems)
        return self._struct(**values)

    def _check_oneofs(self, tree: Mapping[str, object], path: str, problems: list[Problem]) -> None:
        names = {
            self._fields[key][0]
            for key, raw in tree.items()
            if raw is not None and key in self._fields
        }
        for group in self._struct.ONEOFS:
            written = [member for member in group if self._fields[member][0] in names]
            if len(written) > 1:
                said = " and ".join(f"`{w}`" for w in written)
                problems.append(Problem(path, f"only one of {said} may be set", "keep one of them"))

    def _unknown(self, path: str, key: str) -> Problem:
        at = f"{path}.{key}" if path else key
        removed = self._struct.REMOVED.get(key) or self._struct.REMOVED.get(_camel(key))
        if removed:
            return Problem(at, f'field "{key}" was removed from the API', removed)
        fix = suggestion(key, self._names)
        if not fix and len(self._names) <= _FEW:
            fix = self._has("there are: ")
        return Problem(at, f'unknown field "{key}"', fix)

    def _has(self, words: str) -> str:
        """Say which fields there are."""
        more = ", ..." if len(self._names) > _FEW else ""
        return words + ", ".join(self._names[:_FEW]) + more if self._names else ""


class _Many:
    """A repeated field."""

    __slots__ = ("_item",)

    def __init__(self, item: Read) -> None:
        self._item = item

    def read(self, tree: object, path: str, problems: list[Problem]) -> object:
        """Read a list."""
        if not isinstance(tree, list):
            raise _NotFittingError(
                f"must be a list, not {describe(tree)}", 'write one "- " line for each item'
            )
        items = []
        for index, raw in enumerate(tree):
            at = f"{path}[{index}]"
            try:
                items.append(self._item(raw, at, problems))
            except _NotFittingError as error:
                problems.append(Problem(at, str(error), error.fix))
                if len(problems) > MAX_PROBLEMS:
                    break
        return tuple(items)


class _Table:
    """A map field."""

    __slots__ = ("_key", "_value")

    def __init__(self, key: Read, value: Read) -> None:
        self._key = key
        self._value = value

    def read(self, tree: object, path: str, problems: list[Problem]) -> object:
        """Read an object with free keys."""
        if not isinstance(tree, dict):
            raise _NotFittingError(
                f"must be an object, not {describe(tree)}", "write `name: value` lines"
            )
        found: dict[object, object] = {}
        for key, raw in tree.items():
            at = f"{path}[{key}]"
            try:
                found[self._key(key, at, problems)] = self._value(raw, at, problems)
            except _NotFittingError as error:
                problems.append(Problem(at, str(error), error.fix))
                if len(problems) > MAX_PROBLEMS:
                    break
        return types.MappingProxyType(found)


def _text(tree: object, _path: str, _problems: list[Problem]) -> str:
    if isinstance(tree, str):
        return tree
    if isinstance(tree, (bool, int, float)):
        raise _NotFittingError(f"must be a text, not {describe(tree)}", "put the value in quotes")
    raise _NotFittingError(f"must be a text, not {describe(tree)}")


def _bool(tree: object, _path: str, _problems: list[Problem]) -> bool:
    if isinstance(tree, bool):
        return tree
    if isinstance(tree, str) and tree.lower() in ("true", "false"):
        raise _NotFittingError(f"must be true or false, not {describe(tree)}", "remove the quotes")
    raise _NotFittingError(f"must be true or false, not {describe(tree)}")


def _float(tree: object, _path: str, _problems: list[Problem]) -> float:
    if isinstance(tree, bool):
        raise _NotFittingError(f"must be a number, not {describe(tree)}")
    if isinstance(tree, (int, float, str)):
        try:
            value = float(tree)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
    raise _NotFittingError(f"must be a number, not {describe(tree)}")


def _duration(tree: object, _path: str, _problems: list[Problem]) -> Duration:
    if not isinstance(tree, str):
        fix = (
            f'write "{tree}s" for seconds'
            if isinstance(tree, (int, float)) and not isinstance(tree, bool)
            else ""
        )
        raise _NotFittingError(f"must be a duration such as 5s, not {describe(tree)}", fix)
    try:
        value = Duration.parse(tree)
    except ValueError as error:
        raise _NotFittingError(str(error)) from error
    if abs(value) > _MAX_DURATION_NS:
        raise _NotFittingError(f'duration "{tree}" is out of range', "10000 years are the limit")
    return value


def _bytes(tree: object, _path: str, _problems: list[Problem]) -> bytes:
    if not isinstance(tree, str):
        raise _NotFittingError(f"must be base64 text, not {describe(tree)}")
    text = "".join(tree.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _NotFittingError(
            "is no valid base64", "encode it with `base64`, or use stringData in a Secret"
        ) from error


def _anything(tree: object, _path: str, _problems: list[Problem]) -> object:
    return plain(tree)


def _text_or_list(many: Read) -> Read:
    """Return the reader of a field that takes one text or a list of them."""

    def read(tree: object, path: str, problems: list[Problem]) -> object:
        return many(tree, path, problems) if isinstance(tree, list) else _text(tree, path, problems)

    return read


def _int_or_text(tree: object, _path: str, _problems: list[Problem]) -> object:
    if isinstance(tree, (int, str)) and not isinstance(tree, bool):
        return tree
    raise _NotFittingError(f"must be a number or a name, not {describe(tree)}")


_SCALARS: Mapping[object, Read] = {
    str: _text,
    bool: _bool,
    float: _float,
    Duration: _duration,
    bytes: _bytes,
    object: _anything,
}


def _integer_read(meta: object) -> Read:
    low = int(getattr(meta, "ge", None) or 0)
    high = int(getattr(meta, "le", None) or 2**64 - 1)

    def read(tree: object, _path: str, _problems: list[Problem]) -> object:
        value = tree
        if isinstance(tree, str):
            digits = tree[1:] if tree[:1] == "-" else tree
            value = (
                int(tree) if digits.isascii() and digits.isdigit() and len(digits) < 32 else tree
            )
        elif isinstance(tree, float) and tree.is_integer():
            value = int(tree)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _NotFittingError(f"must be a whole number, not {describe(tree)}")
        if not low <= value <= high:
            raise _NotFittingError(f"{value} is out of range, it must be between {low} and {high}")
        return value

    return read


def _enum_read(wanted: type[WireEnum]) -> Read:
    by_name = {member.value: member for member in wanted}
    by_number = {member.number: member for member in wanted}

    def read(tree: object, _path: str, _problems: list[Problem]) -> object:
        if isinstance(tree, str) and tree in by_name:
            return by_name[tree]
        if isinstance(tree, int) and not isinstance(tree, bool) and tree in by_number:
            return by_number[tree]
        names = ", ".join(by_name)
        fix = suggestion(str(tree), by_name) if isinstance(tree, str) else ""
        raise _NotFittingError(f"must be one of {names}, not {describe(tree)}", fix)

    return read


def describe(tree: object) -> str:
    """Say what a value is, for "must be X, not ..."."""
    if tree is None:
        return "null"
    if isinstance(tree, bool):
        return "true" if tree else "false"
    if isinstance(tree, str):
        return f'"{tree}"' if len(tree) <= 80 else f'"{tree[:77]}..."'
    if isinstance(tree, int):
        return f"the number {tree}" if tree.bit_length() < 128 else "a huge number"
    if isinstance(tree, float):
        return f"the number {tree:g}"
    return "a list" if isinstance(tree, list) else "an object"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "did you mean ...?" for the closest known word, "" when none is close."""
    if len(word) > 64:
        return ""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower().replace("_", ""), by_lower, n=1, cutoff=0.7)
    return f'did you mean "{by_lower[close[0]]}"?' if close else ""


def plain(tree: object) -> object:
    """Return a tree without lines: read-only maps, tuples and scalars."""
    if isinstance(tree, dict):
        return types.MappingProxyType({key: plain(value) for key, value in tree.items()})
    if isinstance(tree, list):
        return tuple(plain(item) for item in tree)
    return tree


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)
