"""Objects gone wrong: what people have in their files, with fields dropped, doubled, moved, retyped and made up."""

import copy
import types
import typing
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from rhumb.base.durations import Duration
from rhumb.model.kinds.table import BY_NAME
from rhumb.model.kinds.wire import Kind, WireEnum

Json = dict[str, Any]
Path = tuple[str | int, ...]

TEXTS = (
    "", " ", "a", "A", "*", "*.", "*.a", "*.*", "a.*", ".", "..", "a.b", "a.b.", "a_b", "-a", "a b", "é", "日本", "\N{PILE OF POO}", "x" * 300,
    "x" * 70_000, "a\nb", "a\tb", "a\x00b", "\u2028", "\x7f", "\ufeff", "web", "reviews", "reviews.default.svc.cluster.local", "a/b", "./*", "~/*",
    "*/*", "*/a.com", "istio-system/*", "/", "//", "mesh", "0.0.0.0", "::", "::1", "1.2.3.4", "10.0.0.0/8", "1.2.3.4/33", "fe80::1%eth0", "2001:db8::/32",
    "999.1.1.1", "unix:///a.sock", "unix://@a", "unix://", "127.0.0.1:80", "[::1]:80", "http", "HTTP", "TCP", "TLS", "HTTPS", "GRPC", "MONGO", "UDP",
    "1s", "0s", "-1s", "1ms", "1ns", "1h1h", "315576000000s", "5", "-1", "0", "80", "65536", "1e3", "NaN", "true", "null", "%", "%%", "%REQ(a)%",
    "(", "[a", ".*", "a{1001}", "(?i)a", "\\", "\\1", '"', "'", "{a}", "{", "${a}", "$", "<", ",", ";", ":", "a:b", ":path", "host", "RANDOM",
    "STRICT", "ISTIO_MUTUAL", "SIMPLE", "DISABLE", "NONE", "STATIC", "DNS", "kubernetes://a", "configmap://a", "file:///etc/a", "builtin://",
    "spiffe://a/b", "region/zone", "a/b/c/d", "5xx", "None", "ExternalName", "ClusterIP", "v1", "v2",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 80, 443, 9080, 15006, 100, 101, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**31),
    -(2**63), 2**200, 0.5, 1e-9, 99.99995, 1e308, -0.0,
)  # fmt: skip
PLAIN: Mapping[object, Sequence[object]] = {
    bool: [True, False],
    float: [0, 0.0001, 1.5, 100, 1e308, -1],
    Duration: ["0s", "1ms", "1s", "1.5h", "100000h", "-1s", "1ns"],
    bytes: ["", "YQ==", "LS0tLS1CRUdJTg=="],
}
JUNK: tuple[object, ...] = (
    None, True, False, [], {}, [[]], [None], {"": None}, [{}], {"a": {"a": {"a": []}}}, ["a", 1, None, {}], [1] * 200,
    float("inf"), {"x" * 300: 1}, {"é": "é"}, {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster"},
)  # fmt: skip


class Mutator:
    """Spoils objects; the same seed spoils the same."""

    def __init__(self, seed: int, objects: Sequence[Json]) -> None:
        self._random = Random(seed)
        self._by_key: dict[str, list[object]] = {}
        for each in objects:
            for path in paths(each):
                self._by_key.setdefault(str(path[-1]), []).append(at(each, path))
        self._keys = sorted(self._by_key)

    def spoil(self, source: Json, times: int = 1) -> Json:
        """Return a changed copy."""
        made = copy.deepcopy(source)
        for _ in range(times):
            found = [p for p in paths(made) if p[0] not in ("apiVersion", "kind")]
            if found and self._random.random() < 0.6:
                self._change(made, self._random.choice(found))
            else:
                self._invent(made)
        return made

    def _change(self, made: Json, path: Path) -> None:
        holder, last = at(made, path[:-1]), path[-1]
        before = holder[last]
        match self._random.randrange(8):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, list):
                holder.insert(0, copy.deepcopy(before))
            case 1:
                holder[self._random.choice(self._keys)] = holder.pop(last)
            case 2:
                holder[last] = copy.deepcopy(self._random.choice(JUNK))
            case 3:
                holder[last] = self._random.choice(NUMBERS)
            case 4 | 5:
                same = self._by_key.get(str(last)) or [before]
                holder[last] = copy.deepcopy(self._random.choice(same))
            case 6 if isinstance(before, str):
                holder[last] = self._text(before)
            case 6:
                holder[last] = (
                    [before] if not isinstance(before, list) else before[:1] and before[0]
                )
            case _:
                holder[last] = self._random.choice(TEXTS)

    def _text(self, text: str) -> str:
        place = self._random.randrange(len(text) + 1)
        more = self._random.choice(TEXTS)
        return text[:place] + more + text[place + self._random.randrange(3) :]

    def _invent(self, made: Json) -> None:
        """Give some message in it a field that its schema knows, of the right type."""
        group = str(made.get("apiVersion", "")).rpartition("/")[0]
        info = BY_NAME.get((group, str(made.get("kind"))))
        if info is None:
            return
        root: Any = made.setdefault("spec", {}) if info.has_spec else made
        found = [m for m in _messages(root, info.struct) if isinstance(m[0], dict)]
        if not found:
            return
        tree, struct = self._random.choice(found)
        fields = msgspec.structs.fields(struct)
        if not fields:
            return
        field = self._random.choice(fields)
        for group_ in struct.ONEOFS:
            if field.encode_name in group_:
                for other in group_:
                    tree.pop(other, None)
        wanted = typing.get_type_hints(struct, include_extras=True)[field.name]
        tree[field.encode_name] = self.value(field.encode_name, wanted, 3)

    def value(self, name: str, wanted: object, depth: int) -> object:
        """Return a value of a type, ordinary or odd."""
        chance = self._random
        origin, args = typing.get_origin(wanted), typing.get_args(wanted)
        if origin in (types.UnionType, typing.Union):
            members = [a for a in args if a is not type(None)]
            return self.value(name, chance.choice(members), depth)
        if origin is typing.Annotated:
            low, high = args[1].ge or 0, args[1].le or 2**64 - 1
            return chance.choice([n for n in NUMBERS if low <= n <= high and n == int(n)])
        if origin is tuple:
            return [self.value(name, args[0], depth - 1) for _ in range(chance.randrange(3))]
        if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
            return {
                str(self.value(name, args[0], depth)): self.value(name, args[1], depth - 1)
                for _ in range(chance.randrange(3))
            }
        if isinstance(wanted, type) and issubclass(wanted, WireEnum):
            return chance.choice([m.value for m in wanted])
        if isinstance(wanted, type) and issubclass(wanted, Kind):
            return self._message(wanted, depth)
        if wanted in PLAIN:
            return chance.choice(PLAIN[wanted])
        if wanted is str:
            said = [v for v in self._by_key.get(name, ()) if isinstance(v, str)]
            return chance.choice(said) if said and chance.random() < 0.6 else chance.choice(TEXTS)
        return copy.deepcopy(chance.choice(JUNK))

    def _message(self, struct: type[Kind], depth: int) -> Json:
        if depth <= 0:
            return {}
        hints = typing.get_type_hints(struct, include_extras=True)
        fields = list(msgspec.structs.fields(struct))
        wanted = self._random.sample(fields, min(len(fields), self._random.randrange(4)))
        made: Json = {}
        for field in wanted:
            group = next((g for g in struct.ONEOFS if field.encode_name in g), ())
            if not any(other in made for other in group):
                made[field.encode_name] = self.value(
                    field.encode_name, hints[field.name], depth - 1
                )
        return made


def paths(value: object, above: Path = ()) -> list[Path]:
    """Return where everything is."""
    found: list[Path] = [above] if above else []
    if isinstance(value, dict):
        for key, each in value.items():
            found += paths(each, (*above, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            found += paths(each, (*above, index))
    return found


def at(value: Any, path: Path) -> Any:  # noqa: ANN401 - JSON is anything
    """Return what is at a place."""
    for step in path:
        value = value[step]
    return value


def _messages(tree: object, struct: object) -> list[tuple[Any, type[Kind]]]:
    """Return the messages in a tree, with their types."""
    origin, args = typing.get_origin(struct), typing.get_args(struct)
    if origin in (types.UnionType, typing.Union):
        return [m for a in args if a is not type(None) for m in _messages(tree, a)]
    if origin is tuple and isinstance(tree, list):
        return [m for each in tree for m in _messages(each, args[0])]
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(tree, dict):
        return [m for each in tree.values() for m in _messages(each, args[1])]
    if not (isinstance(struct, type) and issubclass(struct, Kind) and isinstance(tree, dict)):
        return []
    hints = typing.get_type_hints(struct, include_extras=True)
    names = {f.encode_name: hints[f.name] for f in msgspec.structs.fields(struct)}
    inner = [m for k, v in tree.items() if k in names for m in _messages(v, names[k])]
    return [(tree, struct), *inner]
