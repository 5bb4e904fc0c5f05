"""Speaks: xDS over gRPC, and the read-only debug endpoints.

`server` holds the streams, `connection` the order of types on one of them, `channel` what its client has of one type.
When something goes: `debounce` (a push), `waking` (who is told when), `behind` (who has yet to take it), `newcomers`
with `admission` (who has not had everything yet).
"""
