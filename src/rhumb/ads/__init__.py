"""Speaks: xDS over gRPC, and the read-only debug endpoints."""
