"""Access logs to files."""

import json

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog as AccessLogPb
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog

from rhumb.encode.pack import pack
from rhumb.ir.telemetry import AccessLog

_NAME = "envoy.access_loggers.file"
_NO_CHAIN = "NR"


def access_log(plan: AccessLog) -> AccessLogPb:
    """Spell a log of requests or connections."""
    out = FileAccessLog(path=plan.path)
    if plan.json:
        out.log_format.json_format.update(json.loads(plan.format))
    else:
        out.log_format.text_format_source.inline_string = plan.format
    return AccessLogPb(name=_NAME, typed_config=pack(out))


def unmatched_log(plan: AccessLog) -> AccessLogPb:
    """Spell a listener's log: only connections that no chain takes."""
    out = access_log(plan)
    out.filter.response_flag_filter.flags.append(_NO_CHAIN)
    return out
