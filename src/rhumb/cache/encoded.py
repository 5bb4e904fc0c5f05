"""IR value to bytes, once for each distinct value."""

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from rhumb.ir.origin import Origin
from rhumb.ir.patch import LeftOut, Patched
from rhumb.xds import wire

Spell = Callable[[object], tuple[str, str, bytes]]
"""IR value to (resource name, type URL, serialized message): `encode.dispatch.encode`."""
Leave = Callable[[object], tuple[LeftOut, ...]]
"""IR value to the patches that do not fit it: `encode.dispatch.left_out`."""

P = TypeVar("P")


class Entry(msgspec.Struct, frozen=True, eq=False):
    """One resource as every stream receives it."""

    name: str
    version: str
    """Hash of the bytes: the same on every control plane and after a restart."""
    spelled: bytes
    """The `resources` field of an incremental response that delivers it."""
    size: int
    """Of the serialized google.protobuf.Any at the end of it."""
    origin: tuple[Origin, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    """Patches that would have made it invalid."""
    without_patches: Callable[[], "Entry"] | None = None
    """The same resource as it is generated, for a client that refuses it and has none; None: it is that."""

    @property
    def packed(self) -> bytes:
        """Return the resource as a serialized google.protobuf.Any."""
        return self.spelled[-self.size :]


class Pieces(Generic[P]):
    """A bounded memo of parts of resources: value to bytes.

    The very same objects come again and again, equal ones of other views now and then: so they are known
    by identity first, which takes no comparison.
    """

    def __init__(self, spell: Callable[[P], bytes], limit: int = 100_000) -> None:
        self._spell = spell
        self._limit = limit
        self._objects: dict[int, tuple[P, bytes]] = {}
        self._values: dict[P, bytes] = {}

    def __call__(self, value: P) -> bytes:
        """Return the bytes of a value. Raises what the encoder raises."""
        known = self._objects.get(id(value))
        if known is not None:
            return known[1]
        found = self._values.get(value)
        if found is None:
            if len(self._values) >= self._limit:
                self._values.clear()
            found = self._values[value] = self._spell(value)
        if len(self._objects) >= self._limit:
            self._objects.clear()
        self._objects[id(value)] = (value, found)  # held: the identity is not given to another
        return found


class Encoded:
    """A bounded memo. It cannot go stale: the key is everything the encoder sees."""

    def __init__(self, spell: Spell, limit: int = 100_000, leave: Leave = lambda _plan: ()) -> None:
        self._spell = spell
        self._leave = leave
        self._limit = limit
        self._known: OrderedDict[object, Entry] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._known)

    @property
    def size(self) -> int:
        """Return the bytes held."""
        return sum(len(entry.spelled) for entry in self._known.values())

    def __getitem__(self, plan: object) -> Entry:
        """Return the entry of an IR value. Raises what the encoder raises."""
        known = self._known
        if (found := known.get(plan)) is not None:
            self.hits += 1
            known.move_to_end(plan)
            return found
        self.misses += 1
        name, type_url, value = self._spell(plan)
        packed = wire.any_value(type_url, value)
        version = hashlib.blake2b(packed, digest_size=8).hexdigest()
        origin, left_out = getattr(plan, "origin", ()), self._leave(plan)
        plain = None
        if isinstance(plan, Patched):
            plain = functools.partial(self.__getitem__, plan.value)
        spelled = wire.delta_resource(name, version, packed)
        entry = Entry(name, version, spelled, len(packed), origin, left_out, plain)
        known[plan] = entry
        if len(known) > self._limit:
            known.popitem(last=False)
        return entry
