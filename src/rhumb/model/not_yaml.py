"""Why a text is no YAML, and what to do about it: what libyaml says, in words for people."""

import re

import yaml

_SAVE = "save the file as UTF-8 text"
_INDENT = "check the indentation and the quotes around this line"
_ADVICE = (
    ("mapping values are not allowed", 'check the indentation, and put values that contain ": " in quotes'),
    ("could not find expected ':'", "write `key: value`"),
    ("did not find expected <document start>", "write a line with --- between two objects"),
    ("found incompatible YAML document", "remove the line %YAML: version 1.1 is read"),
    ("found invalid Unicode character escape code", "write the character itself, in UTF-8"),
    ("found character that cannot start any token", "put the value in quotes"),
)  # fmt: skip
_TEMPLATE = re.compile(r"\{\{.*?\}\}")
_CONFLICT = re.compile(r"(<{7}|>{7}) ")


class YamlError(Exception):
    """The text is no YAML that can be read; `line` counts from 1."""

    def __init__(self, message: str, line: int, fix: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.fix = fix


def explained(error: yaml.YAMLError, text: str) -> YamlError:
    """Return what to tell of an error of libyaml in a text."""
    if isinstance(error, yaml.reader.ReaderError):
        return _unreadable(error, text)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark is not None else 1
    problem = str(getattr(error, "problem", None) or error)
    known = foreign(text, line)
    if known is not None:
        return known
    for at in (line, line - 1):
        odd = _odd_space(text, at)
        if odd and (odd != "\t" or "cannot start any token" in problem):
            what = "a tab" if odd == "\t" else f"the character U+{ord(odd):04X}"
            message = f"{what} is used for indentation; YAML allows spaces only"
            return YamlError(
                message, at, "replace tabs by spaces" if odd == "\t" else "write spaces"
            )
    context = getattr(error, "context", None)
    opened = getattr(error, "context_mark", None)
    said = f"no valid YAML: {problem}" + (f" {context}" if context else "")
    if opened is not None and opened.line + 1 != line:
        said += f" that starts on line {opened.line + 1}"
    return YamlError(said, line, next((fix for part, fix in _ADVICE if part in problem), _INDENT))


def not_unicode(text: bytes, error: UnicodeDecodeError) -> YamlError:
    """Return what to tell of bytes that are no UTF-8."""
    line = text.count(b"\n", 0, error.start) + 1
    is_wide = text[:2] in (b"\xff\xfe", b"\xfe\xff")
    what = "UTF-16 or UTF-32" if is_wide else f"byte 0x{text[error.start]:02x} is not UTF-8"
    return YamlError(f"the file is not UTF-8 text: {what}", line, _SAVE)


def no_character(text: str, error: UnicodeEncodeError) -> YamlError:
    """Return what to tell of a text with half a character."""
    line = text.count("\n", 0, error.start) + 1
    return YamlError("the text has characters that are no Unicode", line, _SAVE)


def foreign(text: str, line: int) -> YamlError | None:
    """Return what to tell where a text is the raw material of YAML; `line` is where it went wrong."""
    rows = text.split("\n", line + 1)[: line + 1]
    for number, row in enumerate(rows, 1):
        if _CONFLICT.match(row):
            fix = "keep one of the two versions, and remove the lines with <<<<<<<, ======= and >>>>>>>"
            return YamlError("the conflict of a merge is not resolved", number, fix)
    for number in (line, line - 1):
        row = rows[number - 1] if 0 < number <= len(rows) else ""
        if found := _TEMPLATE.search(row):
            message = f"this is a template, no configuration yet: {found.group()[:80]}"
            return YamlError(message, number, "render it first (`helm template`)")
    return None


def _unreadable(error: yaml.reader.ReaderError, text: str) -> YamlError:
    # The position counts bytes.
    line = text.encode()[: error.position].count(b"\n") + 1
    if text.count("\0", 0, 1000) > len(text[:1000]) // 4:
        return YamlError("the file is not UTF-8 text: UTF-16, or no text at all", line, _SAVE)
    code = error.character if isinstance(error.character, int) else ord(error.character)
    message = f"no valid YAML: control characters are not allowed, this line has U+{code:04X}"
    return YamlError(message, line, "remove it, or write it as an escape in double quotes")


def _odd_space(text: str, line: int) -> str:
    """Return the first character of an indentation that is white and no space, "" when there is none."""
    row = "".join(text.split("\n", line)[line - 1 : line]) if line > 0 else ""
    indentation = row[: len(row) - len(row.lstrip())]
    return indentation.rstrip("\r").lstrip(" ")[:1]
