"""Decides: (Snapshot, View) comes in, IR values go out."""
