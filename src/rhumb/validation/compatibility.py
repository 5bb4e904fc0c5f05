"""Say what the compatibility table says of the fields that a resource sets."""

from collections.abc import Iterator, Mapping

import msgspec

from rhumb.model.compatibility.entry import Entry, State
from rhumb.model.compatibility.table import TABLE, fields
from rhumb.model.kinds.table import BY_NAME
from rhumb.model.kinds.wire import Kind
from rhumb.model.resource import Resource
from rhumb.validation.rules import Report


class _Step(msgspec.Struct, frozen=True):
    """A field that must be looked at: it has something to say, or something below it has."""

    attribute: str
    name: str
    entry: Entry | None
    default: object


def _steps() -> Mapping[type[Kind], tuple[_Step, ...]]:
    """Return what to look at in each message; most messages need no look at all."""
    found = {struct: tuple(fields(struct)) for struct in TABLE}
    telling = {
        struct
        for struct, known in found.items()
        if any(f.entry is not None and f.entry.state is not State.SUPPORTED for f in known)
    }
    size = -1
    while size != len(telling):
        size = len(telling)
        telling |= {
            struct
            for struct, known in found.items()
            if any(below in telling for f in known for below in f.below)
        }
    return {struct: tuple(_wanted(struct, telling)) for struct in telling}


def _wanted(struct: type[Kind], telling: set[type[Kind]]) -> Iterator[_Step]:
    defaults = {f.name: f.default for f in msgspec.structs.fields(struct)}
    for field in fields(struct):
        said = field.entry if field.entry and field.entry.state is not State.SUPPORTED else None
        if said is not None or any(below in telling for below in field.below):
            yield _Step(field.attribute, field.name, said, defaults[field.attribute])


_STEPS = _steps()


def check_compatibility(resource: Resource, report: Report) -> None:
    """Warn of, or refuse, the fields that have another effect than in Istio."""
    info = BY_NAME.get((resource.key.group, resource.key.kind))
    if info is not None and isinstance(resource.spec, Kind):
        _look(resource.spec, "spec" if info.has_spec else "", report)


def _look(value: Kind, at: str, report: Report) -> None:
    for step in _STEPS.get(type(value), ()):
        found = getattr(value, step.attribute)
        if found is None or found == step.default:
            continue
        where = f"{at}.{step.name}" if at else step.name
        if step.entry is not None and _speaks_of(step.entry, found):
            _say(report, where, step)
        else:
            _descend(found, where, report)


def _speaks_of(entry: Entry, value: object) -> bool:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return not entry.values or text in entry.values


def _say(report: Report, where: str, step: _Step) -> None:
    entry = step.entry
    assert entry is not None
    said = f"{step.name} {entry.says}"
    if entry.state is State.REJECTED:
        report.error(where, said, entry.fix)
    else:
        report.warn(where, said, entry.fix)


def _descend(value: object, at: str, report: Report) -> None:
    if isinstance(value, Kind):
        _look(value, at, report)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            _descend(item, f"{at}[{index}]", report)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _descend(item, f"{at}[{key}]", report)
