"""The vocabulary: resources in, names and values out; no I/O, imported by every floor above."""
