"""What all patches share: their values, and that nothing invalid comes of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec
from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.json_format import ParseError
from google.protobuf.message import Message

from rhumb.encode.patch.merge import PatchError, merge
from rhumb.ir.origin import Origin
from rhumb.ir.patch import ApplyTo, LeftOut, Operation, Patch
from rhumb.protos.rules import violations
from rhumb.protos.types import UnknownTypeError, message_class, parse

M = TypeVar("M", bound=Message)

MERGES = (Operation.MERGE, Operation.MERGE_AND_REPLACE_LIST)
INSERTS = (Operation.INSERT_BEFORE, Operation.INSERT_AFTER, Operation.INSERT_FIRST)
Merge = Callable[[M, M, Patch], None]


def by_lists(into: Message, value: Message, patch: Patch) -> None:
    """Merge, lists as the operation says."""
    merge(into, value, replaces_lists=patch.operation is Operation.MERGE_AND_REPLACE_LIST)


def put(container: RepeatedCompositeFieldContainer[M], items: Iterable[M]) -> None:
    """Make a repeated field hold these items."""
    kept = [copy(item) for item in items]
    del container[:]
    container.extend(kept)


def copy(message: M) -> M:
    """Return a copy of a message."""
    out = type(message)()
    out.CopyFrom(message)
    return out


class Patcher:
    """The patches of one resource. What one of them spoils is put back, and noted."""

    def __init__(self, patches: Iterable[Patch]) -> None:
        self._patches = tuple(patches)
        self._values: dict[Patch, Message] = {}
        self._left_out: dict[Origin, LeftOut] = {}

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Return what could not be applied, each patch once."""
        return tuple(self._left_out.values())

    def of(self, apply_to: ApplyTo) -> Iterator[Patch]:
        """Yield the patches of one level, in order."""
        return (patch for patch in self._patches if patch.apply_to is apply_to)

    def refuse(self, patch: Patch, reason: str) -> None:
        """Note that a patch was left out."""
        self._left_out.setdefault(patch.origin, LeftOut(patch.origin, reason))

    def value(self, patch: Patch, _made: type[M]) -> M | None:
        """Return the patch's message, None (and noted) when it is none. It is shared: copy it."""
        found = self._values.get(patch)
        if found is None:
            try:
                made = parse(msgspec.json.decode(patch.value or "{}"), message_class(patch.message))
            except UnknownTypeError as error:
                self.refuse(patch, f"referenced type unknown: {error}")
                return None
            except ParseError as error:
                self.refuse(patch, _first_line(error))
                return None
            found = self._values[patch] = made
        assert isinstance(found, _made)
        return found

    def addition(self, patch: Patch, made: type[M]) -> M | None:
        """Return a copy of the patch's message that may stand by itself, None (and noted) if it may not."""
        value = self.value(patch, made)
        if value is None:
            return None
        wrong = next(violations(value), None)
        if wrong is not None:
            self.refuse(patch, wrong)
            return None
        return copy(value)

    def merge(self, patch: Patch, into: M, how: Merge[M] = by_lists) -> None:
        """Merge the patch's message into one; nothing changes when the result would be invalid."""
        value = self.value(patch, type(into))
        if value is None:
            return
        before = copy(into)
        try:
            how(into, value, patch)
            touched = {field.name for field, _ in value.ListFields()}
            wrong = next(violations(into, fields=touched), None)
        except PatchError as error:
            wrong = str(error)
        if wrong is not None:
            into.CopyFrom(before)
            self.refuse(patch, wrong)

    def rearranged(
        self, patch: Patch, items: list[M], made: type[M], found: Callable[[M], bool] | None
    ) -> list[M]:
        """Return a list after an operation on its items; `found` tells the one that is meant, if any is."""
        operation = patch.operation
        if operation is Operation.REMOVE:
            return items if found is None else [item for item in items if not found(item)]
        at = next((i for i, item in enumerate(items) if found and found(item)), None)
        if operation is Operation.REPLACE and at is not None:
            value = self.addition(patch, made)
            return items if value is None else [*items[:at], value, *items[at + 1 :]]
        if operation in INSERTS:
            where = _position(operation, at, len(items), anywhere=found is None)
            value = self.addition(patch, made) if where is not None else None
            return items if value is None else [*items[:where], value, *items[where:]]
        return items


def _position(operation: Operation, at: int | None, size: int, *, anywhere: bool) -> int | None:
    """Return where to insert; None when the item that is meant is not there."""
    if operation is Operation.INSERT_FIRST:
        return 0
    if anywhere:
        return size if operation is Operation.INSERT_AFTER else 0
    if at is None:
        return None
    return at + 1 if operation is Operation.INSERT_AFTER else at


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
