"""Spells IR values as Envoy protobuf; chooses nothing."""
