"""Lines of fields in a tree, by path (`spec.http[0].match[1]`, `metadata.labels[app]`)."""

import re
from collections.abc import Iterator

from rhumb.model.yaml_tree import Map, Seq

_BLOCK_DEPTH = 6
_PATH = re.compile(r"\.?([^.\[\]]+)|\[([^\[\]]*)\]")


def blocks(root: Map) -> Iterator[tuple[str, int]]:
    """Yield path and line of objects and lists below `spec` (of everything, where there is none)."""
    if "spec" in root and "kind" in root:
        pending: list[tuple[str, object, int, int]] = [
            ("spec", root["spec"], root.key_lines["spec"], 1)
        ]
    else:
        pending = [(k, v, root.key_lines[k], 1) for k, v in root.items()]
    while pending:
        path, value, line, depth = pending.pop()
        if isinstance(value, Map):
            yield path, line
            if depth < _BLOCK_DEPTH:
                pending += [
                    (f"{path}.{k}", v, value.key_lines[k], depth + 1) for k, v in value.items()
                ]
        elif isinstance(value, Seq):
            yield path, line
            if depth < _BLOCK_DEPTH:
                pending += [
                    (f"{path}[{i}]", v, value.item_lines[i], depth + 1) for i, v in enumerate(value)
                ]


def line_at(tree: object, path: str, line: int) -> int:
    """Return the line of a field, or of the closest block around it; `line` is that of the tree."""
    for match in _PATH.finditer(path):
        name = match.group(1) if match.group(1) is not None else match.group(2)
        if isinstance(tree, Map):
            spelled = name if name in tree else _snake(name)
            if spelled not in tree:
                return line
            line, tree = tree.key_lines[spelled], tree[spelled]
        elif isinstance(tree, Seq) and name.isdecimal() and int(name) < len(tree):
            line, tree = tree.item_lines[int(name)], tree[int(name)]
        else:
            return line
    return line


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: "_" + m.group(1).lower(), name)
