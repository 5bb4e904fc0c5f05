"""Headers of HTTP/1 in the case in which they came."""

from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions
from envoy.extensions.http.header_formatters.preserve_case.v3.preserve_case_pb2 import (
    PreserveCaseFormatterConfig,
)

from rhumb.encode.pack import pack


def header_case() -> Http1ProtocolOptions.HeaderKeyFormat:
    """Spell the format that remembers the case; both sides of the proxy need it."""
    out = Http1ProtocolOptions.HeaderKeyFormat()
    out.stateful_formatter.name = "preserve_case"
    out.stateful_formatter.typed_config.CopyFrom(pack(PreserveCaseFormatterConfig()))
    return out
