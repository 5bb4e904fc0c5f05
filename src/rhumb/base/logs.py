"""Structured logging: one line an event, as text for people or JSON for machines."""

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {
        k: v for k, v in record.__dict__.items() if k not in _STANDARD and not k.startswith("_")
    }


def _when(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


class TextFormatter(logging.Formatter):
    """TIME  LEVEL  SCOPE  message  key=value ..."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        scope = record.name.removeprefix("rhumb.")
        tail = "".join(f"  {key}={value}" for key, value in _fields(record).items())
        text = (
            f"{_when(record)}  {record.levelname.lower():7}  {scope}  {record.getMessage()}{tail}"
        )
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with Istio's key names (time, level, scope, msg)."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": _when(record),
            "level": record.levelname.lower(),
            "scope": record.name.removeprefix("rhumb."),
            "msg": record.getMessage(),
        }
        line.update(_fields(record))
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up(level: str = "info", *, as_json: bool = False) -> None:
    """Send all log lines to standard error in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
