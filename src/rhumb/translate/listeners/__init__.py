"""Listeners: outbound and inbound of a sidecar, servers of a gateway."""
