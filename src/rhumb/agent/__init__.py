"""Beside Envoy: identity, bootstrap, supervision, capture, probes, metrics, drain."""
